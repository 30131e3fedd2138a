import { useEffect } from "react";
import { client } from "../api/client";

const EVERY = 15_000;

/** Tells the server that somebody has the live view open, so that their time does not run out. */
export function useHeartbeat(sessionId: string, on: boolean): void {
  useEffect(() => {
    if (!on) return;
    const beat = () => {
      // A beat that is lost is made up for by the next one.
      client
        .POST("/api/auth/session/{sessionId}/heartbeat", { params: { path: { sessionId } } })
        .catch(() => undefined);
    };
    beat();
    const timer = setInterval(beat, EVERY);
    return () => clearInterval(timer);
  }, [sessionId, on]);
}
