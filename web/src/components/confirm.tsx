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
  const opener = openerOf(document.activeElement);
  modals.openConfirmModal({
    title: (
      <Text fw={600} component="span">
        {title}
      </Text>
    ),
    children: <Text size="sm">{text}</Text>,
    labels: { confirm: yes, cancel: no },
    // Enter, pressed once too often, does no harm.
    cancelProps: { "data-autofocus": true },
    confirmProps: { color: "red" },
    onConfirm: onYes,
    onExitTransitionEnd: () => opener?.focus(),
  });
}

/** Of a menu's item, which is gone when the dialog closes, the button that opened the menu. */
function openerOf(active: Element | null): HTMLElement | null {
  const menu = active?.closest('[role="menu"]');
  return document.getElementById(menu?.getAttribute("aria-labelledby") ?? "");
}
