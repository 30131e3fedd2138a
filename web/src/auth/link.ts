/** Imported first, for its effect: the token is out of the address before the router reads it. */
import { rememberToken } from "./me";
import { takeToken } from "./token";

export function acceptLink(): boolean {
  const token = takeToken(window.location, window.history);
  if (token !== null) rememberToken(token);
  return token !== null;
}

acceptLink();
