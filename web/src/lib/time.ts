const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `0.8 s`, `12 s`, `3 m 05 s`, `2 h 04 m`: steps are read against each other, so short and steady. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9_950) return `${(ms / SECOND).toFixed(1)} s`;
  // Rounded once, at the top: 59.7 s must not become "60 s".
  const seconds = Math.round(ms / SECOND);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${pad(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${pad(Math.floor((seconds % 3600) / 60))} m`;
}

function pad(value: number): string {
  return value.toString().padStart(2, "0");
}

/** `just now`, `5 minutes ago`, `in 3 days`. */
export function relative(iso: string, now: number): string {
  const distance = Date.parse(iso) - now;
  const size = Math.abs(distance);
  if (size < 45 * SECOND) return "just now";
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (size < 45 * MINUTE) return format.format(Math.round(distance / MINUTE), "minute");
  if (size < 22 * HOUR) return format.format(Math.round(distance / HOUR), "hour");
  return format.format(Math.round(distance / DAY), "day");
}

const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function fullTime(iso: string): string {
  return FULL.format(new Date(iso));
}
