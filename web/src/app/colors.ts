import { DEFAULT_THEME, type MantineColorsTuple } from "@mantine/core";

/*
 * Text keeps 4.5:1 on what it stands on, in both schemes. Shade 6 (dark) and 7 (light) are grounds
 * for white, 9 is text on 1, gray 6 is dimmed text on the page (`app/theme.ts`).
 */

export const pine: MantineColorsTuple = [
  "#e8f7f5",
  "#d3ece8",
  "#a5d9d2",
  "#74c5ba",
  "#4cb3a6",
  "#2f9e92",
  "#147d74",
  "#0d6e6e",
  "#0a5959",
  "#064545",
];

export const amber: MantineColorsTuple = [
  "#fff7e2",
  "#ffedc6",
  "#fbd98f",
  "#f6c455",
  "#f2b227",
  "#e09c0c",
  "#bd7f04",
  "#966303",
  "#714a02",
  "#4d3200",
];

/** A cool grey instead of Mantine's neutral one, so that white cards lift off the page. */
export const gray: MantineColorsTuple = [
  "#f7f9fa",
  "#eff2f4",
  "#e3e8eb",
  "#d3dadf",
  "#b7c1c8",
  "#93a0a9",
  "#5f6d77",
  "#4c5963",
  "#343f48",
  "#1f282f",
];

export const dark: MantineColorsTuple = [
  "#d7dee2",
  "#b3bec5",
  "#8b99a2",
  "#66747e",
  "#3d4952",
  "#2b353d",
  "#20292f",
  "#171e23",
  "#11171b",
  "#0b1013",
];

type Dark = [string, string, string, string];

/** Mantine's own tones, but with dark ends (6 to 9) that text can be read on and in. */
function darkened(name: "green" | "orange" | "red", ends: Dark): MantineColorsTuple {
  const [a, b, c, d, e, f] = DEFAULT_THEME.colors[name];
  return [a, b, c, d, e, f, ...ends];
}

export const green = darkened("green", ["#40c057", "#37b24d", "#2b8a3e", "#1f6b2f"]);
export const orange = darkened("orange", ["#fd7e14", "#f76707", "#d9480f", "#9c3708"]);
export const red = darkened("red", ["#d63031", "#c92a2a", "#b52323", "#a61e1e"]);
