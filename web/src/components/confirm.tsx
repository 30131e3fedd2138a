import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";

interface Question {
  title: string;
  text: string;
  /** What the dangerous button says: a verb and what it hits. */
  yes: string;
  no?: string;
  onYes: () => void;
}

export function confirm({ title, text, yes, no = "Keep it", onYes }: Question): void {
  modals.openConfirmModal({
    title: (
      <Text fw={600} component="span">
        {title}
      </Text>
    ),
    children: <Text size="sm">{text}</Text>,
    labels: { confirm: yes, cancel: no },
    confirmProps: { color: "red" },
    onConfirm: onYes,
  });
}
