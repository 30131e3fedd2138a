import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The server answers with a strict Content-Security-Policy (default-src 'self'): so nothing may be
// inlined into the page as a script, and no asset may become a data: address.
export default defineConfig({
  plugins: [react()],
  // The server puts a fresh nonce in its place at each answer (api/security.py); Mantine reads it
  // for the style elements that it makes.
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    outDir: "../src/polydev/api/static",
    emptyOutDir: true,
    target: "es2022", // noVNC awaits at the top level of a module
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: { "/api": { target: "http://127.0.0.1:4000", ws: true } },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
