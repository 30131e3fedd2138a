import { Box, Paper } from "@mantine/core";
import type { ReactNode } from "react";

/** A list in a card; on a narrow screen it scrolls sideways inside the card, never the page. */
export function TableCard({ children }: { children: ReactNode }) {
  return (
    <Paper withBorder radius="md" style={{ overflow: "hidden" }}>
      <Box style={{ overflowX: "auto" }}>{children}</Box>
    </Paper>
  );
}
