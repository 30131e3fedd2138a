import { AppShell, Burger, Group, NavLink, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconActivity,
  IconApps,
  IconKey,
  IconReceipt,
  IconServer,
  IconServerCog,
  IconUsers,
} from "@tabler/icons-react";
import { Link, Outlet, useLocation } from "react-router";
import { api } from "../api/client";
import { useSignedIn } from "../auth/me";
import { Logo } from "../components/Logo";
import { AccountMenu } from "./AccountMenu";

const MINE = [
  { to: "/", label: "Tools", icon: IconApps },
  { to: "/sessions", label: "Sign-ins", icon: IconActivity },
  { to: "/receipts", label: "Receipts", icon: IconReceipt },
  { to: "/machines", label: "CLI machines", icon: IconServer },
  { to: "/keys", label: "API keys", icon: IconKey },
];

const ADMIN = [
  { to: "/admin/machines", label: "All machines", icon: IconServerCog },
  { to: "/admin/users", label: "People", icon: IconUsers },
];

export function Shell() {
  const me = useSignedIn();
  const { pathname } = useLocation();
  const [opened, { toggle, close }] = useDisclosure(false);
  // The live view needs the room, and a single-session visitor has nowhere else to go.
  const bare = pathname.startsWith("/view/");
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !opened, desktop: bare } }}
      padding={bare ? 0 : { base: "md", md: "xl" }}
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            {me.onlySessionId === null && (
              <Burger
                opened={opened}
                onClick={toggle}
                hiddenFrom="sm"
                size="sm"
                aria-label="Navigation"
              />
            )}
            <Logo to={me.onlySessionId === null ? "/" : undefined} />
          </Group>
          <AccountMenu />
        </Group>
      </AppShell.Header>
      {me.onlySessionId === null && (
        <AppShell.Navbar p="sm" aria-label="Main">
          <Stack gap={2} onClick={close} flex={1}>
            <Links links={MINE} pathname={pathname} />
            {me.user.role === "admin" && (
              <>
                <Text size="xs" fw={600} c="dimmed" mt="lg" mb={4} px="sm">
                  Administration
                </Text>
                <Links links={ADMIN} pathname={pathname} />
              </>
            )}
          </Stack>
          <Version />
        </AppShell.Navbar>
      )}
      <AppShell.Main>
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

function Links({ links, pathname }: { links: typeof MINE; pathname: string }) {
  return links.map(({ to, label, icon: Icon }) => {
    const active = to === "/" ? pathname === "/" : pathname.startsWith(to);
    return (
      <NavLink
        key={to}
        component={Link}
        to={to}
        label={label}
        leftSection={<Icon size={18} stroke={1.6} />}
        active={active}
        aria-current={active ? "page" : undefined}
        style={{ borderRadius: "var(--mantine-radius-md)" }}
        fw={active ? 550 : 450}
      />
    );
  });
}

function Version() {
  const info = api.useQuery("get", "/api/info", {}, { staleTime: 60_000 });
  if (!info.data) return null;
  return (
    <Text size="xs" c="dimmed" px="sm" className="tabular">
      Polydev {info.data.version} · {info.data.driver}
    </Text>
  );
}
