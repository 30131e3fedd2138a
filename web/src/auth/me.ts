import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Schemas, setCsrfToken } from "../api/client";
import { ApiError } from "../api/problem";

export type Me = Schemas["Me"];

/** Set once by `main.tsx`, used up by the first redeem. */
let pendingToken: string | null = null;

export function rememberToken(token: string | null): void {
  pendingToken = token;
}

/** A link that is good but another person's: kept until somebody has said what they mean. */
let refusedToken: string | null = null;
let replacing = false;

export function replaceByToken(): void {
  pendingToken = refusedToken;
  refusedToken = null;
  replacing = true;
}

export function dropToken(): void {
  refusedToken = null;
}

async function redeemPending(): Promise<Me | null> {
  if (pendingToken === null) return null;
  const [token, replace] = [pendingToken, replacing];
  pendingToken = null;
  replacing = false;
  try {
    const { data } = await client.POST("/api/login/redeem", { body: { token, replace } });
    return data ?? null;
  } catch (error) {
    if (isOtherPerson(error)) refusedToken = token;
    throw error;
  }
}

export function isOtherPerson(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === "other_person";
}

/** Who is signed in; null for nobody. A waiting one-time token is redeemed first. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ client: queries }): Promise<Me | null> => {
    // A link that is refused is told as such, not taken for "nobody is signed in".
    const redeemed = await redeemPending();
    try {
      const me = redeemed ?? (await client.GET("/api/me")).data ?? null;
      setCsrfToken(me?.csrfToken ?? null);
      const before = queries.getQueryData<Me | null>(["me"]);
      if (before && me && before.user.userId !== me.user.userId) {
        // Another tab has signed somebody else in: nothing of the one before may stay on show.
        queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "me" });
      }
      return me;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        setCsrfToken(null);
        return null;
      }
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
  // The cookie is the browser's, not this tab's: it may be somebody else's by now.
  refetchOnWindowFocus: "always",
  // A one-time link is spent by its first use, so asking again can only hide why it failed.
  retry: false,
});

export function useMe() {
  return useQuery(meQuery);
}

/** For pages under `RequireMe`, where somebody is signed in. */
export function useSignedIn(): Me {
  const { data } = useQuery(meQuery);
  if (!data) throw new Error("used outside RequireMe");
  return data;
}

export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => client.POST("/api/logout"),
    onSettled: () => {
      setCsrfToken(null);
      queries.clear();
      queries.setQueryData(meQuery.queryKey, null);
    },
  });
}
