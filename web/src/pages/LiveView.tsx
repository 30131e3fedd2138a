import {
  Accordion,
  Box,
  Button,
  Center,
  Group,
  Loader,
  Text,
  Title,
  VisuallyHidden,
} from "@mantine/core";
import { useDocumentTitle, useMediaQuery } from "@mantine/hooks";
import { IconClipboard } from "@tabler/icons-react";
import { useCallback, useMemo, useRef, useState } from "react";
import { useParams } from "react-router";
import type { Schemas } from "../api/client";
import { confirm } from "../components/confirm";
import { Problem } from "../components/Problem";
import { ProviderMark } from "../components/ProviderMark";
import { SessionBadge } from "../components/StateBadge";
import { useTick } from "../components/Time";
import { hasEnded, STATE_LABEL } from "../lib/session";
import { duration } from "../lib/time";
import { latestState, steps } from "../lib/timeline";
import { useCancel, useToolTitle } from "../live/actions";
import { Clipboard } from "../live/Clipboard";
import styles from "../live/live.module.css";
import { Outcome } from "../live/Outcome";
import { Stage } from "../live/Stage";
import type { Screen } from "../live/screen";
import { TimelineView } from "../live/TimelineView";
import { useHeartbeat } from "../live/useHeartbeat";
import { useSession, useTimeline } from "../live/useTimeline";

export function LiveView() {
  const { sessionId = "" } = useParams();
  const session = useSession(sessionId);
  if (session.data) return <View key={sessionId} session={session.data} />;
  return (
    <Center h="calc(100dvh - 52px)" p="md">
      {session.isError ? (
        <Problem error={session.error} retry={() => void session.refetch()} />
      ) : (
        <Loader aria-label="Loading" />
      )}
    </Center>
  );
}

function View({ session }: { session: Schemas["SessionView"] }) {
  const { sessionId } = session;
  const timeline = useTimeline(sessionId);
  const title = useToolTitle()(session.provider);
  const [screen, setScreen] = useState<Screen | null>(null);
  const [copied, setCopied] = useState<string | null>(null);
  const [mirror, setMirror] = useState(false);
  const mirroring = useRef(false);
  mirroring.current = mirror;

  // The stream is ahead of the record that is asked for; an end that either tells is the end.
  const told = latestState(timeline.events);
  const state = told === null || hasEnded(session.state) ? session.state : told;
  const ended = hasEnded(state);
  const road = useMemo(
    () => steps(timeline.events, session.createdAt),
    [timeline.events, session.createdAt],
  );
  const roomy = useMediaQuery("(min-width: 62em)", undefined, { getInitialValueInEffect: false });
  useHeartbeat(sessionId, !ended);
  useDocumentTitle(`${ended ? "" : "● "}${title} · Polydev`);

  const onClipboard = useCallback((text: string) => {
    setCopied(text);
    // Only on the person's word, since the text comes from the machine; a browser that does not
    // permit it leaves the panel as the way.
    if (mirroring.current) navigator.clipboard?.writeText(text).catch(() => undefined);
  }, []);

  return (
    <div className={styles.layout}>
      <VisuallyHidden role="status">{`${title}: ${STATE_LABEL[state]}`}</VisuallyHidden>
      {ended ? (
        <div className={styles.panel}>
          {hasEnded(session.state) ? (
            <Outcome session={session} title={title} />
          ) : (
            <Loader aria-label="Loading" />
          )}
        </div>
      ) : (
        <Stage
          sessionId={sessionId}
          state={state}
          screen={screen}
          onScreen={setScreen}
          onClipboard={onClipboard}
        />
      )}
      <aside className={styles.side} aria-label="Progress of the sign-in">
        <Box className={styles.scroll}>
          <Group gap="sm" wrap="nowrap" mb="lg">
            <ProviderMark provider={session.provider} size={38} />
            <Box flex={1} miw={0}>
              <Title order={1} size="h4" lh={1.2}>
                {title}
              </Title>
              <Elapsed from={session.createdAt} to={session.endedAt} />
            </Box>
            <SessionBadge state={state} data-testid="session-state" data-state={state} />
          </Group>
          <TimelineView steps={road} />
          {timeline.link === "lost" && (
            <Text size="xs" c="dimmed" role="status">
              The connection dropped; the timeline goes on when it is back.
            </Text>
          )}
          {!ended && (
            <Accordion
              variant="separated"
              mt="xs"
              chevronPosition="right"
              defaultValue={roomy ? "clipboard" : null}
            >
              <Accordion.Item value="clipboard">
                <Accordion.Control icon={<IconClipboard size={17} stroke={1.6} />}>
                  <Text size="sm" fw={500}>
                    Clipboard
                  </Text>
                </Accordion.Control>
                <Accordion.Panel>
                  <Clipboard
                    copied={copied}
                    onSend={(text) => screen?.offer(text)}
                    mirror={mirror}
                    onMirror={setMirror}
                    disabled={screen === null}
                  />
                </Accordion.Panel>
              </Accordion.Item>
            </Accordion>
          )}
        </Box>
        {!ended && (
          <div className={styles.foot}>
            <CancelButton sessionId={sessionId} title={title} />
          </div>
        )}
      </aside>
    </div>
  );
}

function Elapsed({ from, to }: { from: string; to: string | null }) {
  const now = useTick(1000, to === null);
  return (
    <Text size="xs" c="dimmed" mt={2} className="tabular">
      {duration((to === null ? now : Date.parse(to)) - Date.parse(from))}
    </Text>
  );
}

function CancelButton({ sessionId, title }: { sessionId: string; title: string }) {
  const cancel = useCancel();
  return (
    <Button
      fullWidth
      variant="default"
      data-testid="cancel"
      loading={cancel.isPending || cancel.isSuccess}
      onClick={() =>
        confirm({
          title: "Cancel this sign-in?",
          text: `The browser machine is destroyed with everything in it. ${title} stays as it was.`,
          yes: "Cancel the sign-in",
          no: "Go on",
          onYes: () => cancel.mutate({ params: { path: { sessionId } } }),
        })
      }
    >
      Cancel
    </Button>
  );
}
