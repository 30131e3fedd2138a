import RFB from "@novnc/novnc";
import { KeyQueue } from "./keyQueue";

/** noVNC's client; every key, typed or sent, goes by the queue. */
export default class PacedRFB extends RFB {
  readonly #keys = new KeyQueue(({ keysym, code, down }) => super.sendKey(keysym, code, down));

  constructor(...args: ConstructorParameters<typeof RFB>) {
    super(...args);
    this.addEventListener("disconnect", () => this.#keys.clear());
  }

  override sendKey(keysym: number, code: string | null, down?: boolean): void {
    for (const way of down === undefined ? [true, false] : [down]) {
      this.#keys.push({ keysym, code, down: way });
    }
  }
}
