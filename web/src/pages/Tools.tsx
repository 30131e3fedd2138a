import { SimpleGrid, Skeleton } from "@mantine/core";
import { IconApps } from "@tabler/icons-react";
import { api } from "../api/client";
import { Loaded } from "../components/Loaded";
import { Empty, Page } from "../components/Page";
import { ToolCard } from "./ToolCard";

export function Tools() {
  const tools = api.useQuery(
    "get",
    "/api/tools",
    {},
    {
      refetchInterval: (query) =>
        query.state.data?.tools.some((tool) => tool.liveSessionId !== null) ? 3_000 : 20_000,
    },
  );
  return (
    <Page
      title="Tools"
      lead="Sign a command-line tool in once, through a real browser in a throw-away machine. It then stays signed in on your CLI machine."
    >
      <Loaded query={tools} skeleton={<Cards />}>
        {(data) =>
          data.tools.length === 0 ? (
            <Empty icon={IconApps} title="No tools yet">
              The operator has not set up any provider. `polydev providers` shows how to add one.
            </Empty>
          ) : (
            <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="lg">
              {data.tools.map((tool) => (
                <ToolCard key={tool.provider} tool={tool} />
              ))}
            </SimpleGrid>
          )
        }
      </Loaded>
    </Page>
  );
}

function Cards() {
  return (
    <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="lg" role="status" aria-label="Loading">
      {[1, 2, 3].map((n) => (
        <Skeleton key={n} height={228} />
      ))}
    </SimpleGrid>
  );
}
