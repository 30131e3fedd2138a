import { Button, Group, Paper, Text } from "@mantine/core";
import { IconCloudOff } from "@tabler/icons-react";
import { isTransient, staleness } from "../api/problem";

interface Props {
  error: unknown;
  retry: () => void;
}

/** What is shown below was true once; the last try to see whether it still is has failed. */
export function Stale({ error, retry }: Props) {
  return (
    <Paper withBorder px="md" py={6} mb="md" role="status" data-testid="stale">
      <Group gap="sm" justify="space-between">
        <Group gap="sm" wrap="nowrap" flex={1} miw={200}>
          <IconCloudOff size={17} stroke={1.6} style={{ flexShrink: 0 }} aria-hidden="true" />
          <Text size="sm">{staleness(error)}</Text>
        </Group>
        {isTransient(error) && (
          <Button size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        )}
      </Group>
    </Paper>
  );
}
