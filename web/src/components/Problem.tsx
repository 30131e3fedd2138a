import { Alert, Button, Group, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { isTransient, sentenceOf } from "../api/problem";

interface Props {
  error: unknown;
  /** Offered where asking again can help. */
  retry?: (() => void) | undefined;
}

export function Problem({ error, retry }: Props) {
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title="This could not be loaded" maw={620}>
      <Group justify="space-between" align="flex-end" gap="md">
        <Text size="sm" flex={1} miw={200}>
          {sentenceOf(error)}
        </Text>
        {retry && isTransient(error) && (
          <Button size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        )}
      </Group>
    </Alert>
  );
}
