import {
  Alert,
  Badge,
  Button,
  Card,
  type CSSVariablesResolver,
  createTheme,
  Drawer,
  Modal,
  NavLink,
  Notification,
  Paper,
  Skeleton,
  Table,
  Tooltip,
} from "@mantine/core";
import { amber, dark, gray, green, orange, pine, red } from "./colors";

const closeButtonProps = { "aria-label": "Close" };

export const theme = createTheme({
  colors: { pine, amber, gray, dark, green, orange, red },
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
    Drawer: Drawer.extend({ defaultProps: { closeButtonProps } }),
    Modal: Modal.extend({
      defaultProps: { centered: true, overlayProps: { blur: 2 }, closeButtonProps },
    }),
    NavLink: NavLink.extend({ defaultProps: { variant: "light" } }),
    Notification: Notification.extend({ defaultProps: { closeButtonProps } }),
    Paper: Paper.extend({ defaultProps: { shadow: "xs" } }),
    Skeleton: Skeleton.extend({ defaultProps: { radius: "md" } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: "sm", horizontalSpacing: "md" } }),
    Tooltip: Tooltip.extend({ defaultProps: { withArrow: true, openDelay: 300 } }),
  },
});

/** Mantine's light variants, placeholders and errors are too pale on white or too dark on dark. */
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
  const shared = { "--mantine-color-placeholder": "var(--mantine-color-dimmed)" };
  return {
    variables: {},
    light: {
      ...shared,
      ...variables((tones) => [tones[9] ?? "", tones[1] ?? ""]),
      "--mantine-color-error": "var(--mantine-color-red-7)",
    },
    dark: {
      ...shared,
      ...variables((tones) => [tones[3] ?? "", faint(tones[4] ?? "")]),
      "--mantine-color-error": "var(--mantine-color-red-4)",
    },
  };
};
