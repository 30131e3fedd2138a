import { ActionIcon, Badge, Center, Group, Loader, Stack, Text, Tooltip } from "@mantine/core";
import { useFullscreenElement, useMediaQuery } from "@mantine/hooks";
import {
  IconArrowsMaximize,
  IconArrowsMinimize,
  IconAspectRatio,
  IconAspectRatioFilled,
} from "@tabler/icons-react";
import { useCallback, useId, useRef, useState } from "react";
import { hasDisplay, type SessionState, STATE_LABEL } from "../lib/session";
import { LEAVE_KEYS, LiveScreen } from "./LiveScreen";
import styles from "./live.module.css";
import { PhoneKeyboard } from "./PhoneKeyboard";
import type { Screen, ScreenStatus } from "./screen";

interface Props {
  sessionId: string;
  state: SessionState;
  screen: Screen | null;
  onScreen: (screen: Screen | null) => void;
  onClipboard: (text: string) => void;
}

const LINK = {
  connecting: { word: "Connecting", color: "gray" },
  connected: { word: "Live", color: "green" },
  lost: { word: "Reconnecting", color: "amber" },
  refused: { word: "Closed", color: "red" },
} as const;

/** The screen with its bar: how the line is, size, full screen. */
export function Stage({ sessionId, state, screen, onScreen, onClipboard }: Props) {
  const { ref, toggle, fullscreen } = useFullscreenElement<HTMLDivElement>();
  const touch = navigator.maxTouchPoints > 0;
  const [link, setLink] = useState<ScreenStatus["kind"]>("connecting");
  // A browser as narrow as a phone shows no sign-in page well: there it keeps its size.
  const narrow = useMediaQuery("(max-width: 40em)", undefined, { getInitialValueInEffect: false });
  const [chosen, setChosen] = useState<boolean | null>(null);
  const matches = chosen ?? !narrow;
  const onStatus = useCallback((status: ScreenStatus) => setLink(status.kind), []);
  const shown = hasDisplay(state);
  const bar = useRef<HTMLDivElement>(null);
  const onLeave = () => bar.current?.querySelector("button")?.focus();
  const hintId = useId();

  return (
    <div className={styles.stage}>
      <div className={styles.frame} ref={ref}>
        <div className={styles.bar} ref={bar}>
          <Group gap="xs" wrap="nowrap" miw={0}>
            <Badge variant="dot" color={shown ? LINK[link].color : "gray"}>
              {shown ? LINK[link].word : "No screen"}
            </Badge>
            <Text size="xs" c="dimmed" visibleFrom="sm" truncate>
              A throw-away machine. What you type goes to the provider's own page.
            </Text>
          </Group>
          <Group gap={4} wrap="nowrap">
            <Text id={hintId} className={styles.hint} size="xs" c="dimmed">
              {LEAVE_KEYS} leaves the screen
            </Text>
            {touch && <PhoneKeyboard screen={screen} />}
            <Tooltip label={matches ? "Keep its size and scale it" : "Fit it to this window"}>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label="Fit the screen to this window"
                aria-pressed={matches}
                onClick={() => setChosen(!matches)}
              >
                {matches ? <IconAspectRatioFilled size={17} /> : <IconAspectRatio size={17} />}
              </ActionIcon>
            </Tooltip>
            <Tooltip label={fullscreen ? "Leave full screen" : "Full screen"}>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={fullscreen ? "Leave full screen" : "Full screen"}
                onClick={() => void toggle()}
              >
                {fullscreen ? <IconArrowsMinimize size={17} /> : <IconArrowsMaximize size={17} />}
              </ActionIcon>
            </Tooltip>
          </Group>
        </div>
        {shown ? (
          <LiveScreen
            sessionId={sessionId}
            matches={matches}
            hintId={hintId}
            onLeave={onLeave}
            onScreen={onScreen}
            onStatus={onStatus}
            onClipboard={onClipboard}
          />
        ) : (
          <Center flex={1} className={styles.screen}>
            <Stack align="center" gap="sm">
              <Loader size="sm" />
              <Text c="dimmed">{STATE_LABEL[state]}…</Text>
            </Stack>
          </Center>
        )}
      </div>
    </div>
  );
}
