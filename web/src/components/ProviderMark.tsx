import type { ReactNode } from "react";

/** Our own marks, not the vendors' logos: enough to tell the tools apart at a glance. */
const MARKS: Record<string, { from: string; to: string; shape: ReactNode }> = {
  codex: {
    from: "#1f8a70",
    to: "#0b5563",
    shape: <path d="m13 14 6 6-6 6m9 0h6" />,
  },
  claude_code: {
    from: "#c7743f",
    to: "#934a2b",
    shape: <path d="M16 13c-3 0-2 6-5 7 3 1 2 7 5 7m8-14c3 0 2 6 5 7-3 1-2 7-5 7" />,
  },
  gemini_cli: {
    from: "#5b7de0",
    to: "#3b3f9e",
    shape: (
      <>
        <circle cx="17" cy="20" r="6" />
        <circle cx="23" cy="20" r="6" />
      </>
    ),
  },
};

const OTHERS = [
  ["#6b7fa3", "#465778"],
  ["#8a6fa8", "#5d4579"],
  ["#5f9178", "#37604b"],
  ["#a3766b", "#744a41"],
] as const;

export function ProviderMark({ provider, size = 40 }: { provider: string; size?: number }) {
  const mark = MARKS[provider];
  const sum = [...provider].reduce((total, char) => total + char.charCodeAt(0), 0);
  const [from, to] = mark ? [mark.from, mark.to] : (OTHERS[sum % OTHERS.length] ?? OTHERS[0]);
  const gradient = `mark-${provider}`;
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 40 40"
      aria-hidden="true"
      style={{ flexShrink: 0 }}
    >
      <defs>
        <linearGradient id={gradient} x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stopColor={from} />
          <stop offset="1" stopColor={to} />
        </linearGradient>
      </defs>
      <rect width="40" height="40" rx="10" fill={`url(#${gradient})`} />
      {mark ? (
        <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round">
          {mark.shape}
        </g>
      ) : (
        <text
          x="20"
          y="26"
          textAnchor="middle"
          fill="#fff"
          fontSize="17"
          fontWeight="600"
          fontFamily="inherit"
        >
          {provider.slice(0, 1).toUpperCase()}
        </text>
      )}
    </svg>
  );
}
