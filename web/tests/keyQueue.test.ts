import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { APART, type Key, KeyQueue } from "../src/live/keyQueue";
import { keysymsOfText } from "../src/live/keysyms";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const CTRL = 0xffe3;
const KANA = 0x01003042;
const A = 0x61;
const B = 0x62;
const UMLAUT = 0xe4;

type Press = [keysym: number, code?: string];

function queue() {
  const sent: { key: Key; at: number }[] = [];
  const began = performance.now();
  const made = new KeyQueue((key) => sent.push({ key, at: performance.now() - began }));
  const push = (down: boolean, [keysym, code]: Press) =>
    made.push({ keysym, code: code ?? null, down });
  const type = (text: string) => {
    for (const keysym of keysymsOfText(text)) {
      push(true, [keysym]);
      push(false, [keysym]);
    }
  };
  /** The keys as they went down, each with how many pauses after the start. */
  const downs = () =>
    sent.filter(({ key }) => key.down).map(({ key, at }) => [key.keysym, at / APART]);
  return { made, sent, push, type, downs };
}

test("keys of the machine's own map go at once", () => {
  const { type, downs } = queue();
  type("ab\n");
  expect(downs()).toEqual([
    [A, 0],
    [B, 0],
    [0xff0d, 0],
  ]);
});

test("a key outside the map is introduced with Ctrl, kept apart, and overtaken by none", () => {
  const { type, downs } = queue();
  type("aäbb");
  vi.runAllTimers();
  expect(downs()).toEqual([
    [A, 0],
    [CTRL, 0],
    [UMLAUT, 1],
    [UMLAUT, 2],
    [B, 3],
    [B, 3],
  ]);
});

test("the Ctrl of an introduction is up again before the key itself comes", () => {
  const { type, sent } = queue();
  type("ä");
  vi.runAllTimers();
  expect(sent.map(({ key }) => [key.keysym, key.down])).toEqual([
    [CTRL, true],
    [UMLAUT, true],
    [UMLAUT, false],
    [CTRL, false],
    [UMLAUT, true],
    [UMLAUT, false],
  ]);
});

test("each key is introduced once", () => {
  const { type, downs } = queue();
  type("äあääあ");
  vi.runAllTimers();
  expect(downs().filter(([keysym]) => keysym === CTRL)).toHaveLength(2);
  expect(downs().filter(([keysym]) => keysym === UMLAUT)).toHaveLength(4);
  expect(downs().filter(([keysym]) => keysym === KANA)).toHaveLength(3);
});

test("a Ctrl that the person holds is not let go by an introduction", () => {
  const { push, sent } = queue();
  push(true, [CTRL, "ControlLeft"]);
  push(true, [UMLAUT, "Quote"]);
  vi.runAllTimers();
  expect(sent.map(({ key }) => [key.keysym, key.down])).toEqual([
    [CTRL, true],
    [UMLAUT, true],
  ]);
});

test("a known key is released when the person releases it, and is not slowed in slow typing", () => {
  const { push, type, sent } = queue();
  type("ä");
  vi.runAllTimers();
  vi.advanceTimersByTime(APART);
  sent.length = 0;
  const pressedAt = performance.now();
  push(true, [UMLAUT, "Quote"]);
  vi.advanceTimersByTime(5);
  push(false, [UMLAUT, "Quote"]);
  expect(sent.map(({ key }) => key.down)).toEqual([true, false]);
  expect(performance.now() - pressedAt).toBe(5);
});

test("what still waits when the line drops is not sent later", () => {
  const { made, type, sent } = queue();
  type("äää");
  const before = sent.length;
  made.clear();
  vi.runAllTimers();
  expect(sent).toHaveLength(before);
});
