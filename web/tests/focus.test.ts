import { describe, expect, test } from "vitest";
import { FocusKeeper, releaseOnLeave } from "../src/live/focus";

const ELSEWHERE = {} as Element;
const CANVAS = {} as Element;
const BODY = {} as HTMLElement;

/** As much of a page as the rule looks at. */
function page() {
  const facts = { activeElement: BODY as Element | null, dialog: false };
  const ownerDocument = Object.assign(new EventTarget(), {
    body: BODY,
    querySelector: () => (facts.dialog ? {} : null),
  });
  Object.defineProperty(ownerDocument, "activeElement", { get: () => facts.activeElement });
  const target = { ownerDocument, contains: (node: unknown) => node === CANVAS };
  const keeper = new FocusKeeper(target as unknown as HTMLElement, new AbortController().signal);
  const act = (kind: "focusin" | "pointerdown", on: Element) => {
    const event = new Event(kind);
    Object.defineProperty(event, "target", { value: on });
    ownerDocument.dispatchEvent(event);
    facts.activeElement = on;
  };
  /** The canvas is taken out of the page while it has the focus. */
  const drop = () => {
    facts.activeElement = BODY;
  };
  return { keeper, facts, act, drop };
}

describe("the screen takes the keyboard", () => {
  test("when it first comes up and nobody else has it", () => {
    expect(page().keeper.mayTake(true)).toBe(true);
  });

  test("never from a person who types elsewhere, first or later", () => {
    const { keeper, act } = page();
    act("focusin", CANVAS);
    act("focusin", ELSEWHERE);
    expect([keeper.mayTake(true), keeper.mayTake(false)]).toEqual([false, false]);
  });

  test("again after a drop, if it had it", () => {
    const { keeper, act, drop } = page();
    act("focusin", CANVAS);
    drop();
    expect(keeper.mayTake(false)).toBe(true);
  });

  test("not after a drop, if the person had left it for nothing in particular", () => {
    const { keeper, act, drop } = page();
    act("focusin", CANVAS);
    act("pointerdown", ELSEWHERE);
    drop();
    expect(keeper.mayTake(false)).toBe(false);
  });

  test("not while a dialog is open", () => {
    const { keeper, facts } = page();
    facts.dialog = true;
    expect(keeper.mayTake(true)).toBe(false);
  });
});

test("keys that are down when the focus leaves are released, those that are not are left", () => {
  const keyEvent = (kind: string, code: string) => Object.assign(new Event(kind), { code });
  const target = new EventTarget();
  const canvas = new EventTarget();
  const released: string[] = [];
  canvas.addEventListener("keyup", (event) => released.push((event as KeyboardEvent).code));
  globalThis.KeyboardEvent ??= class extends Event {
    code: string;
    constructor(kind: string, { code }: { code: string }) {
      super(kind);
      this.code = code;
    }
  } as unknown as typeof KeyboardEvent;

  releaseOnLeave(target as HTMLElement, new AbortController().signal);
  for (const code of ["ControlLeft", "AltLeft", "KeyA"]) {
    target.dispatchEvent(keyEvent("keydown", code));
  }
  target.dispatchEvent(keyEvent("keyup", "KeyA"));
  const leave = new Event("focusout");
  Object.defineProperty(leave, "target", { value: canvas });
  target.dispatchEvent(leave);
  expect(released).toEqual(["ControlLeft", "AltLeft"]);
});
