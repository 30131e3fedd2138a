import { Badge, Button, Group, Modal, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { api, type Schemas } from "../api/client";
import { confirm } from "../components/confirm";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { SecretOnce } from "../components/Secret";
import { TableCard } from "../components/TableCard";
import { Ago } from "../components/Time";

export function Keys() {
  const keys = api.useQuery("get", "/api/keys");
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const make = (
    <Button ref={button} leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
      New key
    </Button>
  );
  return (
    <Page
      title="API keys"
      lead="For the command line and your own programs. Whoever holds a key can do everything that you can."
      actions={make}
    >
      <Loaded query={keys}>
        {(data) => (
          <TableCard>
            {data.keys.length === 0 ? (
              <Empty icon={IconKey} title="No keys yet">
                Make one to use the command line from another machine.
              </Empty>
            ) : (
              <List keys={data.keys} />
            )}
          </TableCard>
        )}
      </Loaded>
      <NewKey opened={making} onClose={() => setMaking(false)} onMade={setSecret} />
      <SecretOnce
        title="Your new key"
        secret={secret}
        onClose={() => setSecret(null)}
        returnTo={button}
      />
    </Page>
  );
}

function List({ keys }: { keys: Schemas["ApiKeyView"][] }) {
  const queries = useQueryClient();
  const revoke = api.useMutation("delete", "/api/keys/{id}", {
    onSettled: () => queries.invalidateQueries({ queryKey: ["get", "/api/keys"] }),
  });
  return (
    <Table>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Label</Table.Th>
          <Table.Th visibleFrom="sm">Made</Table.Th>
          <Table.Th>Last used</Table.Th>
          <Table.Th visibleFrom="sm">Runs out</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {keys.map((key) => (
          <Table.Tr key={key.keyId} c={key.revokedAt === null ? "inherit" : "dimmed"}>
            <Table.Td fw={550}>{key.label}</Table.Td>
            <Table.Td visibleFrom="sm">
              <Ago at={key.createdAt} />
            </Table.Td>
            <Table.Td>
              {key.lastUsedAt === null ? (
                <Text size="sm" c="dimmed">
                  never
                </Text>
              ) : (
                <Ago at={key.lastUsedAt} />
              )}
            </Table.Td>
            <Table.Td visibleFrom="sm">
              {key.expiresAt === null ? (
                <Text size="sm" c="dimmed">
                  never
                </Text>
              ) : (
                <Ago at={key.expiresAt} />
              )}
            </Table.Td>
            <Table.Td ta="right">
              {key.revokedAt === null ? (
                <Button
                  size="xs"
                  variant="subtle"
                  color="red"
                  aria-label={`Revoke ${key.label}`}
                  loading={revoke.isPending && revoke.variables?.params.path.id === key.keyId}
                  onClick={() =>
                    confirm({
                      title: `Revoke “${key.label}”?`,
                      text: "Programs that use it stop working at once. This cannot be undone.",
                      yes: "Revoke the key",
                      onYes: () => revoke.mutate({ params: { path: { id: key.keyId } } }),
                    })
                  }
                >
                  Revoke
                </Button>
              ) : (
                <Badge color="gray">Revoked</Badge>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

const LIFETIMES = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "One year" },
  { value: "never", label: "Never" },
];

interface NewKeyProps {
  opened: boolean;
  onClose: () => void;
  onMade: (secret: string) => void;
}

function NewKey({ opened, onClose, onMade }: NewKeyProps) {
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [days, setDays] = useState<string>("90");
  const create = api.useMutation("post", "/api/keys", {
    onSuccess: (made) => {
      onMade(made.key);
      setLabel("");
      onClose();
      void queries.invalidateQueries({ queryKey: ["get", "/api/keys"] });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const expiresInDays = days === "never" ? null : Number(days);
    create.mutate({ body: { label: label.trim(), expiresInDays } });
  };
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={
        <Text fw={600} component="span">
          New API key
        </Text>
      }
    >
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Label"
            description="Where you will use it, so that you know later what to revoke."
            placeholder="laptop"
            value={label}
            onChange={(event) => setLabel(event.currentTarget.value)}
            maxLength={64}
            required
            data-autofocus
          />
          <Select
            label="Runs out after"
            data={LIFETIMES}
            value={days}
            onChange={(value) => setDays(value ?? "90")}
            allowDeselect={false}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Close
            </Button>
            <Button type="submit" loading={create.isPending} disabled={label.trim() === ""}>
              Make the key
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
