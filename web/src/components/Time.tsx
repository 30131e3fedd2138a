import { Text, type TextProps, Tooltip } from "@mantine/core";
import { useEffect, useReducer } from "react";
import { fullTime, relative } from "../lib/time";

/** Draws again every `interval` ms while it is on; for clocks that count. */
export function useTick(interval: number, on = true): number {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(tick, interval);
    return () => clearInterval(timer);
  }, [interval, on]);
  return Date.now();
}

/** `5 minutes ago`, with the exact time on hover and for assistive tools. */
export function Ago({ at, ...props }: { at: string } & TextProps) {
  const now = useTick(20_000);
  return (
    <Tooltip label={fullTime(at)}>
      <Text component="time" dateTime={at} inherit span className="tabular" {...props}>
        {relative(at, now)}
      </Text>
    </Tooltip>
  );
}
