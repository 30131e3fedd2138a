import { type ClipboardEvent, type KeyboardEvent, type RefObject, useEffect, useRef } from "react";
import type { Screen } from "./screen";

/** How long after Ctrl+V the browser's own paste event may come before we do without it. */
const GRACE = 60;

/**
 * Ctrl+V in the live view.
 *
 * Kept from noVNC where it means the person's own clipboard, so that the browser makes its paste
 * event of it: that gives the text for this one gesture, with no standing permission to read the
 * clipboard. The person's clipboard can only have changed when they copied in this page or left it.
 */
export function usePaste(screen: RefObject<Screen | null>) {
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    const mine = () => {
      if (screen.current) screen.current.machineHasLatest = false;
    };
    const kinds = ["blur", "copy", "cut"] as const;
    for (const kind of kinds) window.addEventListener(kind, mine);
    return () => {
      for (const kind of kinds) window.removeEventListener(kind, mine);
      clearTimeout(waiting.current);
    };
  }, [screen]);

  return {
    onPasteKey: (event: KeyboardEvent) => {
      const v = event.code === "KeyV" || event.key.toLowerCase() === "v";
      if (!v || !(event.ctrlKey || event.metaKey) || event.altKey) return;
      if (screen.current?.machineHasLatest !== false) return;
      event.stopPropagation();
      clearTimeout(waiting.current);
      waiting.current = setTimeout(() => screen.current?.paste(""), GRACE);
    },
    onPaste: (event: ClipboardEvent) => {
      clearTimeout(waiting.current);
      event.preventDefault();
      screen.current?.paste(event.clipboardData.getData("text/plain"));
    },
  };
}
