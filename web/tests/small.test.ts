import { describe, expect, test } from "vitest";
import { ApiError, errorOf, isTransient, sentenceOf, staleness } from "../src/api/problem";
import { takeToken } from "../src/auth/token";
import { backoff } from "../src/lib/backoff";
import { bytes, checked, modeLetters, shortId, titleOf } from "../src/lib/format";
import { duration, relative } from "../src/lib/time";
import { keysymsOfText } from "../src/live/keysyms";

describe("takeToken", () => {
  function visit(hash: string) {
    const replaced: string[] = [];
    const location = { hash, pathname: "/view/ses_1", search: "" } as Location;
    const history = {
      state: null,
      replaceState: (_state: unknown, _title: string, url: string) => replaced.push(url),
    } as unknown as History;
    return { token: takeToken(location, history), replaced };
  }

  test("a token is taken and the address is cleaned of it", () => {
    expect(visit("#token=abc-DEF_123")).toEqual({
      token: "abc-DEF_123",
      replaced: ["/view/ses_1"],
    });
  });

  test("an empty token is cleaned away too", () => {
    expect(visit("#token=")).toEqual({ token: null, replaced: ["/view/ses_1"] });
  });

  test("any other fragment is left alone", () => {
    expect(visit("#console")).toEqual({ token: null, replaced: [] });
    expect(visit("")).toEqual({ token: null, replaced: [] });
  });
});

describe("errors become sentences", () => {
  test("a problem document speaks for itself, with its fields", async () => {
    const problem = {
      title: "Bad request",
      status: 422,
      code: "invalid_input",
      detail: "Some fields are wrong.",
      errors: [{ field: "label", message: "too long" }],
    };
    const error = await errorOf(new Response(JSON.stringify(problem), { status: 422 }));
    expect(sentenceOf(error)).toBe("Some fields are wrong. (label: too long)");
  });

  test("an answer that is no problem document still gets a sentence", async () => {
    const error = await errorOf(new Response("<h1>Bad gateway</h1>", { status: 502 }));
    expect(sentenceOf(error)).toContain("502");
    expect(isTransient(error)).toBe(true);
  });

  test("no answer at all is told as such, and a fault of the page shows no internals", () => {
    expect(sentenceOf(new TypeError("Failed to fetch"))).toContain("does not answer");
    expect(sentenceOf(new Error("secret detail"))).not.toContain("secret");
  });

  test("old data is told as such, with why", () => {
    const why = new ApiError({ status: 503, code: "x", detail: "The database is away." });
    expect(staleness(new TypeError("x"))).toBe("Not up to date: the server does not answer.");
    expect(staleness(why)).toBe("Not up to date: The database is away.");
  });

  test("a refusal is not worth asking again", () => {
    expect(isTransient(new ApiError({ status: 403, code: "x", detail: "No." }))).toBe(false);
  });
});

describe("times", () => {
  test.each([
    [-5, "0.0 s"],
    [840, "0.8 s"],
    [9_949, "9.9 s"],
    [9_950, "10 s"],
    [59_700, "1 m 00 s"],
    [185_000, "3 m 05 s"],
    [7_440_000, "2 h 04 m"],
  ])("%d ms reads as %s", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test("distances are told in words, both ways", () => {
    const now = Date.parse("2026-11-23T12:00:00Z");
    expect(relative("2026-11-23T11:59:40Z", now)).toBe("just now");
    expect(relative("2026-11-23T11:55:00Z", now)).toBe("5 minutes ago");
    expect(relative("2026-11-26T12:00:00Z", now)).toBe("in 3 days");
  });
});

test("a reconnect waits longer each time, up to a bound", () => {
  const waits = Array.from({ length: 8 }, (_, attempt) => backoff(attempt, () => 0));
  expect(waits.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
  expect(waits.at(-1)).toBe(10_000);
  expect(backoff(50, () => 1)).toBe(13_000);
});

test("sizes, modes, ids and names read well", () => {
  expect([bytes(312), bytes(4200), bytes(1_300_000)]).toEqual(["312 B", "4.1 KiB", "1.2 MiB"]);
  expect([modeLetters("0600"), modeLetters("0o755"), modeLetters("odd")]).toEqual([
    "rw-------",
    "rwxr-xr-x",
    "odd",
  ]);
  expect(shortId("ses_0123456789abcdef")).toBe("ses_01234…cdef");
  expect(titleOf("gemini_cli")).toBe("Gemini CLI");
});

test("a tool's answer about itself is told in a sentence, with what is known of the account", () => {
  const mira = { account: "mira@example.test", plan: "Pro" };
  expect(checked("Codex", mira, true)).toBe(
    "Codex says it is signed in as mira@example.test (Pro plan).",
  );
  expect(checked("Codex", { account: null, plan: null }, true)).toBe("Codex says it is signed in.");
  expect(checked("Codex", mira, false)).toContain("not signed in any more");
});

test("typed text becomes keysyms, beyond Latin-1 too", () => {
  expect(keysymsOfText("aé€\n")).toEqual([0x61, 0xe9, 0x010020ac, 0xff0d]);
});
