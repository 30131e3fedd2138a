import { EventSourceParserStream } from "eventsource-parser/stream";
import { backoff, pause } from "../lib/backoff";
import type { SessionEvent } from "../lib/timeline";
import { ApiError, errorOf } from "./problem";

export interface Watch {
  onEvent: (event: SessionEvent) => void;
  /** `live` while the stream is open, `lost` while it is tried again. */
  onLink: (link: "live" | "lost") => void;
  signal: AbortSignal;
}

/**
 * Follows a session's timeline until it ends, through dropped connections.
 *
 * Done by fetch, not EventSource: a refusal is then a problem document with a sentence, and the
 * place to go on from is ours to state.
 *
 * @returns when the server said `end` or the signal fired
 * @throws ApiError when the server refuses (not when it is away: then it is asked again)
 */
export async function watchSession(sessionId: string, watch: Watch): Promise<void> {
  let after = 0;
  let attempt = 0;
  while (!watch.signal.aborted) {
    try {
      for await (const message of stream(sessionId, after, watch)) {
        attempt = 0;
        if (message === "end") return;
        after = Math.max(after, message.seq);
        watch.onEvent(message);
      }
    } catch (error) {
      if (watch.signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
    }
    if (watch.signal.aborted) return;
    watch.onLink("lost");
    await pause(backoff(attempt++), watch.signal);
  }
}

async function* stream(
  sessionId: string,
  after: number,
  watch: Watch,
): AsyncGenerator<SessionEvent | "end"> {
  const path = `/api/auth/session/${encodeURIComponent(sessionId)}/events?after=${after}`;
  const response = await fetch(path, {
    headers: { Accept: "text/event-stream" },
    credentials: "same-origin",
    cache: "no-store",
    signal: watch.signal,
  });
  if (!response.ok) throw await errorOf(response);
  if (response.body === null) return;
  watch.onLink("live");
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.event === "end") {
        yield "end";
        return;
      }
      const event = parse(value.data);
      if (event !== null) yield event;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parse(data: string): SessionEvent | null {
  try {
    const value = JSON.parse(data) as Partial<SessionEvent> | null;
    const whole =
      typeof value?.seq === "number" &&
      typeof value.at === "string" &&
      typeof value.kind === "string" &&
      typeof value.data === "object" &&
      value.data !== null;
    return whole ? (value as SessionEvent) : null;
  } catch {
    return null;
  }
}
