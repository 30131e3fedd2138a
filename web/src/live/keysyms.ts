const NAMED: Record<string, number> = {
  Backspace: 0xff08,
  Tab: 0xff09,
  Enter: 0xff0d,
  Escape: 0xff1b,
  ArrowLeft: 0xff51,
  ArrowUp: 0xff52,
  ArrowRight: 0xff53,
  ArrowDown: 0xff54,
  Delete: 0xffff,
};

/** The X11 keysym of a named key, or null. */
export function keysymOfKey(key: string): number | null {
  return NAMED[key] ?? null;
}

/** Keysyms of typed text: Latin-1 as it is, all else in the Unicode range (X11 protocol, app. A). */
export function keysymsOfText(text: string): number[] {
  return [...text].map((char) => {
    if (char === "\n") return 0xff0d;
    const point = char.codePointAt(0) ?? 0;
    return point < 0x100 ? point : 0x01000000 | point;
  });
}
