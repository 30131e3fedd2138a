/** How long, in milliseconds, a key outside the machine's key map is kept from its neighbours. */
export const APART = 60;

export interface Key {
  keysym: number;
  code: string | null;
  down: boolean;
}

const XK_CONTROL_L = 0xffe3;
const XK_CONTROLS: readonly number[] = [XK_CONTROL_L, 0xffe4];

/**
 * Keys on their way to the machine, in order.
 *
 * A key that its key map lacks is put there by the display, in place of a spare one, just before it
 * is first pressed; the programs there learn of that too late for this press, which is lost. So
 * such a key is introduced by one together with Ctrl, of which nothing comes, and it waits, and all
 * that come after wait for it.
 */
export class KeyQueue {
  readonly #waiting: Key[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;
  #lastForeignAt = Number.NEGATIVE_INFINITY;
  readonly #introduced = new Set<number>();
  readonly #controls = new Set<number>();

  constructor(private readonly send: (key: Key) => void) {}

  push(key: Key): void {
    if (key.down && isForeign(key.keysym)) this.#introduce(key.keysym);
    if (XK_CONTROLS.includes(key.keysym)) {
      this.#controls[key.down ? "add" : "delete"](key.keysym);
    }
    this.#waiting.push(key);
    if (this.#timer === undefined) this.#drain();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting.length = 0;
  }

  /** Not while Ctrl is held: it would be released under the person's finger. */
  #introduce(keysym: number): void {
    if (this.#introduced.has(keysym) || this.#controls.size > 0) return;
    this.#introduced.add(keysym);
    const control = { keysym: XK_CONTROL_L, code: "ControlLeft" };
    const key = { keysym, code: null };
    this.#waiting.push(
      { ...control, down: true },
      { ...key, down: true },
      { ...key, down: false },
      { ...control, down: false },
    );
  }

  #drain(): void {
    this.#timer = undefined;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const now = performance.now();
      const pause = this.#earliest(next) - now;
      if (pause > 0) {
        this.#timer = setTimeout(() => this.#drain(), pause);
        return;
      }
      this.#waiting.shift();
      this.send(next);
      this.#lastAt = now;
      if (next.down && isForeign(next.keysym)) this.#lastForeignAt = now;
    }
  }

  /** A release changes no map: the display knows by itself which key it had pressed. */
  #earliest(key: Key): number {
    if (!key.down) return Number.NEGATIVE_INFINITY;
    return (isForeign(key.keysym) ? this.#lastAt : this.#lastForeignAt) + APART;
  }
}

/** The map is that of a US keyboard: of what writes a character, only ASCII (X11 protocol, app. A). */
function isForeign(keysym: number): boolean {
  const legacy = keysym > 0x7e && keysym < 0xfe00;
  const unicode = keysym >= 0x01000100 && keysym <= 0x0110ffff;
  return legacy || unicode;
}
