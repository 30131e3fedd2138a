import { Text } from "@mantine/core";
import type { ReactNode } from "react";
import styles from "./facts.module.css";

/** Name and value, one under the other; a row without a value is left out. */
export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className={styles.facts}>
      {rows
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name} className={styles.row}>
            <Text component="dt" size="sm" c="dimmed">
              {name}
            </Text>
            <Text component="dd" size="sm" m={0} className="tabular" miw={0}>
              {value}
            </Text>
          </div>
        ))}
    </dl>
  );
}
