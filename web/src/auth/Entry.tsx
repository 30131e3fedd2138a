import { Center, Paper, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Logo } from "../components/Logo";

/** What somebody sees who is not in yet: one sheet, and perhaps a line below it. */
export function Entry({ children, below }: { children: ReactNode; below?: string }) {
  return (
    <Center mih="100dvh" p="md" component="main">
      <Stack gap="xl" maw={440} w="100%">
        <Logo size={30} />
        <Paper p="xl" withBorder shadow="sm">
          <Stack gap="md">{children}</Stack>
        </Paper>
        {below !== undefined && (
          <Text size="sm" c="dimmed" ta="center">
            {below}
          </Text>
        )}
      </Stack>
    </Center>
  );
}
