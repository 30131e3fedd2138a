import { ActionIcon, CopyButton, Group, Text, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { shortId } from "../lib/format";

/** An id or digest that can be copied whole. */
export function Id({ value, full = false }: { value: string; full?: boolean }) {
  return (
    <Group gap={4} wrap="nowrap" component="span">
      <Text
        span
        className="mono"
        size="sm"
        title={value}
        style={full ? undefined : { whiteSpace: "nowrap" }}
      >
        {full ? value : shortId(value)}
      </Text>
      <Copy value={value} />
    </Group>
  );
}

export function Copy({ value }: { value: string }) {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : "Copy"}>
          <ActionIcon
            className="no-print"
            size="sm"
            variant="subtle"
            color={copied ? "green" : "gray"}
            onClick={copy}
            aria-label={copied ? "Copied" : "Copy"}
          >
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
