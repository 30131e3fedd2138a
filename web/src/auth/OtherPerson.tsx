import { Button, Group, Text, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { Entry } from "./Entry";
import { dropToken, meQuery, replaceByToken } from "./me";

/** A link of one person's, opened where another is signed in: nobody is swapped in silence. */
export function OtherPerson({ sentence }: { sentence: string }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const stay = () => {
    dropToken();
    navigate("/", { replace: true });
    void queries.resetQueries(meQuery);
  };
  const replace = () => {
    replaceByToken();
    // What the other one saw is none of this one's business.
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== meQuery.queryKey[0] });
    void queries.resetQueries(meQuery);
  };
  return (
    <Entry>
      <Title order={1} size="h3">
        This link is another person's
      </Title>
      <Text>{sentence}</Text>
      <Text size="sm" c="dimmed">
        What you sign in afterwards goes to whoever is signed in here.
      </Text>
      <Group>
        <Button variant="default" data-autofocus onClick={stay}>
          Stay signed in
        </Button>
        <Button color="red" onClick={replace} data-testid="replace-person">
          Sign out and use the link
        </Button>
      </Group>
    </Entry>
  );
}
