import { Anchor, Button, Group, Paper, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import { IconAlertTriangle, IconBan, IconCheck, IconClockX } from "@tabler/icons-react";
import { Link } from "react-router";
import { api, type Schemas } from "../api/client";
import { useSignedIn } from "../auth/me";
import { Output } from "../components/Output";
import { useSignIn } from "./actions";

type Session = Schemas["SessionView"];

/** How the sign-in ended, in place of the screen that is gone. */
export function Outcome({ session, title }: { session: Session; title: string }) {
  return (
    <Paper withBorder radius="lg" p="xl" maw={560} w="100%" data-testid="result">
      {session.state === "completed" ? (
        <Success session={session} title={title} />
      ) : (
        <Ended session={session} />
      )}
    </Paper>
  );
}

function Success({ session, title }: { session: Session; title: string }) {
  const only = useSignedIn().onlySessionId !== null;
  const receiptId = session.receiptId ?? "";
  const receipt = api.useQuery(
    "get",
    "/api/receipts/{id}",
    { params: { path: { id: receiptId } } },
    { enabled: receiptId !== "" && !only },
  );
  return (
    <Stack gap="lg">
      <Group wrap="nowrap" gap="md">
        <ThemeIcon size={44} radius="xl" color="green">
          <IconCheck size={24} />
        </ThemeIcon>
        <div>
          <Title order={2} size="h3">
            {title} is signed in
          </Title>
          <Text c="dimmed">
            {session.account ? (
              <>
                as{" "}
                <Text span c="var(--mantine-color-text)" fw={550}>
                  {session.account}
                </Text>
                {session.plan && ` · ${session.plan} plan`}
              </>
            ) : (
              "The tool itself confirmed it in your CLI machine."
            )}
          </Text>
        </div>
      </Group>
      {receipt.data && (
        <Output
          label={receipt.data.statusCommand}
          text={receipt.data.statusOutput}
          maxHeight={160}
        />
      )}
      <Text size="sm" c="dimmed">
        {session.machineGoneAt
          ? "The browser machine has been destroyed; nothing of it remains."
          : "The browser machine is being destroyed."}
      </Text>
      {!only && (
        <Group>
          {session.receiptId && (
            <Button component={Link} to={`/receipts/${session.receiptId}`}>
              Open the receipt
            </Button>
          )}
          <Button component={Link} to="/" variant="default">
            Back to the tools
          </Button>
        </Group>
      )}
      {only && <Text size="sm">You can close this window.</Text>}
    </Stack>
  );
}

const ENDS = {
  failed: { title: "The sign-in failed", color: "red", icon: IconAlertTriangle },
  cancelled: { title: "The sign-in was cancelled", color: "gray", icon: IconBan },
  expired: { title: "The sign-in ran out of time", color: "orange", icon: IconClockX },
} as const;

function Ended({ session }: { session: Session }) {
  const only = useSignedIn().onlySessionId !== null;
  const again = useSignIn();
  const end = ENDS[session.state as keyof typeof ENDS] ?? ENDS.failed;
  return (
    <Stack gap="lg">
      <Group wrap="nowrap" gap="md" align="flex-start">
        <ThemeIcon size={44} radius="xl" color={end.color} variant="light">
          <end.icon size={24} />
        </ThemeIcon>
        <div>
          <Title order={2} size="h3">
            {end.title}
          </Title>
          <Text mt={4}>{session.message ?? "No reason was recorded."}</Text>
          {session.reason && (
            <Text size="xs" c="dimmed" className="mono" mt={6} data-testid="reason">
              {session.reason}
            </Text>
          )}
        </div>
      </Group>
      {session.detail && <Output label="Details" text={session.detail} maxHeight={200} />}
      {only ? (
        <Text size="sm">Start again from where you opened this link.</Text>
      ) : (
        <Group>
          <Button onClick={() => again.mutate(session.provider)} loading={again.isPending}>
            Start again
          </Button>
          <Button component={Link} to="/" variant="default">
            Back to the tools
          </Button>
          <Anchor component={Link} to={`/sessions/${session.sessionId}#console`} size="sm">
            Console log
          </Anchor>
        </Group>
      )}
    </Stack>
  );
}
