import { notifications } from "@mantine/notifications";
import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { ApiError, isTransient, sentenceOf } from "../api/problem";
import { meQuery } from "../auth/me";

/** One place decides what is tried again, and what happens when the sign-in has run out. */
export function makeQueryClient(): QueryClient {
  const signedOut = (error: unknown) => {
    if (error instanceof ApiError && error.status === 401) {
      queries.setQueryData(meQuery.queryKey, null);
    }
  };
  const queries = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        if (query.queryKey[0] !== meQuery.queryKey[0]) signedOut(error);
      },
    }),
    mutationCache: new MutationCache({
      onError: (error) => {
        signedOut(error);
        notifications.show({
          color: "red",
          title: "That did not work",
          message: sentenceOf(error),
        });
      },
    }),
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        retry: (count, error) => count < 2 && isTransient(error),
      },
      mutations: { retry: false },
    },
  });
  return queries;
}
