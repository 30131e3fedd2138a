import { ActionIcon, Button, Drawer, Group, Menu, Table, Text } from "@mantine/core";
import { IconDots, IconMoon, IconPlayerPlay, IconTerminal2, IconTrash } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { confirm } from "../components/confirm";
import { Id } from "../components/Id";
import { Loaded } from "../components/Loaded";
import { Output } from "../components/Output";
import { MachineBadge } from "../components/StateBadge";
import { Ago } from "../components/Time";
import { shortId } from "../lib/format";

type Machine = Schemas["MachineView"];

/** Machines with what can be done to them; `everyone` also says whose they are. */
export function MachineList({
  machines,
  everyone = false,
}: {
  machines: Machine[];
  everyone?: boolean;
}) {
  const [shown, setShown] = useState<string | null>(null);
  return (
    <>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Machine</Table.Th>
            <Table.Th>State</Table.Th>
            {everyone && <Table.Th visibleFrom="sm">Kind</Table.Th>}
            {everyone && <Table.Th visibleFrom="md">Owner</Table.Th>}
            <Table.Th visibleFrom="sm">Driver</Table.Th>
            <Table.Th visibleFrom="sm">Made</Table.Th>
            <Table.Th aria-label="Actions" />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {machines.map((machine) => (
            <Table.Tr key={machine.machineId}>
              <Table.Td>
                <Id value={machine.machineId} />
                {machine.detail !== null && (
                  <Text size="xs" c="dimmed" maw={320} style={{ overflowWrap: "anywhere" }}>
                    {machine.detail}
                  </Text>
                )}
              </Table.Td>
              <Table.Td>
                <MachineBadge state={machine.state} />
              </Table.Td>
              {everyone && (
                <Table.Td visibleFrom="sm">{machine.kind === "cli" ? "CLI" : "Browser"}</Table.Td>
              )}
              {everyone && (
                <Table.Td visibleFrom="md">
                  <Owner machine={machine} />
                </Table.Td>
              )}
              <Table.Td visibleFrom="sm">{machine.driver}</Table.Td>
              <Table.Td visibleFrom="sm" style={{ whiteSpace: "nowrap" }}>
                <Ago at={machine.createdAt} />
              </Table.Td>
              <Table.Td>
                <Actions machine={machine} onConsole={() => setShown(machine.machineId)} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Console machineId={shown} onClose={() => setShown(null)} />
    </>
  );
}

function Owner({ machine }: { machine: Machine }) {
  if (machine.userId === null) {
    return (
      <Text size="sm" c="dimmed">
        pool
      </Text>
    );
  }
  return (
    <>
      <Text size="sm">{machine.userName ?? shortId(machine.userId)}</Text>
      {machine.sessionId !== null && <Id value={machine.sessionId} />}
    </>
  );
}

function Actions({ machine, onConsole }: { machine: Machine; onConsole: () => void }) {
  const queries = useQueryClient();
  const onSettled = () => queries.invalidateQueries({ queryKey: ["get", "/api/machines"] });
  const hibernate = api.useMutation("post", "/api/machines/{id}/hibernate", { onSettled });
  const resume = api.useMutation("post", "/api/machines/{id}/resume", { onSettled });
  const destroy = api.useMutation("delete", "/api/machines/{id}", { onSettled });
  const call = { params: { path: { id: machine.machineId } } };
  const cli = machine.kind === "cli";
  return (
    <Group gap={6} justify="flex-end" wrap="nowrap">
      {cli && machine.state === "ready" && (
        <Button
          size="xs"
          variant="default"
          visibleFrom="sm"
          loading={hibernate.isPending}
          onClick={() => hibernate.mutate(call)}
        >
          Hibernate
        </Button>
      )}
      {cli && machine.state === "stopped" && (
        <Button
          size="xs"
          variant="default"
          visibleFrom="sm"
          loading={resume.isPending}
          onClick={() => resume.mutate(call)}
        >
          Resume
        </Button>
      )}
      <Menu position="bottom-end" width={200}>
        <Menu.Target>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`More about ${shortId(machine.machineId)}`}
            loading={destroy.isPending || hibernate.isPending || resume.isPending}
          >
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconTerminal2 size={16} />} onClick={onConsole}>
            Console log
          </Menu.Item>
          {cli && machine.state === "ready" && (
            <Menu.Item
              hiddenFrom="sm"
              leftSection={<IconMoon size={16} />}
              onClick={() => hibernate.mutate(call)}
            >
              Hibernate
            </Menu.Item>
          )}
          {cli && machine.state === "stopped" && (
            <Menu.Item
              hiddenFrom="sm"
              leftSection={<IconPlayerPlay size={16} />}
              onClick={() => resume.mutate(call)}
            >
              Resume
            </Menu.Item>
          )}
          {machine.state !== "destroyed" && (
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} />}
              onClick={() =>
                confirm({
                  title: "Destroy this machine?",
                  text: cli
                    ? "Its home goes with it: every file there and every tool's sign-in. This cannot be undone. Credentials in the vault stay and can be written into a new machine."
                    : "A sign-in that uses it fails. The pool makes a new one.",
                  yes: "Destroy",
                  onYes: () => destroy.mutate(call),
                })
              }
            >
              Destroy…
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}

function Console({ machineId, onClose }: { machineId: string | null; onClose: () => void }) {
  const id = machineId ?? "";
  const console = api.useQuery(
    "get",
    "/api/machines/{id}/console",
    { params: { path: { id } } },
    { enabled: machineId !== null, refetchInterval: 5_000 },
  );
  return (
    <Drawer
      opened={machineId !== null}
      onClose={onClose}
      position="right"
      size="xl"
      title={
        <Text fw={600} component="span">
          Console log
        </Text>
      }
    >
      {machineId !== null && (
        <Loaded query={console}>
          {(data) => <Output label={data.machineId} text={data.text} maxHeight={10_000} />}
        </Loaded>
      )}
    </Drawer>
  );
}
