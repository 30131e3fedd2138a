import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Schemas, setCsrfToken } from "../api/client";
import { ApiError } from "../api/problem";

export type Me = Schemas["Me"];

/** Set once by `main.tsx`, used up by the first redeem. */
let pendingToken: string | null = null;

export function rememberToken(token: string | null): void {
  pendingToken = token;
}

async function redeemPending(): Promise<Me | null> {
  if (pendingToken === null) return null;
  const token = pendingToken;
  pendingToken = null;
  const { data } = await client.POST("/api/login/redeem", { body: { token } });
  return data ?? null;
}

/** Who is signed in; null for nobody. A waiting one-time token is redeemed first. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<Me | null> => {
    // A link that is refused is told as such, not taken for "nobody is signed in".
    const redeemed = await redeemPending();
    try {
      const me = redeemed ?? (await client.GET("/api/me")).data ?? null;
      setCsrfToken(me?.csrfToken ?? null);
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
