"""Text from a guest, made fit to be shown or stored.

What a guest prints is hostile: it may hold escape sequences that drive the reader's terminal, and
a tool may print a token. `clean` takes out the first, `mask_secrets` the second.
"""

import re
import unicodedata
from typing import Final

MASK: Final = "[hidden]"

# ECMA-48: CSI, the string sequences (OSC, DCS, SOS, PM, APC: up to their terminator, or to the end
# where it is missing) and the two-byte escapes; in the 7-bit and in the 8-bit (C1) spelling.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)

_SECRETS: Final = re.compile(
    # A JSON web token, whole or cut short.
    r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"
    # Prefixed keys: sk-…, ghp_…, ya29.…, pdk_… and the like.
    r"|\b(?:sk|pk|rk|ghp|gho|glpat|xox[a-z]|pdk|pdl)[-_][A-Za-z0-9_-]{12,}"
    r"|\bya29\.[A-Za-z0-9_-]{8,}"
    r"|\b1//[A-Za-z0-9_-]{16,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
    # code=…, token=…, in a URL, a form or prose.
    r"|(?<=[?&#;\s])(?:code|state|id_token|access_token|refresh_token|token|client_secret)"
    r"=[^&\s\"'<>]{6,}"
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9_+/=-]{32,}")


def clean(text: str, *, max_chars: int = 20_000) -> str:
    """Drop escape sequences and all control and invisible formatting characters but newline and
    tab; carriage returns become newlines; keep the last ``max_chars``."""
    # Cut first (with room for what will be dropped) so that the work is bounded.
    plain = _ESCAPES.sub("", text[-4 * max_chars :]).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in _DROPPED)
    return kept[-max_chars:]


_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Controls, format characters (bidirectional overrides among them), surrogates, private use."""


def mask_secrets(text: str) -> str:
    """Replace all that looks like a token. Made to err on the side of hiding."""
    return _LONG_RUN.sub(_mask_run, _SECRETS.sub(MASK, text))


def _mask_run(match: re.Match[str]) -> str:
    run = match.group()
    # A UUID names an account or a session; it opens nothing.
    if _UUID.fullmatch(run):
        return run
    # A path or a rule of dashes is long too; a token mixes digits and letters in one word.
    words = re.split(r"[/=]", run)
    if any(len(w) >= 32 and re.search(r"\d", w) and re.search(r"[A-Za-z]", w) for w in words):
        return MASK
    return run
