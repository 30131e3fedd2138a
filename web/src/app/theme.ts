import {
  Alert,
  Badge,
  Button,
  Card,
  type CSSVariablesResolver,
  createTheme,
  type MantineColorsTuple,
  Modal,
  NavLink,
  Paper,
  Skeleton,
  Table,
  Tooltip,
} from "@mantine/core";

const pine: MantineColorsTuple = [
  "#e8f7f5",
  "#d3ece8",
  "#a5d9d2",
  "#74c5ba",
  "#4cb3a6",
  "#2f9e92",
  "#17857b",
  "#0d6e6e",
  "#0a5959",
  "#064545",
];

const amber: MantineColorsTuple = [
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
const gray: MantineColorsTuple = [
  "#f7f9fa",
  "#eff2f4",
  "#e3e8eb",
  "#d3dadf",
  "#b7c1c8",
  "#93a0a9",
  "#6b7983",
  "#4c5963",
  "#343f48",
  "#1f282f",
];

const dark: MantineColorsTuple = [
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

export const theme = createTheme({
  colors: { pine, amber, gray, dark },
  primaryColor: "pine",
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  headings: {
    fontWeight: "600",
    sizes: { h1: { fontSize: "1.5rem" }, h2: { fontSize: "1.1rem" } },
  },
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.9rem", lg: "1rem", xl: "1.2rem" },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Alert: Alert.extend({ defaultProps: { variant: "light" } }),
    Badge: Badge.extend({
      defaultProps: { variant: "light", radius: "sm", tt: "none", fw: 550 },
      // A state must never be cut short: rather the table scrolls.
      styles: { root: { minWidth: "max-content" }, label: { overflow: "visible" } },
    }),
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    Card: Card.extend({
      defaultProps: {
        withBorder: true,
        shadow: "xs",
        padding: "lg",
        bg: "var(--mantine-color-body)",
      },
    }),
    Modal: Modal.extend({ defaultProps: { centered: true, overlayProps: { blur: 2 } } }),
    NavLink: NavLink.extend({ defaultProps: { variant: "light" } }),
    Paper: Paper.extend({ defaultProps: { shadow: "xs" } }),
    Skeleton: Skeleton.extend({ defaultProps: { radius: "md" } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: "sm", horizontalSpacing: "md" } }),
    Tooltip: Tooltip.extend({ defaultProps: { withArrow: true, openDelay: 300 } }),
  },
});

/** Mantine's light variants are a little pale on white and a little dark on dark. */
export const cssVariables: CSSVariablesResolver = (made) => {
  const names = ["pine", "amber", "green", "red", "orange", "gray"] as const;
  const variables = (pick: (tones: readonly string[]) => [string, string]) =>
    Object.fromEntries(
      names.flatMap((name) => {
        const [text, ground] = pick(made.colors[name] ?? []);
        return [
          [`--mantine-color-${name}-light-color`, text],
          [`--mantine-color-${name}-light`, ground],
        ];
      }),
    );
  const faint = (color: string) => `color-mix(in srgb, ${color} 16%, transparent)`;
  return {
    variables: {},
    light: variables((tones) => [tones[9] ?? "", tones[1] ?? ""]),
    dark: variables((tones) => [tones[3] ?? "", faint(tones[4] ?? "")]),
  };
};
