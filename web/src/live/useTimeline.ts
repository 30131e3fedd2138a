import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api } from "../api/client";
import { watchSession } from "../api/events";
import { merge, type SessionEvent, stateOf } from "../lib/timeline";

export interface Timeline {
  events: SessionEvent[];
  link: "connecting" | "live" | "lost" | "over";
  error: unknown;
}

const NEW: Timeline = { events: [], link: "connecting", error: null };

/** The session's events as they come; every change of state also refreshes what else shows it. */
export function useTimeline(sessionId: string): Timeline {
  const queries = useQueryClient();
  const [timeline, setTimeline] = useState<Timeline>(NEW);
  useEffect(() => {
    const stop = new AbortController();
    setTimeline(NEW);
    const refresh = () => {
      for (const path of ["/api/auth/session/{sessionId}", "/api/tools"] as const) {
        void queries.invalidateQueries({ queryKey: ["get", path] });
      }
    };
    watchSession(sessionId, {
      signal: stop.signal,
      onLink: (link) => setTimeline((old) => ({ ...old, link })),
      onEvent: (event) => {
        setTimeline((old) => ({ ...old, events: merge(old.events, event) }));
        if (stateOf(event) !== null) refresh();
      },
    }).then(
      () => {
        if (stop.signal.aborted) return;
        setTimeline((old) => ({ ...old, link: "over" }));
        refresh();
      },
      (error: unknown) => setTimeline((old) => ({ ...old, link: "over", error })),
    );
    return () => stop.abort();
  }, [sessionId, queries]);
  return timeline;
}

/** The session itself; asked again now and then in case the stream of events is held up. */
export function useSession(sessionId: string) {
  return api.useQuery(
    "get",
    "/api/auth/session/{sessionId}",
    { params: { path: { sessionId } } },
    { refetchInterval: (query) => (query.state.data?.machineGoneAt ? false : 5_000) },
  );
}
