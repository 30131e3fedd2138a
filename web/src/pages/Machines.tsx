import { Button } from "@mantine/core";
import { IconServer } from "@tabler/icons-react";
import { Link } from "react-router";
import { api } from "../api/client";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { TableCard } from "../components/TableCard";
import { MachineList } from "./MachineList";

export function Machines() {
  const machines = api.useQuery(
    "get",
    "/api/machines",
    { params: { query: { scope: "mine" } } },
    { refetchInterval: 5_000 },
  );
  return (
    <Page
      title="CLI machines"
      lead="Your own persistent machine, where your signed-in tools live. It can sleep and keeps its home."
    >
      <Loaded query={machines}>
        {(data) => {
          const mine = data.machines.filter((machine) => machine.kind === "cli");
          return (
            <TableCard>
              {mine.length === 0 ? (
                <Empty
                  icon={IconServer}
                  title="No CLI machine yet"
                  action={
                    <Button component={Link} to="/" variant="default">
                      Choose a tool
                    </Button>
                  }
                >
                  It is made for you when your first sign-in succeeds.
                </Empty>
              ) : (
                <MachineList machines={mine} />
              )}
            </TableCard>
          );
        }}
      </Loaded>
    </Page>
  );
}
