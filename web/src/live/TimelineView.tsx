import { Text } from "@mantine/core";
import { IconBan, IconCheck, IconClockX, IconMinus, IconX } from "@tabler/icons-react";
import { useTick } from "../components/Time";
import { hasEnded, type SessionState, STATE_DONE, STATE_LABEL } from "../lib/session";
import { duration } from "../lib/time";
import type { Step } from "../lib/timeline";
import styles from "./timeline.module.css";

export function TimelineView({ steps }: { steps: Step[] }) {
  const running = steps.some((step) => step.status === "current");
  const now = useTick(100, running);
  return (
    <ol className={styles.list} data-testid="timeline">
      {steps.map((step, index) => (
        <li
          // biome-ignore lint/suspicious/noArrayIndexKey: steps are only ever added at the end
          key={index}
          className={styles.step}
          data-status={step.status}
          data-state={step.state}
          aria-current={step.status === "current" ? "step" : undefined}
        >
          <span className={styles.dot} aria-hidden="true">
            <Mark step={step} />
          </span>
          <div className={styles.line}>
            <span className={styles.label}>{label(step)}</span>
            <span className={`${styles.time} tabular`}>{time(step, now)}</span>
          </div>
          {step.notes.map((note) => (
            <Text key={note.seq} className={styles.note} size="xs" c="dimmed">
              {note.text}
            </Text>
          ))}
        </li>
      ))}
    </ol>
  );
}

function label(step: Step): string {
  return step.status === "done" ? STATE_DONE[step.state] : STATE_LABEL[step.state];
}

function time(step: Step, now: number): string {
  if (step.startedAt === null || hasEnded(step.state)) return "";
  return duration((step.endedAt ?? now) - step.startedAt);
}

const END_ICON: Partial<Record<SessionState, typeof IconCheck>> = {
  completed: IconCheck,
  failed: IconX,
  cancelled: IconBan,
  expired: IconClockX,
};

function Mark({ step }: { step: Step }) {
  if (step.status === "done") return <IconCheck size={12} stroke={3} />;
  if (step.status === "stopped") return <IconMinus size={12} stroke={3} />;
  const Icon = step.status === "ended" ? END_ICON[step.state] : undefined;
  return Icon ? <Icon size={12} stroke={3} /> : null;
}
