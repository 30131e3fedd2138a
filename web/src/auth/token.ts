/**
 * The one-time token of a link (`#token=…`).
 *
 * It is taken before anything is drawn and removed from the address bar and the history entry at
 * once, so that it is neither shown, copied, bookmarked nor sent as a referrer.
 */
export function takeToken(location: Location, history: History): string | null {
  if (!location.hash.startsWith("#")) return null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  return token === "" ? null : token;
}
