import { Anchor, Group, Text } from "@mantine/core";
import { Link } from "react-router";

export function Logo({ size = 24, to }: { size?: number; to?: string | undefined }) {
  const mark = (
    <Group gap={9} wrap="nowrap">
      <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#0d6e6e" />
        <path
          d="M9 23V10.5A1.5 1.5 0 0 1 10.5 9h6.25a5.25 5.25 0 0 1 0 10.5H13"
          fill="none"
          stroke="#fff"
          strokeWidth="3"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
        <circle cx="22.5" cy="22.5" r="2" fill="#7fe3d4" />
      </svg>
      <Text fw={650} fz={size * 0.68} lh={1} lts="-0.02em">
        Polydev
      </Text>
    </Group>
  );
  if (to === undefined) return mark;
  return (
    <Anchor component={Link} to={to} c="inherit" underline="never">
      {mark}
    </Anchor>
  );
}
