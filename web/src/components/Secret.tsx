import { Alert, Button, Code, CopyButton, Modal, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy, IconEyeOff } from "@tabler/icons-react";
import type { RefObject } from "react";

interface Props {
  title: string;
  secret: string | null;
  onClose: () => void;
  /** Gets the focus afterwards: what had it before is the button of a dialog that is gone. */
  returnTo: RefObject<HTMLElement | null>;
}

/** Shows a key the one time it can be shown; only its own button closes it, no stray click. */
export function SecretOnce({ title, secret, onClose, returnTo }: Props) {
  return (
    <Modal
      opened={secret !== null}
      onClose={onClose}
      returnFocus={false}
      onExitTransitionEnd={() => returnTo.current?.focus()}
      title={
        <Text fw={600} component="span">
          {title}
        </Text>
      }
      closeOnClickOutside={false}
      closeOnEscape={false}
      withCloseButton={false}
    >
      <Stack>
        <Alert color="amber" icon={<IconEyeOff />}>
          Copy it now. Only a hash of it is stored, so nobody can show it again.
        </Alert>
        <Code block fz="sm" p="md" className="mono" data-testid="secret-once">
          {secret}
        </Code>
        <CopyButton value={secret ?? ""} timeout={3000}>
          {({ copied, copy }) => (
            <Button
              data-autofocus
              onClick={copy}
              variant={copied ? "light" : "filled"}
              leftSection={copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
            >
              {copied ? "Copied" : "Copy the key"}
            </Button>
          )}
        </CopyButton>
        <Button variant="default" onClick={onClose}>
          I have stored it
        </Button>
      </Stack>
    </Modal>
  );
}
