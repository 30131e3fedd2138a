import { Skeleton, Stack } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Problem } from "./Problem";
import { Stale } from "./Stale";

interface Props<T> {
  query: Pick<UseQueryResult<T, unknown>, "data" | "error" | "isError" | "isPending" | "refetch">;
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}

/** The four faces of everything that is fetched: coming, refused, there, there but old. */
export function Loaded<T>({ query, skeleton, children }: Props<T>) {
  const retry = () => void query.refetch();
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <Stale error={query.error} retry={retry} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isPending) return skeleton ?? <Rows />;
  return <Problem error={query.error} retry={retry} />;
}

export function Rows({ count = 4, height = 52 }: { count?: number; height?: number }) {
  return (
    <Stack gap="xs" role="status" aria-label="Loading">
      {Array.from({ length: count }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
        <Skeleton key={i} height={height} />
      ))}
    </Stack>
  );
}
