import { Box, Card, Group, Progress, SegmentedControl, SimpleGrid, Text } from "@mantine/core";
import { IconServerCog } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { TableCard } from "../components/TableCard";
import { MachineList } from "./MachineList";

type Shown = "all" | "gone" | Schemas["MachineKind"];

export function AdminMachines() {
  const [kind, setKind] = useState<Shown>("all");
  const gone = kind === "gone";
  const machines = api.useQuery(
    "get",
    "/api/machines",
    { params: { query: { scope: gone ? "gone" : "all" } } },
    { refetchInterval: 5_000 },
  );
  return (
    <Page
      title="All machines"
      lead={
        gone
          ? "The machines destroyed last. Their console logs are kept."
          : "Every machine on this installation, and the pool that keeps browser machines warm."
      }
      actions={
        <SegmentedControl
          aria-label="Kind of machine"
          value={kind}
          onChange={(value) => setKind(value as Shown)}
          data={[
            { value: "all", label: "All" },
            { value: "browser", label: "Browser" },
            { value: "cli", label: "CLI" },
            { value: "gone", label: "Gone" },
          ]}
        />
      }
    >
      <Loaded query={machines}>
        {(data) => {
          const shown = data.machines.filter((m) => gone || kind === "all" || m.kind === kind);
          return (
            <>
              {!gone && <Numbers machines={data.machines} />}
              <TableCard>
                {shown.length === 0 ? (
                  <Empty icon={IconServerCog} title="No machines">
                    {gone
                      ? "None has been destroyed yet."
                      : "None of this kind exists at the moment."}
                  </Empty>
                ) : (
                  <MachineList machines={shown} everyone />
                )}
              </TableCard>
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}

function Numbers({ machines }: { machines: Schemas["MachineView"][] }) {
  const info = api.useQuery("get", "/api/info", {}, { refetchInterval: 5_000 });
  const count = (match: (m: Schemas["MachineView"]) => boolean) => machines.filter(match).length;
  const { poolWarm = 0, poolSize = 0 } = info.data ?? {};
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} mb="lg">
      <Stat label="Warm in the pool" value={`${poolWarm} of ${poolSize}`}>
        <Progress
          value={poolSize === 0 ? 0 : (100 * poolWarm) / poolSize}
          size="xs"
          mt={8}
          aria-label="Warm machines"
        />
      </Stat>
      <Stat
        label="Browser machines"
        value={count((m) => m.kind === "browser" && m.state === "ready")}
      />
      <Stat
        label="CLI machines running"
        value={count((m) => m.kind === "cli" && m.state === "ready")}
      />
      <Stat label="Failed" value={count((m) => m.state === "failed")} />
    </SimpleGrid>
  );
}

interface StatProps {
  label: string;
  value: string | number;
  children?: React.ReactNode;
}

function Stat({ label, value, children }: StatProps) {
  return (
    <Card padding="md">
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Group align="baseline">
        <Text fz={22} fw={600} className="tabular" lh={1.3}>
          {value}
        </Text>
      </Group>
      {children && <Box>{children}</Box>}
    </Card>
  );
}
