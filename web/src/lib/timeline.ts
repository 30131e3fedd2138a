import type { Schemas } from "../api/client";
import { plural } from "./format";
import { hasEnded, JOURNEY, type SessionState } from "./session";

export type SessionEvent = Schemas["SessionEvent"];

export interface Note {
  seq: number;
  at: string;
  text: string;
}

export interface Step {
  state: SessionState;
  /** `stopped`: begun, but the session ended in it. `ended`: the last entry, how it ended. */
  status: "done" | "current" | "waiting" | "stopped" | "ended";
  /** When the step began; null while it is still to come. */
  startedAt: number | null;
  /** Null while it runs or has not begun. */
  endedAt: number | null;
  notes: Note[];
}

const STATES: ReadonlySet<string> = new Set([...JOURNEY, "failed", "cancelled", "expired"]);

/** The state that an event of kind `state` tells, or null for every other event. */
export function stateOf(event: SessionEvent): SessionState | null {
  if (event.kind !== "state") return null;
  const value = event.data["state"] ?? event.data["to"];
  return typeof value === "string" && STATES.has(value) ? (value as SessionState) : null;
}

/** Adds an event unless it is there: a reconnect may bring some of them twice, in any order. */
export function merge(events: readonly SessionEvent[], event: SessionEvent): SessionEvent[] {
  if (events.some((known) => known.seq === event.seq)) return events as SessionEvent[];
  const merged = [...events, event];
  merged.sort((a, b) => a.seq - b.seq);
  return merged;
}

/** The newest state that the timeline tells. */
export function latestState(events: readonly SessionEvent[]): SessionState | null {
  for (let i = events.length - 1; i >= 0; i--) {
    const event = events[i];
    const state = event && stateOf(event);
    if (state) return state;
  }
  return null;
}

/**
 * Turns the flat log of events into the steps that a person reads.
 *
 * A session that goes well shows the whole road, also the part that is still ahead; one that ended
 * otherwise shows only what happened.
 */
export function steps(events: readonly SessionEvent[], createdAt: string): Step[] {
  const made: Step[] = [];
  let current = open("pending", Date.parse(createdAt));
  made.push(current);
  for (const event of events) {
    const at = Date.parse(event.at);
    const state = stateOf(event);
    if (state === null) {
      const text = noteOf(event);
      if (text !== null) current.notes.push({ seq: event.seq, at: event.at, text });
    } else if (state !== current.state) {
      current.endedAt = at;
      current.status = hasEnded(state) && state !== "completed" ? "stopped" : "done";
      current = open(state, at);
      made.push(current);
    }
  }
  if (hasEnded(current.state)) {
    current.status = "ended";
    current.endedAt = current.startedAt;
    return made;
  }
  const ahead = JOURNEY.slice(JOURNEY.indexOf(current.state as (typeof JOURNEY)[number]) + 1);
  for (const state of ahead) {
    made.push({ state, status: "waiting", startedAt: null, endedAt: null, notes: [] });
  }
  return made;
}

function open(state: SessionState, startedAt: number): Step {
  return { state, status: "current", startedAt, endedAt: null, notes: [] };
}

/** What an event says to a person; null for those that only machines care about. */
export function noteOf(event: SessionEvent): string | null {
  const { data } = event;
  switch (event.kind) {
    case "login_started":
      return "The tool's own login runs";
    case "prompt_answered":
      return "Answered the tool's question for you";
    case "url_opened":
      return `It opened ${host(data["host"])}`;
    case "page_shown":
      return `${host(data["host"])} is on the screen`;
    case "assist_clicked":
      return "Pressed a button for you";
    case "login_exited":
      return typeof data["exit"] === "number" && data["exit"] !== 0
        ? `The tool's login ended with code ${data["exit"]}`
        : "The tool's login ended";
    case "manifest_satisfied":
      return "The tool has written its credential";
    case "browser_restarted":
      return data["restored"] === true
        ? "The browser was restarted on the same page"
        : "The browser was restarted";
    case "captured":
      return encrypted(data["files"]);
    case "delivered":
      return "The files are in place";
    case "verified":
      return "The tool answered";
    case "machine_gone":
      return "The browser machine is destroyed";
    default:
      return null;
  }
}

function host(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : "a page";
}

/** Two files by name; of more, the first: the receipt has them all. */
function encrypted(files: unknown): string {
  const paths = Array.isArray(files) ? files.map(pathOf).filter((path) => path !== null) : [];
  if (paths.length === 0) return "Encrypted what the tool wrote";
  const named = paths.length > 2 ? `${paths[0]}, …` : paths.join(", ");
  return `Encrypted ${plural(paths.length, "file")}: ${named}`;
}

function pathOf(file: unknown): string | null {
  const path = typeof file === "object" && file !== null && "path" in file ? file.path : null;
  return typeof path === "string" && path !== "" ? path : null;
}
