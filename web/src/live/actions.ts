import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api, client } from "../api/client";
import { useSignedIn } from "../auth/me";
import { titleOf } from "../lib/format";

/** Starts a sign-in (or comes back to the one that is under way) and opens its live view. */
export function useSignIn() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (provider: string) => {
      const { data } = await client.POST("/api/auth/start", { body: { provider } });
      return data;
    },
    onSuccess: (started) => {
      if (started) void navigate(`/view/${started.sessionId}`);
    },
  });
}

export function useCancel() {
  const queries = useQueryClient();
  return api.useMutation("post", "/api/auth/session/{sessionId}/cancel", {
    onSuccess: () => queries.invalidateQueries({ queryKey: ["get"] }),
  });
}

/** A tool's title by its internal name; a single-session visitor may not list the tools. */
export function useToolTitle(): (provider: string) => string {
  const full = useSignedIn().onlySessionId === null;
  const tools = api.useQuery("get", "/api/tools", {}, { staleTime: 60_000, enabled: full });
  return (provider) =>
    tools.data?.tools.find((tool) => tool.provider === provider)?.title ?? titleOf(provider);
}
