import { Alert, Button, Code, Text, Title } from "@mantine/core";
import { IconLinkOff } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Entry } from "./Entry";
import { meQuery } from "./me";

/** How to get in: there is no password to type here, only a one-time link. */
export function SignedOut({ reason }: { reason?: string }) {
  const queries = useQueryClient();
  return (
    <Entry below="No key yet? Ask the person who runs this server.">
      <div>
        <Title order={1} size="h3">
          Sign in to the dashboard
        </Title>
        <Text c="dimmed" mt={4}>
          Polydev has no password. A terminal that holds your API key makes a link that works once.
        </Text>
      </div>
      {reason !== undefined && (
        <Alert color="orange" icon={<IconLinkOff />} title="This link did not work">
          {reason}
        </Alert>
      )}
      <div>
        <Text size="sm" fw={500} mb={6}>
          Run this where you use Polydev
        </Text>
        <Code block fz="md" p="md">
          polydev dashboard
        </Code>
      </div>
      <Text size="sm" c="dimmed">
        It prints a link; open it in this browser. A link expires after a few minutes and is used up
        by the first visit, so nobody can use it after you.
      </Text>
      <Button variant="default" onClick={() => void queries.resetQueries(meQuery)}>
        I have opened a link in another tab
      </Button>
    </Entry>
  );
}
