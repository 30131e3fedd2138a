import type RFB from "@novnc/novnc";
import { client } from "../api/client";
import { ApiError, sentenceOf } from "../api/problem";
import { backoff, pause } from "../lib/backoff";

export type ScreenStatus =
  | { kind: "connecting" }
  | { kind: "connected" }
  | { kind: "lost" }
  | { kind: "refused"; sentence: string };

export interface ScreenHandlers {
  onStatus: (status: ScreenStatus) => void;
  /** Text that something in the machine copied. Hostile: show it as text, never act on it. */
  onClipboard: (text: string) => void;
}

const XK_CONTROL_L = 0xffe3;
const XK_V = 0x0076;

/**
 * The live screen in `target`, kept up through dropped connections until `stop`.
 *
 * Each connection takes a fresh ticket: a ticket is for one connection and lives shortly. It
 * travels as a WebSocket subprotocol, because an address would end up in logs.
 */
export class Screen {
  readonly #stop = new AbortController();
  /**
   * Whose clipboard Ctrl+V means: the machine's once something was copied there or sent to it, the
   * person's own again once they may have copied something here (see `LiveScreen`).
   */
  machineHasLatest = false;
  #rfb: RFB | null = null;
  #matchWindow: boolean;

  constructor(
    private readonly target: HTMLElement,
    private readonly sessionId: string,
    private readonly handlers: ScreenHandlers,
    matchWindow: boolean,
  ) {
    this.#matchWindow = matchWindow;
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
    this.#rfb?.disconnect();
  }

  /** Offers text to the machine's clipboard. */
  offer(text: string): void {
    this.#rfb?.clipboardPasteFrom(text);
    this.machineHasLatest = true;
  }

  /** Presses Ctrl+V for the person, who has just pressed it here, with `text` if there is any. */
  paste(text: string): void {
    const rfb = this.#rfb;
    if (rfb === null) return;
    if (text !== "") rfb.clipboardPasteFrom(text);
    rfb.sendKey(XK_CONTROL_L, "ControlLeft", true);
    rfb.sendKey(XK_V, "KeyV");
    rfb.sendKey(XK_CONTROL_L, "ControlLeft", false);
  }

  /** One character or named key from a phone's keyboard. */
  press(keysym: number): void {
    this.#rfb?.sendKey(keysym, null);
  }

  focus(): void {
    this.#rfb?.focus();
  }

  /** Whether the machine's screen takes the size of this window, or keeps its own and is scaled. */
  matchWindow(on: boolean): void {
    this.#matchWindow = on;
    if (this.#rfb) this.#rfb.resizeSession = on;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let attempt = 0;
    while (!signal.aborted) {
      try {
        const wasUp = await this.#connectOnce(signal);
        if (wasUp) attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && (error.status === 403 || error.status === 404)) {
          this.handlers.onStatus({ kind: "refused", sentence: sentenceOf(error) });
          return;
        }
      }
      if (signal.aborted) return;
      this.handlers.onStatus({ kind: "lost" });
      await pause(backoff(attempt++), signal);
    }
  }

  /** @returns when the connection is over: whether it ever stood. */
  async #connectOnce(signal: AbortSignal): Promise<boolean> {
    this.handlers.onStatus({ kind: "connecting" });
    const [{ data }, { default: Client }] = await Promise.all([
      client.POST("/api/auth/session/{sessionId}/ticket", {
        params: { path: { sessionId: this.sessionId } },
        signal,
      }),
      import("@novnc/novnc"),
    ]);
    if (signal.aborted || data === undefined) return false;
    const url = new URL(data.websocketPath, window.location.href);
    // The ticket must not be led to another host by a wrong answer.
    if (url.host !== window.location.host) return false;
    url.protocol = window.location.protocol === "https:" ? "wss:" : "ws:";
    return new Promise((resolve) => {
      let stood = false;
      const rfb = new Client(this.target, url.href, {
        wsProtocols: ["binary", `ticket.${data.ticket}`],
      });
      this.#rfb = rfb;
      rfb.background = "transparent";
      rfb.scaleViewport = true;
      rfb.resizeSession = this.#matchWindow;
      rfb.focusOnClick = true;
      rfb.addEventListener("connect", () => {
        stood = true;
        this.handlers.onStatus({ kind: "connected" });
        rfb.focus({ preventScroll: true });
      });
      rfb.addEventListener("clipboard", (event) => {
        this.machineHasLatest = true;
        this.handlers.onClipboard(event.detail.text);
      });
      rfb.addEventListener("disconnect", () => {
        if (this.#rfb === rfb) this.#rfb = null;
        resolve(stood);
      });
    });
  }
}
