import {
  ActionIcon,
  Badge,
  Button,
  Group,
  Menu,
  Modal,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { IconDots, IconPlus, IconUserOff, IconUsers } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { api, type Schemas } from "../api/client";
import { useSignedIn } from "../auth/me";
import { confirm } from "../components/confirm";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { SecretOnce } from "../components/Secret";
import { TableCard } from "../components/TableCard";
import { Ago } from "../components/Time";

type User = Schemas["UserView"];

export function AdminUsers() {
  const users = api.useQuery("get", "/api/users");
  const mayAdd = useSignedIn().user.role === "admin";
  const button = useRef<HTMLButtonElement>(null);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Schemas["CreatedUser"] | null>(null);
  return (
    <Page
      title="People"
      lead="Each person has their own tools, machines and keys, and sees nobody else's."
      actions={
        mayAdd && (
          <Button ref={button} leftSection={<IconPlus size={16} />} onClick={() => setAdding(true)}>
            Add a person
          </Button>
        )
      }
    >
      <Loaded query={users}>
        {(data) => (
          <TableCard>
            {data.users.length === 0 ? (
              <Empty icon={IconUsers} title="Nobody yet">
                Add the first person.
              </Empty>
            ) : (
              <List users={data.users} />
            )}
          </TableCard>
        )}
      </Loaded>
      <NewUser opened={adding} onClose={() => setAdding(false)} onMade={setMade} />
      <SecretOnce
        title={`First key of ${made?.name ?? ""}`}
        secret={made?.key ?? null}
        onClose={() => setMade(null)}
        returnTo={button}
      />
    </Page>
  );
}

function List({ users }: { users: User[] }) {
  const me = useSignedIn();
  const queries = useQueryClient();
  const disable = api.useMutation("delete", "/api/users/{id}", {
    onSettled: () => queries.invalidateQueries({ queryKey: ["get", "/api/users"] }),
  });
  return (
    <Table>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Role</Table.Th>
          <Table.Th visibleFrom="sm">Added</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {users.map((user) => (
          <Table.Tr key={user.userId} c={user.disabledAt === null ? "inherit" : "dimmed"}>
            <Table.Td fw={550} style={{ overflowWrap: "anywhere" }}>
              {user.name}
              {user.userId === me.user.userId && (
                <Text span size="sm" c="dimmed">
                  {" "}
                  (you)
                </Text>
              )}
            </Table.Td>
            <Table.Td>
              <Badge color={user.role === "admin" ? "pine" : "gray"}>
                {user.role === "admin" ? "Administrator" : "Member"}
              </Badge>
            </Table.Td>
            <Table.Td visibleFrom="sm">
              <Ago at={user.createdAt} />
            </Table.Td>
            <Table.Td ta="right">
              {user.disabledAt !== null ? (
                <Badge color="gray">Disabled</Badge>
              ) : (
                user.userId !== me.user.userId && (
                  <Actions
                    user={user}
                    pending={disable.isPending && disable.variables?.params.path.id === user.userId}
                    onDisable={() => disable.mutate({ params: { path: { id: user.userId } } })}
                  />
                )
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface ActionsProps {
  user: User;
  pending: boolean;
  onDisable: () => void;
}

function Actions({ user, pending, onDisable }: ActionsProps) {
  return (
    <Menu position="bottom-end" width={180}>
      <Menu.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`More about ${user.name}`}
          loading={pending}
        >
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          color="red"
          leftSection={<IconUserOff size={16} />}
          onClick={() =>
            confirm({
              title: `Disable ${user.name}?`,
              text: "Their keys and dashboard sign-ins stop working at once.",
              yes: "Disable",
              onYes: onDisable,
            })
          }
        >
          Disable…
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

interface NewUserProps {
  opened: boolean;
  onClose: () => void;
  onMade: (made: Schemas["CreatedUser"]) => void;
}

const NAME = /^[a-z][a-z0-9._-]{0,62}$/;

function NewUser({ opened, onClose, onMade }: NewUserProps) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<User["role"]>("member");
  const create = api.useMutation("post", "/api/users", {
    onSuccess: (made) => {
      onMade(made);
      setName("");
      onClose();
      void queries.invalidateQueries({ queryKey: ["get", "/api/users"] });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate({ body: { name, role } });
  };
  const wrong = name !== "" && !NAME.test(name);
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={
        <Text fw={600} component="span">
          Add a person
        </Text>
      }
    >
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Name"
            placeholder="maria"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={
              wrong && "Small letters, digits, dot, dash and underscore; starts with a letter."
            }
            required
            data-autofocus
          />
          <Select
            label="Role"
            data={[
              { value: "member", label: "Member" },
              { value: "admin", label: "Administrator" },
            ]}
            value={role}
            onChange={(value) => setRole(value === "admin" ? "admin" : "member")}
            allowDeselect={false}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Close
            </Button>
            <Button type="submit" loading={create.isPending} disabled={!NAME.test(name)}>
              Add
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
