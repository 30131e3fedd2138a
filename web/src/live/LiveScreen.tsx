import { Box, Center, Loader, Stack, Text } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import styles from "./live.module.css";
import { Screen, type ScreenStatus } from "./screen";
import { usePaste } from "./usePaste";

interface Props {
  sessionId: string;
  /** See `Screen.matchWindow`. */
  matches: boolean;
  /** The element that names `LEAVE_KEYS`. */
  hintId: string;
  /** The person wants the keyboard out of the machine. */
  onLeave: () => void;
  onScreen: (screen: Screen | null) => void;
  onStatus: (status: ScreenStatus) => void;
  onClipboard: (text: string) => void;
}

/**
 * The one combination that the machine does not get. Not Ctrl+Alt+Escape, which some desktops take
 * for themselves; remote desktops of Windows leave their screen by this one too.
 */
export const LEAVE_KEYS = "Ctrl+Alt+Home";

function leaves(event: KeyboardEvent): boolean {
  return event.key === "Home" && event.ctrlKey && event.altKey;
}

/** The machine's screen. Unmount it to hang up. */
export function LiveScreen(props: Props) {
  const { sessionId, matches, hintId, onLeave, onScreen, onStatus, onClipboard } = props;
  const target = useRef<HTMLDivElement>(null);
  const screen = useRef<Screen | null>(null);
  const [status, setStatus] = useState<ScreenStatus>({ kind: "connecting" });

  const matching = useRef(matches);

  useEffect(() => {
    matching.current = matches;
    screen.current?.matchWindow(matches);
  }, [matches]);

  useEffect(() => {
    if (target.current === null) return;
    const made = new Screen(
      target.current,
      sessionId,
      hintId,
      {
        onStatus: (now) => {
          setStatus(now);
          onStatus(now);
        },
        onClipboard,
      },
      matching.current,
    );
    screen.current = made;
    onScreen(made);
    return () => {
      made.stop();
      screen.current = null;
      onScreen(null);
    };
  }, [sessionId, hintId, onScreen, onStatus, onClipboard]);

  const { onPasteKey, onPaste } = usePaste(screen);
  const onKeyDownCapture = (event: KeyboardEvent) => {
    if (!leaves(event)) return onPasteKey(event);
    event.preventDefault();
    event.stopPropagation();
    onLeave();
  };

  return (
    <Box className={styles.screen}>
      <div
        ref={target}
        className={styles.canvas}
        data-testid="live-view"
        data-status={status.kind}
        onKeyDownCapture={onKeyDownCapture}
        onPaste={onPaste}
      />
      {status.kind !== "connected" && (
        <Center className={styles.veil}>
          <Veil status={status} />
        </Center>
      )}
    </Box>
  );
}

function Veil({ status }: { status: ScreenStatus }) {
  if (status.kind === "refused") {
    return (
      <Stack align="center" gap="sm" maw={380} ta="center">
        <IconPlugConnectedX size={32} stroke={1.4} />
        <Text>{status.sentence}</Text>
      </Stack>
    );
  }
  return (
    <Stack align="center" gap="sm">
      <Loader size="sm" />
      <Text c="dimmed">
        {status.kind === "lost"
          ? "The connection dropped. Connecting again…"
          : "Connecting to the screen…"}
      </Text>
    </Stack>
  );
}
