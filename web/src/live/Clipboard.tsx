import { Box, Button, Code, Group, Stack, Switch, Text, Textarea } from "@mantine/core";
import { IconArrowRight } from "@tabler/icons-react";
import { useState } from "react";
import { Copy } from "../components/Id";

interface Props {
  /** What the machine copied last; null before it copied anything. */
  copied: string | null;
  onSend: (text: string) => void;
  mirror: boolean;
  onMirror: (on: boolean) => void;
  disabled: boolean;
}

/** Text across the border, in both directions, always by the person's own hand. */
export function Clipboard({ copied, onSend, mirror, onMirror, disabled }: Props) {
  const [text, setText] = useState("");
  const [sent, setSent] = useState(false);
  return (
    <Stack gap="sm">
      <Textarea
        label="To the machine"
        description="Or press Ctrl+V in the screen."
        placeholder="Type or paste text here"
        autosize
        minRows={2}
        maxRows={5}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setSent(false);
        }}
        disabled={disabled}
        data-testid="clipboard-text"
        autoComplete="off"
        spellCheck={false}
      />
      <Group justify="space-between" wrap="nowrap">
        <Text size="xs" c="dimmed" role="status">
          {sent ? "Sent. Paste it there with Ctrl+V." : ""}
        </Text>
        <Button
          size="xs"
          variant="default"
          style={{ flexShrink: 0 }}
          rightSection={<IconArrowRight size={14} />}
          disabled={disabled || text === ""}
          onClick={() => {
            onSend(text);
            setText("");
            setSent(true);
          }}
          data-testid="clipboard-send"
        >
          Send
        </Button>
      </Group>
      <Box>
        <Group justify="space-between" mb={4}>
          <Text size="sm" fw={500}>
            From the machine
          </Text>
          {copied !== null && <Copy value={copied} />}
        </Group>
        <Code
          block
          fz="xs"
          mah={110}
          style={{ overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
          data-testid="clipboard-received"
        >
          {copied ?? "Nothing has been copied there yet."}
        </Code>
      </Box>
      <Switch
        size="xs"
        label="Put what it copies into my clipboard"
        checked={mirror}
        onChange={(event) => onMirror(event.currentTarget.checked)}
      />
    </Stack>
  );
}
