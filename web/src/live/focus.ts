/**
 * Whether the machine's screen may take the keyboard.
 *
 * Only where nobody else has it: what a person types elsewhere on the page must not go to the
 * machine because a connection came up. After a drop it gets back what it had; the browser does not
 * tell that, as the focused canvas is gone by then, so it is kept here.
 */
export class FocusKeeper {
  #inside = false;

  constructor(
    private readonly target: HTMLElement,
    signal: AbortSignal,
  ) {
    const note = (event: Event) => {
      this.#inside = this.target.contains(event.target as Node | null);
    };
    for (const kind of ["focusin", "pointerdown"]) {
      target.ownerDocument.addEventListener(kind, note, { capture: true, signal });
    }
  }

  /** @param first - the first connection of this screen, not one after a drop */
  mayTake(first: boolean): boolean {
    const { activeElement, body } = this.target.ownerDocument;
    const free =
      activeElement === null || activeElement === body || this.target.contains(activeElement);
    return free && (first || this.#inside) && !this.#dialogIsOpen();
  }

  #dialogIsOpen(): boolean {
    return this.target.ownerDocument.querySelector('[role="dialog"]') !== null;
  }
}

/** Releases in `target` what is held down there when the focus goes: its key-up comes elsewhere. */
export function releaseOnLeave(target: HTMLElement, signal: AbortSignal): void {
  const held = new Set<string>();
  const capture = { capture: true, signal };
  target.addEventListener("keydown", (event) => held.add(event.code), capture);
  target.addEventListener("keyup", (event) => held.delete(event.code), capture);
  target.addEventListener(
    "focusout",
    (event) => {
      for (const code of [...held])
        event.target?.dispatchEvent(new KeyboardEvent("keyup", { code }));
      held.clear();
    },
    { signal },
  );
}
