import { Box, Code, Group, ScrollArea, Text } from "@mantine/core";
import { Copy } from "./Id";

interface Props {
  text: string;
  label?: string;
  maxHeight?: number;
  empty?: string;
}

/**
 * Text that came out of a machine or a tool. It is hostile: it is only ever a text node, never
 * markup, and never a link.
 */
export function Output({ text, label, maxHeight = 420, empty = "Nothing was written." }: Props) {
  return (
    <Box>
      {label !== undefined && (
        <Group justify="space-between" mb={4}>
          <Text size="xs" c="dimmed" className="mono">
            {label}
          </Text>
          {text !== "" && <Copy value={text} what={`the output of ${label}`} />}
        </Group>
      )}
      <ScrollArea.Autosize mah={maxHeight} type="auto">
        <Code
          block
          fz="xs"
          lh={1.6}
          p="md"
          style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
          tabIndex={0}
        >
          {text === "" ? empty : text}
        </Code>
      </ScrollArea.Autosize>
    </Box>
  );
}
