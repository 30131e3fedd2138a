import type { Schemas } from "../api/client";

export type SessionState = Schemas["SessionState"];

/** The way of a sign-in that goes well, in order. */
export const JOURNEY = [
  "pending",
  "provisioning",
  "starting_login",
  "awaiting_user",
  "capturing",
  "delivering",
  "verifying",
  "completed",
] as const satisfies readonly SessionState[];

const ENDS: ReadonlySet<SessionState> = new Set(["completed", "failed", "cancelled", "expired"]);

export function hasEnded(state: SessionState): boolean {
  return ENDS.has(state);
}

/** The states in which the browser machine has something to show. */
export function hasDisplay(state: SessionState): boolean {
  return state === "starting_login" || state === "awaiting_user" || state === "capturing";
}

export const STATE_LABEL: Record<SessionState, string> = {
  pending: "Queued",
  provisioning: "Taking a browser machine",
  starting_login: "Starting the tool's login",
  awaiting_user: "Your turn: sign in",
  capturing: "Reading the credential",
  delivering: "Writing it into your CLI machine",
  verifying: "Asking the tool itself",
  completed: "Signed in",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Ran out of time",
};

/** The same step once it is behind us. */
export const STATE_DONE: Record<SessionState, string> = {
  pending: "Queued",
  provisioning: "Browser machine ready",
  starting_login: "Login started",
  awaiting_user: "You signed in",
  capturing: "Credential encrypted",
  delivering: "Written into your CLI machine",
  verifying: "Confirmed by the tool",
  completed: "Signed in",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Ran out of time",
};

export const STATE_COLOR: Record<SessionState, string> = {
  pending: "gray",
  provisioning: "pine",
  starting_login: "pine",
  awaiting_user: "amber",
  capturing: "pine",
  delivering: "pine",
  verifying: "pine",
  completed: "green",
  failed: "red",
  cancelled: "gray",
  expired: "orange",
};
