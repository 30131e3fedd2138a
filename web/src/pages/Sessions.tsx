import { Anchor, Box, Button, Group, Select, Stack, Table, Text } from "@mantine/core";
import { IconActivity } from "@tabler/icons-react";
import { keepPreviousData } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, type Schemas } from "../api/client";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { ProviderMark } from "../components/ProviderMark";
import { SessionBadge } from "../components/StateBadge";
import { TableCard } from "../components/TableCard";
import { Ago } from "../components/Time";
import { hasEnded, type SessionState } from "../lib/session";
import { duration } from "../lib/time";
import { useToolTitle } from "../live/actions";

const ALL = "all";
const FILTERS: { value: SessionState | typeof ALL; label: string }[] = [
  { value: ALL, label: "All" },
  { value: "awaiting_user", label: "Waiting for you" },
  { value: "completed", label: "Completed" },
  { value: "failed", label: "Failed" },
  { value: "expired", label: "Ran out of time" },
  { value: "cancelled", label: "Cancelled" },
];

export function Sessions() {
  const [state, setState] = useState<SessionState | null>(null);
  const [pages, setPages] = useState<string[]>([]);
  const after = pages.at(-1);
  const sessions = api.useQuery(
    "get",
    "/api/auth/sessions",
    { params: { query: { limit: 20, ...(state && { state }), ...(after && { after }) } } },
    { placeholderData: keepPreviousData, refetchInterval: 8_000 },
  );
  return (
    <Page
      title="Sign-ins"
      lead="Every sign-in that you started, how it went and what it left."
      actions={
        <Select
          aria-label="Show"
          allowDeselect={false}
          data={FILTERS}
          value={state ?? ALL}
          onChange={(value) => {
            setState(value === ALL ? null : (value as SessionState | null));
            setPages([]);
          }}
          w={180}
        />
      }
    >
      <Loaded query={sessions}>
        {(data) => (
          <Stack>
            <TableCard>
              {data.sessions.length === 0 ? (
                <Empty
                  icon={IconActivity}
                  title={state === null ? "No sign-ins yet" : "None of this kind"}
                  action={
                    state === null && (
                      <Button component={Link} to="/" variant="default">
                        Choose a tool
                      </Button>
                    )
                  }
                >
                  {state === null
                    ? "When you sign a tool in, its timeline and console log are kept here."
                    : "Choose another state above to see more."}
                </Empty>
              ) : (
                <List sessions={data.sessions} />
              )}
            </TableCard>
            <Group justify="flex-end">
              {pages.length > 0 && (
                <Button variant="default" onClick={() => setPages(pages.slice(0, -1))}>
                  Newer
                </Button>
              )}
              {data.next !== null && (
                <Button
                  variant="default"
                  onClick={() => data.next !== null && setPages([...pages, data.next])}
                >
                  Older
                </Button>
              )}
            </Group>
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function List({ sessions }: { sessions: Schemas["SessionView"][] }) {
  const titleOf = useToolTitle();
  const navigate = useNavigate();
  return (
    <Table highlightOnHover>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Tool</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th visibleFrom="sm">What happened</Table.Th>
          <Table.Th visibleFrom="xs">Took</Table.Th>
          <Table.Th>Started</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {sessions.map((session) => {
          const to = hasEnded(session.state)
            ? `/sessions/${session.sessionId}`
            : `/view/${session.sessionId}`;
          return (
            <Table.Tr
              key={session.sessionId}
              onClick={() => void navigate(to)}
              style={{ cursor: "pointer" }}
            >
              <Table.Td>
                <Group gap="sm" wrap="nowrap">
                  <ProviderMark provider={session.provider} size={28} />
                  <Anchor
                    component={Link}
                    c="inherit"
                    to={to}
                    size="sm"
                    fw={550}
                    onClick={(event) => event.stopPropagation()}
                  >
                    {titleOf(session.provider)}
                  </Anchor>
                </Group>
              </Table.Td>
              <Table.Td>
                <SessionBadge state={session.state} />
              </Table.Td>
              <Table.Td visibleFrom="sm" maw={340}>
                <Text size="sm" c="dimmed" lineClamp={1}>
                  {summary(session)}
                </Text>
              </Table.Td>
              <Table.Td visibleFrom="xs">
                <Box className="tabular" style={{ whiteSpace: "nowrap" }}>
                  {session.endedAt === null
                    ? "—"
                    : duration(Date.parse(session.endedAt) - Date.parse(session.createdAt))}
                </Box>
              </Table.Td>
              <Table.Td style={{ whiteSpace: "nowrap" }}>
                <Ago at={session.createdAt} />
              </Table.Td>
            </Table.Tr>
          );
        })}
      </Table.Tbody>
    </Table>
  );
}

function summary(session: Schemas["SessionView"]): string {
  if (session.state === "completed") return "Signed in and confirmed by the tool.";
  if (!hasEnded(session.state)) return "Under way: open the live view.";
  return session.message ?? "";
}
