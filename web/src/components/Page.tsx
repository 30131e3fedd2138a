import { Box, Group, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { Icon } from "@tabler/icons-react";
import type { ReactNode } from "react";

interface PageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  width?: number;
  children: ReactNode;
}

export function Page({ title, lead, actions, width = 1080, children }: PageProps) {
  useDocumentTitle(`${title} · Polydev`);
  return (
    <Box maw={width} mx="auto">
      <Group justify="space-between" align="flex-start" mb="lg" gap="md">
        <Box flex={1} miw={240}>
          <Title order={1} lts="-0.015em">
            {title}
          </Title>
          {lead !== undefined && (
            <Text c="dimmed" mt={4} maw={640}>
              {lead}
            </Text>
          )}
        </Box>
        {actions}
      </Group>
      {children}
    </Box>
  );
}

interface EmptyProps {
  icon: Icon;
  title: string;
  children: ReactNode;
  action?: ReactNode;
}

export function Empty({ icon: IconOf, title, children, action }: EmptyProps) {
  return (
    <Stack align="center" gap="xs" py={56} px="md" ta="center">
      <ThemeIcon size={48} radius="xl" variant="light" color="gray">
        <IconOf size={24} stroke={1.5} />
      </ThemeIcon>
      <Text fw={600} mt="xs">
        {title}
      </Text>
      <Text size="sm" c="dimmed" maw={420}>
        {children}
      </Text>
      {action && <Box mt="sm">{action}</Box>}
    </Stack>
  );
}
