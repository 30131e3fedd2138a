import { Box, Button, Center, Loader, Stack, Text } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import styles from "./live.module.css";
import { Screen, type ScreenStatus } from "./screen";
import { usePaste } from "./usePaste";

interface Props {
  sessionId: string;
  /** See `Screen.matchWindow`. */
  matches: boolean;
  onScreen: (screen: Screen | null) => void;
  onStatus: (status: ScreenStatus) => void;
  onClipboard: (text: string) => void;
}

/** The machine's screen. Unmount it to hang up. */
export function LiveScreen({ sessionId, matches, onScreen, onStatus, onClipboard }: Props) {
  const target = useRef<HTMLDivElement>(null);
  const screen = useRef<Screen | null>(null);
  const [status, setStatus] = useState<ScreenStatus>({ kind: "connecting" });
  const [round, setRound] = useState(0);

  const matching = useRef(matches);

  useEffect(() => {
    matching.current = matches;
    screen.current?.matchWindow(matches);
  }, [matches]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` is the person's "try again"
  useEffect(() => {
    if (target.current === null) return;
    const made = new Screen(
      target.current,
      sessionId,
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
  }, [sessionId, round, onScreen, onStatus, onClipboard]);

  const { onKeyDownCapture, onPaste } = usePaste(screen);

  return (
    <Box className={styles.screen}>
      <div
        ref={target}
        className={styles.canvas}
        data-testid="live-view"
        data-status={status.kind}
        role="application"
        aria-label="The browser in the machine"
        onKeyDownCapture={onKeyDownCapture}
        onPaste={onPaste}
      />
      {status.kind !== "connected" && (
        <Center className={styles.veil}>
          <Veil status={status} retry={() => setRound(round + 1)} />
        </Center>
      )}
    </Box>
  );
}

function Veil({ status, retry }: { status: ScreenStatus; retry: () => void }) {
  if (status.kind === "refused") {
    return (
      <Stack align="center" gap="sm" maw={380} ta="center">
        <IconPlugConnectedX size={32} stroke={1.4} />
        <Text>{status.sentence}</Text>
        <Button variant="default" onClick={retry}>
          Try again
        </Button>
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
