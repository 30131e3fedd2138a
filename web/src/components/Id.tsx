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
      <Copy value={value} what={shortId(value)} />
    </Group>
  );
}

/** @param what - goes on after "Copy": a page has many of these */
export function Copy({ value, what }: { value: string; what: string }) {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : "Copy"}>
          <ActionIcon
            className="no-print"
            size={24}
            variant="subtle"
            color={copied ? "green" : "gray"}
            onClick={copy}
            aria-label={`${copied ? "Copied" : "Copy"} ${what}`}
          >
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
