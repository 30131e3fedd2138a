import { Center, Loader } from "@mantine/core";
import { Navigate, Outlet, useLocation } from "react-router";
import { ApiError } from "../api/problem";
import { Problem } from "../components/Problem";
import { isOtherPerson, useMe } from "./me";
import { OtherPerson } from "./OtherPerson";
import { SignedOut } from "./SignedOut";

/** Shows the pages below only to somebody; a single-session visitor sees only their session. */
export function RequireMe() {
  const me = useMe();
  const { pathname } = useLocation();
  if (me.isPending) {
    return (
      <Center mih="100dvh">
        <Loader aria-label="Loading" />
      </Center>
    );
  }
  // What failed while somebody was signed in (a server that restarts) is shown by the pages.
  if (me.isError && me.data === undefined) {
    if (isOtherPerson(me.error)) return <OtherPerson sentence={me.error.message} />;
    // A spent or expired link is refused by the server with a 4xx: say how to get a new one.
    if (me.error instanceof ApiError && me.error.status < 500) {
      return <SignedOut reason={me.error.message} />;
    }
    return (
      <Center mih="100dvh" p="md">
        <Problem error={me.error} retry={() => void me.refetch()} />
      </Center>
    );
  }
  if (!me.data) return <SignedOut />;
  const only = me.data.onlySessionId;
  if (only !== null && pathname !== `/view/${only}`)
    return <Navigate to={`/view/${only}`} replace />;
  if (pathname === "/login") return <Navigate to="/" replace />;
  return <Outlet />;
}
