import { Button, Center, Stack, Text, Title } from "@mantine/core";
import { Link } from "react-router";

export function NotFound() {
  return (
    <Center mih="60vh">
      <Stack align="center" gap="sm" ta="center">
        <Title order={1}>There is nothing here</Title>
        <Text c="dimmed">
          The address may be mistyped, or what was here belongs to someone else.
        </Text>
        <Button component={Link} to="/" variant="default" mt="sm">
          Back to the tools
        </Button>
      </Stack>
    </Center>
  );
}

/** A fault of the page itself: the rest of the dashboard stays usable. */
export function PageFault() {
  return (
    <Center mih="60vh">
      <Stack align="center" gap="sm" ta="center">
        <Title order={1}>This page broke</Title>
        <Text c="dimmed">
          That is a fault of the dashboard, not of your data. Reload to try again.
        </Text>
        <Button variant="default" mt="sm" onClick={() => window.location.reload()}>
          Reload
        </Button>
      </Stack>
    </Center>
  );
}
