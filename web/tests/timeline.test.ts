import { describe, expect, test } from "vitest";
import { latestState, merge, noteOf, type SessionEvent, steps } from "../src/lib/timeline";

const BEGAN = "2026-11-23T12:00:00.000Z";

function event(seq: number, second: number, kind: string, data = {}): SessionEvent {
  return { seq, at: new Date(Date.parse(BEGAN) + second * 1000).toISOString(), kind, data };
}

const state = (seq: number, second: number, name: string) =>
  event(seq, second, "state", { state: name });

describe("steps", () => {
  test("a session under way shows what is behind it, where it is and what is ahead", () => {
    const road = steps([state(1, 0, "pending"), state(2, 1, "provisioning")], BEGAN);
    expect(road.map((s) => [s.state, s.status])).toEqual([
      ["pending", "done"],
      ["provisioning", "current"],
      ["starting_login", "waiting"],
      ["awaiting_user", "waiting"],
      ["capturing", "waiting"],
      ["delivering", "waiting"],
      ["verifying", "waiting"],
      ["completed", "waiting"],
    ]);
  });

  test("a step lasts from its own change of state to the next", () => {
    const [pending, provisioning] = steps(
      [state(1, 0, "pending"), state(2, 1.5, "provisioning"), state(3, 4, "starting_login")],
      BEGAN,
    );
    expect((pending?.endedAt ?? 0) - (pending?.startedAt ?? 0)).toBe(1500);
    expect((provisioning?.endedAt ?? 0) - (provisioning?.startedAt ?? 0)).toBe(2500);
  });

  test("a session that failed shows only what happened, and marks where it stopped", () => {
    const road = steps(
      [state(1, 0, "pending"), state(2, 1, "awaiting_user"), state(3, 9, "failed")],
      BEGAN,
    );
    expect(road.map((s) => [s.state, s.status])).toEqual([
      ["pending", "done"],
      ["awaiting_user", "stopped"],
      ["failed", "ended"],
    ]);
  });

  test("what the agent told stands under the step in which it came, also after the end", () => {
    const road = steps(
      [
        state(1, 0, "pending"),
        state(2, 1, "starting_login"),
        event(3, 2, "url_opened", { host: "auth.example.test" }),
        state(4, 3, "cancelled"),
        event(5, 4, "machine_gone"),
      ],
      BEGAN,
    );
    expect(road.map((s) => s.notes.map((n) => n.text))).toEqual([
      [],
      ["It opened auth.example.test"],
      ["The browser machine is destroyed"],
    ]);
  });

  test("a state that this page does not know leaves the road as it was", () => {
    expect(steps([state(1, 0, "pending"), state(2, 1, "dancing")], BEGAN)[0]?.status).toBe(
      "current",
    );
  });
});

describe("merge", () => {
  test("an event that comes twice is kept once, and late ones are put in order", () => {
    const [a, b, c] = [event(1, 0, "a"), event(2, 1, "b"), event(3, 2, "c")];
    const merged = [a, c, b, c].reduce<SessionEvent[]>((all, e) => merge(all, e), []);
    expect(merged.map((e) => e.seq)).toEqual([1, 2, 3]);
  });
});

test("the newest state wins over everything that the agent told after it", () => {
  const events = [state(1, 0, "pending"), state(2, 1, "awaiting_user"), event(3, 2, "page_shown")];
  expect(latestState(events)).toBe("awaiting_user");
});

describe("what was encrypted is told by name", () => {
  const captured = (...paths: string[]) => {
    const files = paths.map((path) => ({ path, size: 672, mode: "0600" }));
    return noteOf(event(1, 0, "captured", { files, version: 1 }));
  };

  test.each([
    [["a/b.json"], "Encrypted 1 file: a/b.json"],
    [["a", "b"], "Encrypted 2 files: a, b"],
    [["a", "b", "c"], "Encrypted 3 files: a, …"],
  ])("%j", (paths, text) => {
    expect(captured(...paths)).toBe(text);
  });
});

test("an answered question does not show the name that only the provider's file knows", () => {
  expect(noteOf(event(1, 0, "prompt_answered", { prompt: "open_browser" }))).not.toContain("_");
});

test("data of a wrong type from the guest never breaks a note", () => {
  expect(noteOf(event(1, 0, "url_opened", { host: { x: 1 } }))).toBe("It opened a page");
  expect(noteOf(event(1, 0, "captured", { files: [{ path: 7 }, "a", null] }))).toBe(
    "Encrypted what the tool wrote",
  );
  expect(noteOf(event(1, 0, "login_exited", { exit: "1" }))).toBe("The tool's login ended");
});
