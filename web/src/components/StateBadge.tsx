import { Badge, type BadgeProps, type DataAttributes } from "@mantine/core";
import type { Schemas } from "../api/client";
import { hasEnded, type SessionState, STATE_COLOR } from "../lib/session";

type MachineState = Schemas["MachineState"];

const SESSION_WORD: Record<SessionState, string> = {
  pending: "Queued",
  provisioning: "Preparing",
  starting_login: "Starting",
  awaiting_user: "Your turn",
  capturing: "Capturing",
  delivering: "Delivering",
  verifying: "Verifying",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Expired",
};

export function SessionBadge({
  state,
  ...props
}: { state: SessionState } & BadgeProps & DataAttributes) {
  return (
    <Badge color={STATE_COLOR[state]} variant={hasEnded(state) ? "light" : "dot"} {...props}>
      {SESSION_WORD[state]}
    </Badge>
  );
}

const MACHINE: Record<MachineState, { word: string; color: string }> = {
  starting: { word: "Starting", color: "pine" },
  ready: { word: "Running", color: "green" },
  stopped: { word: "Hibernating", color: "gray" },
  failed: { word: "Failed", color: "red" },
  destroyed: { word: "Destroyed", color: "gray" },
};

export function MachineBadge({ state }: { state: MachineState }) {
  const { word, color } = MACHINE[state];
  return (
    <Badge color={color} variant={state === "destroyed" ? "outline" : "dot"}>
      {word}
    </Badge>
  );
}
