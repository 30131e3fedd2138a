import { Anchor, Button, Group, Table, Text } from "@mantine/core";
import { IconReceipt } from "@tabler/icons-react";
import { Link, useNavigate } from "react-router";
import { api } from "../api/client";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { ProviderMark } from "../components/ProviderMark";
import { TableCard } from "../components/TableCard";
import { Ago } from "../components/Time";
import { plural } from "../lib/format";
import { useToolTitle } from "../live/actions";

export function Receipts() {
  const receipts = api.useQuery("get", "/api/receipts");
  const navigate = useNavigate();
  const titleOf = useToolTitle();
  return (
    <Page
      title="Receipts"
      lead="What each sign-in captured, where it went and when its machine was gone. Never the content itself."
    >
      <Loaded query={receipts}>
        {(data) => (
          <TableCard>
            {data.receipts.length === 0 ? (
              <Empty
                icon={IconReceipt}
                title="No receipts yet"
                action={
                  <Button component={Link} to="/" variant="default">
                    Choose a tool
                  </Button>
                }
              >
                Each sign-in that succeeds leaves one here.
              </Empty>
            ) : (
              <Table highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Tool</Table.Th>
                    <Table.Th>Account</Table.Th>
                    <Table.Th visibleFrom="sm">Captured</Table.Th>
                    <Table.Th visibleFrom="sm">Version</Table.Th>
                    <Table.Th>When</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.receipts.map((receipt) => {
                    const to = `/receipts/${receipt.receiptId}`;
                    return (
                      <Table.Tr
                        key={receipt.receiptId}
                        onClick={() => void navigate(to)}
                        style={{ cursor: "pointer" }}
                      >
                        <Table.Td>
                          <Group gap="sm" wrap="nowrap">
                            <ProviderMark provider={receipt.provider} size={28} />
                            <Anchor
                              component={Link}
                              c="inherit"
                              to={to}
                              size="sm"
                              fw={550}
                              onClick={(event) => event.stopPropagation()}
                            >
                              {titleOf(receipt.provider)}
                            </Anchor>
                          </Group>
                        </Table.Td>
                        <Table.Td>
                          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                            {receipt.account ?? "—"}
                          </Text>
                        </Table.Td>
                        <Table.Td visibleFrom="sm">{plural(receipt.files.length, "file")}</Table.Td>
                        <Table.Td visibleFrom="sm" className="tabular">
                          {receipt.version}
                        </Table.Td>
                        <Table.Td style={{ whiteSpace: "nowrap" }}>
                          <Ago at={receipt.createdAt} />
                        </Table.Td>
                      </Table.Tr>
                    );
                  })}
                </Table.Tbody>
              </Table>
            )}
          </TableCard>
        )}
      </Loaded>
    </Page>
  );
}
