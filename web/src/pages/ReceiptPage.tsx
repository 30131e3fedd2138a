import { Anchor, Box, Button, Divider, Group, Paper, Table, Text, Title } from "@mantine/core";
import { IconPrinter } from "@tabler/icons-react";
import { Link, useParams } from "react-router";
import { api, type Schemas } from "../api/client";
import { Facts } from "../components/Facts";
import { Id } from "../components/Id";
import { Loaded } from "../components/Loaded";
import { Output } from "../components/Output";
import { Page } from "../components/Page";
import { ProviderMark } from "../components/ProviderMark";
import { bytes, modeLetters } from "../lib/format";
import { fullTime } from "../lib/time";
import { useToolTitle } from "../live/actions";

export function ReceiptPage() {
  const { receiptId = "" } = useParams();
  const receipt = api.useQuery(
    "get",
    "/api/receipts/{id}",
    { params: { path: { id: receiptId } } },
    // The machine is destroyed a moment after the receipt is made.
    { refetchInterval: (query) => (query.state.data?.machineGoneAt === null ? 3_000 : false) },
  );
  return (
    <Page
      title="Receipt"
      width={780}
      actions={
        <Button
          className="no-print"
          variant="default"
          leftSection={<IconPrinter size={16} />}
          onClick={() => window.print()}
        >
          Print
        </Button>
      }
    >
      <Loaded query={receipt}>{(data) => <Sheet receipt={data} />}</Loaded>
    </Page>
  );
}

function Sheet({ receipt }: { receipt: Schemas["ReceiptView"] }) {
  const title = useToolTitle()(receipt.provider);
  return (
    <Paper withBorder radius="lg" p={{ base: "md", sm: "xl" }} data-testid="receipt">
      <Group wrap="nowrap" gap="md">
        <ProviderMark provider={receipt.provider} size={48} />
        <Box flex={1} miw={0}>
          <Title order={2} size="h3">
            {title}
          </Title>
          <Text c="dimmed" style={{ overflowWrap: "anywhere" }}>
            {receipt.account ?? "Account not named by the tool"}
            {receipt.plan !== null && ` · ${receipt.plan} plan`}
          </Text>
        </Box>
        <Box ta="right" visibleFrom="xs">
          <Text size="sm" fw={550} className="tabular">
            {fullTime(receipt.createdAt)}
          </Text>
          <Text size="xs" c="dimmed" className="mono">
            {receipt.receiptId}
          </Text>
        </Box>
      </Group>

      <Section title="What was captured">
        <Table withRowBorders verticalSpacing={6} horizontalSpacing={0}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>File</Table.Th>
              <Table.Th pl="md">Mode</Table.Th>
              <Table.Th pl="md" ta="right">
                Size
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {receipt.files.map((file) => (
              <Table.Tr key={file.path}>
                <Table.Td className="mono">{file.path}</Table.Td>
                <Table.Td
                  pl="md"
                  className="mono"
                  title={file.mode}
                  style={{ whiteSpace: "nowrap" }}
                >
                  {modeLetters(file.mode)}
                </Table.Td>
                <Table.Td pl="md" ta="right" className="tabular" style={{ whiteSpace: "nowrap" }}>
                  {bytes(file.size)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Section>

      <Section title="How it is kept">
        <Facts
          rows={[
            ["Encrypted with", "AES-256-GCM, a key of its own, wrapped by the vault's key"],
            ["SHA-256 of ciphertext", <Id key="h" value={receipt.ciphertextSha256} full />],
            [
              "Vault key",
              <span key="k" className="mono">
                {receipt.keyId}
              </span>,
            ],
            ["Version", receipt.version],
          ]}
        />
      </Section>

      <Section title="Where it went">
        <Facts
          rows={[
            ["CLI machine", <Id key="c" value={receipt.cliMachineId} />],
            ["Written", fullTime(receipt.deliveredAt)],
            ["Confirmed", fullTime(receipt.verifiedAt)],
            ["Browser machine", <Id key="b" value={receipt.browserMachineId} />],
            [
              "Destroyed",
              receipt.machineGoneAt === null ? "being destroyed…" : fullTime(receipt.machineGoneAt),
            ],
          ]}
        />
      </Section>

      <Section title="What the tool itself says">
        <Output label={receipt.statusCommand} text={receipt.statusOutput} />
      </Section>

      <Text size="sm" c="dimmed" mt="xl" className="no-print">
        Made by{" "}
        <Anchor component={Link} to={`/sessions/${receipt.sessionId}`} size="sm">
          this sign-in
        </Anchor>
        . A receipt holds names, sizes and digests, never what is in the files.
      </Text>
    </Paper>
  );
}

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <Box component="section">
      <Divider my="lg" />
      <Title order={3} size="sm" mb="xs">
        {title}
      </Title>
      {children}
    </Box>
  );
}
