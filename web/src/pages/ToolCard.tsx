import { ActionIcon, Anchor, Badge, Box, Button, Card, Group, Menu, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDots, IconLogout, IconRefresh, IconReplace, IconTransfer } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { api, type Schemas } from "../api/client";
import { confirm } from "../components/confirm";
import { ProviderMark } from "../components/ProviderMark";
import { Ago } from "../components/Time";
import { checked } from "../lib/format";
import { useSignIn } from "../live/actions";

type Tool = Schemas["ToolView"];
type Credential = Schemas["CredentialView"];

export function ToolCard({ tool }: { tool: Tool }) {
  return (
    <Card component="article" aria-label={tool.title} data-testid={`tool-${tool.provider}`}>
      <Group wrap="nowrap" align="flex-start" gap="md">
        <ProviderMark provider={tool.provider} size={44} />
        <Box flex={1} miw={0}>
          <Text fw={600} size="lg" lh={1.3}>
            {tool.title}
          </Text>
          <Text size="xs" c="dimmed" className="tabular" style={{ overflowWrap: "anywhere" }}>
            {tool.vendor}
            {tool.version !== null && ` · ${tool.version}`}
          </Text>
        </Box>
        <State tool={tool} />
      </Group>
      <Box flex={1} my="lg" mih={62}>
        <About tool={tool} />
      </Box>
      <Group justify="space-between" wrap="nowrap">
        <Actions tool={tool} />
        <Anchor
          href={safeLink(tool.termsUrl)}
          target="_blank"
          rel="noreferrer"
          size="xs"
          c="dimmed"
          aria-label={`Terms of ${tool.title}`}
        >
          Terms
        </Anchor>
      </Group>
    </Card>
  );
}

/** A provider's file is data from outside: only a web address may become a link. */
function safeLink(url: string): string | undefined {
  return /^https?:\/\//.test(url) ? url : undefined;
}

function State({ tool }: { tool: Tool }) {
  if (!tool.installed) return <Badge color="gray">Not installed</Badge>;
  if (tool.liveSessionId !== null) {
    return (
      <Badge color="amber" variant="dot">
        Signing in
      </Badge>
    );
  }
  if (tool.credential === null) return <Badge color="gray">Not signed in</Badge>;
  if (tool.credential.verifiedOk === false) return <Badge color="red">Needs you</Badge>;
  return <Badge color="green">Signed in</Badge>;
}

function About({ tool }: { tool: Tool }) {
  const { credential } = tool;
  if (!tool.installed) {
    return (
      <Text size="sm" c="dimmed">
        The operator can install it with{" "}
        <Text span className="mono">
          polydev providers install
        </Text>
        .
      </Text>
    );
  }
  if (credential === null) {
    return (
      <Text size="sm" c="dimmed">
        {tool.liveSessionId === null
          ? "You sign in on the provider's own page, with your own account."
          : "A sign-in is under way; its browser machine waits for you."}
      </Text>
    );
  }
  return <Account credential={credential} />;
}

function Account({ credential }: { credential: Credential }) {
  return (
    <>
      <Text size="sm" fw={550} style={{ overflowWrap: "anywhere" }}>
        {credential.account ?? "Account not named by the tool"}
      </Text>
      <Text size="sm" c="dimmed">
        {credential.plan === null ? "" : `${credential.plan} plan · `}
        {credential.verifiedAt === null ? (
          "not checked yet"
        ) : (
          <>
            {credential.verifiedOk === false ? "refused " : "checked "}
            <Ago at={credential.verifiedAt} />
          </>
        )}
      </Text>
      {credential.verifiedOk === false && (
        <Text size="sm" c="red" mt={4}>
          The tool says it is no longer signed in. Sign in again.
        </Text>
      )}
    </>
  );
}

function Actions({ tool }: { tool: Tool }) {
  const signIn = useSignIn();
  const { credential } = tool;
  if (tool.liveSessionId !== null) {
    return (
      <Button
        component={Link}
        to={`/view/${tool.liveSessionId}`}
        aria-label={`Go on signing in: ${tool.title}`}
      >
        Go on signing in
      </Button>
    );
  }
  if (credential !== null && credential.verifiedOk !== false) {
    return (
      <Manage credential={credential} tool={tool} onAgain={() => signIn.mutate(tool.provider)} />
    );
  }
  const word = credential === null ? "Sign in" : "Sign in again";
  return (
    <Group gap="xs">
      <Button
        aria-label={`${word}: ${tool.title}`}
        onClick={() => signIn.mutate(tool.provider)}
        loading={signIn.isPending}
        disabled={!tool.installed}
        data-testid={`sign-in-${tool.provider}`}
      >
        {word}
      </Button>
      {credential !== null && (
        <Manage
          credential={credential}
          tool={tool}
          onAgain={() => signIn.mutate(tool.provider)}
          small
        />
      )}
    </Group>
  );
}

interface ManageProps {
  credential: Credential;
  tool: Tool;
  onAgain: () => void;
  small?: boolean;
}

function Manage({ credential, tool, onAgain, small = false }: ManageProps) {
  const queries = useQueryClient();
  const refresh = () => queries.invalidateQueries({ queryKey: ["get"] });
  const params = { params: { path: { id: credential.credentialId } } };
  const verify = api.useMutation("post", "/api/credentials/{id}/verify", {
    onSuccess: (result) => {
      notifications.show({
        color: result.ok ? "green" : "orange",
        message: checked(tool.title, credential, result.ok),
      });
    },
    onSettled: refresh,
  });
  const deliver = api.useMutation("post", "/api/credentials/{id}/deliver", {
    onSuccess: () =>
      notifications.show({
        color: "green",
        message: "The files were written into your CLI machine.",
      }),
    onSettled: refresh,
  });
  const revoke = api.useMutation("delete", "/api/credentials/{id}", { onSettled: refresh });
  const askRevoke = () =>
    confirm({
      title: `Sign ${tool.title} out?`,
      text: "The credential is erased from the vault and taken out of your CLI machine. To end it at the provider too, use the security page of your account there.",
      yes: "Sign out",
      onYes: () => revoke.mutate(params),
    });
  return (
    <Group gap={6} wrap="nowrap">
      {!small && (
        <Button
          variant="default"
          leftSection={<IconRefresh size={15} />}
          aria-label={`Check again: ${tool.title}`}
          loading={verify.isPending}
          onClick={() => verify.mutate(params)}
        >
          Check again
        </Button>
      )}
      <Menu position="bottom-start" width={230}>
        <Menu.Target>
          <ActionIcon
            variant="default"
            size={36}
            aria-label={`More about ${tool.title}`}
            loading={revoke.isPending || deliver.isPending}
            data-testid={`more-${tool.provider}`}
          >
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {small && (
            <Menu.Item
              leftSection={<IconRefresh size={16} />}
              onClick={() => verify.mutate(params)}
            >
              Check again
            </Menu.Item>
          )}
          <Menu.Item
            leftSection={<IconTransfer size={16} />}
            onClick={() => deliver.mutate(params)}
          >
            Write the files again
          </Menu.Item>
          {!small && (
            <Menu.Item
              leftSection={<IconReplace size={16} />}
              onClick={onAgain}
              data-testid={`sign-in-${tool.provider}`}
            >
              Sign in again
            </Menu.Item>
          )}
          <Menu.Divider />
          <Menu.Item color="red" leftSection={<IconLogout size={16} />} onClick={askRevoke}>
            Sign out (revoke)
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}
