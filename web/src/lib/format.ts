/** `312 B`, `4.1 KiB`, `1.2 MiB`. */
export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / (1024 * 1024)).toFixed(1)} MiB`;
}

/** An id is long; its head and tail tell two apart. */
export function shortId(id: string): string {
  return id.length <= 16 ? id : `${id.slice(0, 9)}…${id.slice(-4)}`;
}

/** `0600` -> `rw-------`, for people who think in letters. Anything odd is returned as it is. */
export function modeLetters(mode: string): string {
  const digits = mode.replace(/^0o?/, "");
  if (!/^[0-7]{3}$/.test(digits)) return mode;
  return [...digits]
    .map((digit) => {
      const n = Number(digit);
      return `${n & 4 ? "r" : "-"}${n & 2 ? "w" : "-"}${n & 1 ? "x" : "-"}`;
    })
    .join("");
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

interface Identity {
  account: string | null;
  plan: string | null;
}

/** What a tool answered when it was asked whether it is signed in, in words of our own. */
export function checked(title: string, { account, plan }: Identity, ok: boolean): string {
  if (!ok) return `${title} says it is not signed in any more. Sign in again.`;
  const whose = account === null ? "" : ` as ${account}`;
  return `${title} says it is signed in${whose}${plan === null ? "" : ` (${plan} plan)`}.`;
}

/** `claude_code` -> `Claude Code`, where the tool's own title is not to be had. */
export function titleOf(provider: string): string {
  return provider
    .split("_")
    .map((word) => (word === "cli" ? "CLI" : word.charAt(0).toUpperCase() + word.slice(1)))
    .join(" ");
}
