import { Box, Button, Code, Group, Stack, Switch, Text, Textarea } from "@mantine/core";
import { useState } from "react";
import { Copy } from "../components/Id";

interface Props {
  /** What the machine copied last; null before this page has seen it copy anything. */
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
    <Stack gap={10}>
      <div>
        <Group gap="xs" align="flex-end" wrap="nowrap">
          <Textarea
            flex={1}
            label="To the machine"
            placeholder="Type or paste text"
            autosize
            minRows={1}
            maxRows={4}
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
          <Button
            variant="default"
            px="sm"
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
        <Text size="xs" c="dimmed" mt={4} role="status">
          {sent ? "Sent. Paste it there with Ctrl+V." : "Or press Ctrl+V in the screen."}
        </Text>
      </div>
      <Box>
        <Group justify="space-between" mb={2} mih={24}>
          <Text size="sm" fw={500}>
            From the machine
          </Text>
          {copied !== null && <Copy value={copied} what="what came from the machine" />}
        </Group>
        <Code
          block
          fz="xs"
          p={8}
          mah={72}
          style={{ overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
          tabIndex={0}
          data-testid="clipboard-received"
        >
          {copied ?? "What is copied there appears here."}
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
