"""Identifiers: a short prefix that names the kind, then 120 random bits in Crockford base 32.

They are unguessable, safe in URLs and file names, and never reused; removal is always pinned to
one of them (for a machine: to its incarnation), never to a name.
"""

import secrets
from typing import Literal

IdPrefix = Literal["usr", "key", "ses", "mac", "inc", "cred", "rcpt", "evt", "prm"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 24


def new_id(prefix: IdPrefix) -> str:
    """Return a fresh identifier such as ``ses_4k0m…``."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
