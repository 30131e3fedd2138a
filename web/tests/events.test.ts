import { afterEach, describe, expect, test, vi } from "vitest";
import { watchSession } from "../src/api/events";
import { ApiError } from "../src/api/problem";
import type { SessionEvent } from "../src/lib/timeline";

// The pause between attempts is backoff's business (tests/small.test.ts), not a wait in a test.
vi.mock("../src/lib/backoff", () => ({ backoff: () => 0, pause: () => Promise.resolve() }));

function frame(seq: number): string {
  const data = { seq, at: "2026-11-23T12:00:00Z", kind: "state", data: { state: "pending" } };
  return `id: ${seq}\nevent: state\ndata: ${JSON.stringify(data)}\n\n`;
}

const END = "event: end\ndata: {}\n\n";

function answer(...chunks: string[]): Response {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

function serve(...answers: (Response | Error)[]): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const next = answers.shift();
    if (next === undefined) throw new Error("asked too often");
    if (next instanceof Error) throw next;
    return next;
  });
  return asked;
}

async function watch(): Promise<{ seqs: number[]; links: string[] }> {
  const seen: SessionEvent[] = [];
  const links: string[] = [];
  await watchSession("ses_1", {
    onEvent: (event) => seen.push(event),
    onLink: (link) => links.push(link),
    signal: new AbortController().signal,
  });
  return { seqs: seen.map((event) => event.seq), links };
}

afterEach(() => vi.unstubAllGlobals());

describe("watchSession", () => {
  test("events come in order, also when the network cuts them in the middle", async () => {
    const text = frame(1) + frame(2) + END;
    serve(answer(text.slice(0, 17), text.slice(17, 60), text.slice(60)));
    expect(await watch()).toEqual({ seqs: [1, 2], links: ["live"] });
  });

  test("a dropped connection goes on after the last event that was seen", async () => {
    const asked = serve(answer(frame(4)), new TypeError("network"), answer(frame(9), END));
    const { seqs, links } = await watch();
    expect(seqs).toEqual([4, 9]);
    expect(links).toEqual(["live", "lost", "lost", "live"]);
    expect(asked.map((path) => path.split("?")[1])).toEqual(["after=0", "after=4", "after=4"]);
  });

  test("a refusal is thrown with the server's sentence and not tried again", async () => {
    const problem = {
      status: 404,
      code: "not_found",
      title: "Not found",
      detail: "No such session.",
    };
    const asked = serve(new Response(JSON.stringify(problem), { status: 404 }));
    await expect(watch()).rejects.toEqual(new ApiError({ ...problem }));
    expect(asked).toHaveLength(1);
  });

  test("a server that is restarting is asked again", async () => {
    serve(new Response("", { status: 503 }), answer(END));
    expect((await watch()).links).toEqual(["lost", "live"]);
  });

  test("an event that is no event is passed over", async () => {
    serve(answer("event: state\ndata: not json\n\n", 'data: {"seq":"1"}\n\n', frame(3), END));
    expect((await watch()).seqs).toEqual([3]);
  });
});
