import { Alert, Anchor, Button, Card, Grid, Group, Text, Title } from "@mantine/core";
import { IconReceipt } from "@tabler/icons-react";
import { useEffect, useRef } from "react";
import { Link, useLocation, useParams } from "react-router";
import { api, type Schemas } from "../api/client";
import { Facts } from "../components/Facts";
import { Id } from "../components/Id";
import { Loaded } from "../components/Loaded";
import { Output } from "../components/Output";
import { Page } from "../components/Page";
import { Problem } from "../components/Problem";
import { SessionBadge } from "../components/StateBadge";
import { hasEnded } from "../lib/session";
import { duration, fullTime } from "../lib/time";
import { steps } from "../lib/timeline";
import { useSignIn, useToolTitle } from "../live/actions";
import { TimelineView } from "../live/TimelineView";
import { useSession, useTimeline } from "../live/useTimeline";

export function SessionPage() {
  const { sessionId = "" } = useParams();
  const session = useSession(sessionId);
  const title = useToolTitle();
  return (
    <Page
      title={session.data ? `Sign-in of ${title(session.data.provider)}` : "Sign-in"}
      actions={session.data && <Actions session={session.data} />}
    >
      <Loaded query={session}>{(data) => <Details session={data} />}</Loaded>
    </Page>
  );
}

function Actions({ session }: { session: Schemas["SessionView"] }) {
  const again = useSignIn();
  if (!hasEnded(session.state)) {
    return (
      <Button component={Link} to={`/view/${session.sessionId}`}>
        Open the live view
      </Button>
    );
  }
  if (session.receiptId !== null) {
    return (
      <Button
        component={Link}
        to={`/receipts/${session.receiptId}`}
        variant="default"
        leftSection={<IconReceipt size={16} />}
      >
        Receipt
      </Button>
    );
  }
  return (
    <Button onClick={() => again.mutate(session.provider)} loading={again.isPending}>
      Start again
    </Button>
  );
}

function Details({ session }: { session: Schemas["SessionView"] }) {
  const timeline = useTimeline(session.sessionId);
  const took =
    (session.endedAt ? Date.parse(session.endedAt) : Date.now()) - Date.parse(session.createdAt);
  return (
    <Grid gap="lg">
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Card>
          <Group justify="space-between" mb="lg">
            <Title order={2}>Timeline</Title>
            <SessionBadge state={session.state} />
          </Group>
          {timeline.error === null ? (
            <TimelineView steps={steps(timeline.events, session.createdAt)} />
          ) : (
            <Problem error={timeline.error} />
          )}
        </Card>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 7 }}>
        {session.message !== null && session.state !== "completed" && (
          <Alert color={session.state === "cancelled" ? "gray" : "red"} mb="lg">
            {session.message}
            {session.detail !== null && (
              <Text size="sm" mt="xs" className="mono" style={{ whiteSpace: "pre-wrap" }}>
                {session.detail}
              </Text>
            )}
          </Alert>
        )}
        <Card mb="lg">
          <Title order={2} mb="md">
            Facts
          </Title>
          <Facts
            rows={[
              ["Session", <Id key="s" value={session.sessionId} full />],
              ["Started", fullTime(session.createdAt)],
              [
                "Ended",
                session.endedAt && `${fullTime(session.endedAt)} (after ${duration(took)})`,
              ],
              ["Reason", session.reason && <span className="mono">{session.reason}</span>],
              ["Browser machine", session.machineId && <Id value={session.machineId} />],
              [
                "Destroyed",
                session.machineGoneAt
                  ? fullTime(session.machineGoneAt)
                  : session.machineId && "not yet",
              ],
              [
                "CLI machine",
                session.cliMachineId && (
                  <Anchor component={Link} to="/machines" size="sm" className="mono">
                    {session.cliMachineId}
                  </Anchor>
                ),
              ],
            ]}
          />
        </Card>
        <Console session={session} />
      </Grid.Col>
    </Grid>
  );
}

function Console({ session }: { session: Schemas["SessionView"] }) {
  const console = api.useQuery(
    "get",
    "/api/auth/session/{sessionId}/console",
    { params: { path: { sessionId: session.sessionId } } },
    {
      enabled: session.machineId !== null,
      refetchInterval: session.machineGoneAt === null ? 5_000 : false,
    },
  );
  const card = useRef<HTMLDivElement>(null);
  const wanted = useLocation().hash === "#console";
  const shown = console.data !== undefined || session.machineId === null;
  useEffect(() => {
    // The browser looked for it when nothing was loaded, so not at all.
    if (wanted && shown) card.current?.scrollIntoView();
  }, [wanted, shown]);
  return (
    <Card id="console" ref={card} style={{ scrollMarginTop: 72 }}>
      <Title order={2}>Console log</Title>
      <Text size="sm" c="dimmed" mb="md">
        What the programs in the browser machine wrote. It is kept after the machine is gone.
      </Text>
      {session.machineId === null ? (
        <Text size="sm" c="dimmed">
          This sign-in never had a machine.
        </Text>
      ) : (
        <Loaded query={console}>{(data) => <Output text={data.text} label="console" />}</Loaded>
      )}
    </Card>
  );
}
