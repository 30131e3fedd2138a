import type RFB from "@novnc/novnc";
import { client } from "../api/client";
import { ApiError, sentenceOf } from "../api/problem";
import { backoff, pause } from "../lib/backoff";
import { FocusKeeper, releaseOnLeave } from "./focus";

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
  readonly #focus: FocusKeeper;
  #rfb: RFB | null = null;
  #matchWindow: boolean;
  #keyboardElsewhere = false;
  #connections = 0;

  /** @param hintId - the element that says how to get out of the screen by keyboard */
  constructor(
    private readonly target: HTMLElement,
    private readonly sessionId: string,
    private readonly hintId: string,
    private readonly handlers: ScreenHandlers,
    matchWindow: boolean,
  ) {
    this.#matchWindow = matchWindow;
    const { signal } = this.#stop;
    this.#focus = new FocusKeeper(target, signal);
    releaseOnLeave(target, signal);
    for (const kind of ["focusin", "pointerdown"]) {
      target.addEventListener(kind, () => this.#claimSize(), { capture: true, signal });
    }
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

  /** While a phone's keyboard is open for a field of its own, a tap in the screen leaves it open. */
  keyboardElsewhere(on: boolean): void {
    this.#keyboardElsewhere = on;
    if (this.#rfb) this.#rfb.focusOnClick = !on;
  }

  /** Whether the machine's screen takes the size of this window, or keeps its own and is scaled. */
  matchWindow(on: boolean): void {
    this.#matchWindow = on;
    if (this.#rfb) this.#rfb.resizeSession = on;
  }

  /** Another viewer may have left the screen in its own size: who uses it gets theirs. */
  #claimSize(): void {
    const canvas = this.target.querySelector("canvas");
    if (this.#rfb === null || canvas === null || !this.#matchWindow) return;
    const { width, height } = this.target.getBoundingClientRect();
    if (canvas.width === Math.floor(width) && canvas.height === Math.floor(height)) return;
    this.#rfb.resizeSession = true; // each time that it is set, noVNC asks for the size
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
      import("./rfb"),
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
      rfb.focusOnClick = !this.#keyboardElsewhere;
      this.#describe();
      rfb.addEventListener("connect", () => {
        stood = true;
        this.handlers.onStatus({ kind: "connected" });
        if (this.#focus.mayTake(this.#connections++ === 0)) rfb.focus({ preventScroll: true });
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

  /** noVNC's canvas has no name and is passed over by Tab: who leaves it could not come back. */
  #describe(): void {
    const canvas = this.target.querySelector("canvas");
    if (canvas === null) return;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "The browser in the machine");
    canvas.setAttribute("aria-describedby", this.hintId);
  }
}
