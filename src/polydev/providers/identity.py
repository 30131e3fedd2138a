"""Reads from a captured bundle whose credential it is. For display: nothing is decided by it.

The files come from a guest and are hostile; whatever they hold, the answer is at worst empty.
"""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Final, cast

from polydev.domain.credential import Bundle, Identity
from polydev.domain.text import clean, mask_secrets
from polydev.providers.schema import Provider, Source

_MAX_JSON_BYTES: Final = 1 << 20
_MAX_ACCOUNT: Final = 320
_MAX_PLAN: Final = 64
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


def identity_of(provider: Provider, bundle: Bundle) -> Identity:
    """Account, plan and end of the credential, as far as its files say. Never raises."""
    files = {file.path: file.content for file in bundle.files}
    parsed: dict[str, object] = {}

    def value(source: Source) -> object:
        if source.file not in parsed:
            parsed[source.file] = parse_json(files.get(source.file, b""))
        found = resolve(parsed[source.file], source.pointer)
        if source.claim is None:
            return found
        return resolve(jwt_payload(found), source.claim)

    identity = provider.identity
    return Identity(
        account=next((t for s in identity.account if (t := label(value(s), _MAX_ACCOUNT))), None),
        plan=next((t for s in identity.plan if (t := label(value(s), _MAX_PLAN))), None),
        expires_at=next((t for s in identity.expires_at if (t := _time(value(s)))), None),
    )


def parse_json(content: bytes) -> object:
    """The JSON value, or None for anything that is not JSON (or is too big or too deep)."""
    if len(content) > _MAX_JSON_BYTES:
        return None
    try:
        return cast("object", json.loads(content))
    except (ValueError, RecursionError):
        return None


def resolve(data: object, pointer: str) -> object:
    """The value at a JSON pointer (RFC 6901), or None."""
    for raw in pointer.split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(data, dict):
            data = cast("dict[str, object]", data).get(part)
        elif isinstance(data, list) and re.fullmatch(r"0|[1-9][0-9]{0,6}", part):
            items = cast("list[object]", data)
            index = int(part)
            data = items[index] if index < len(items) else None
        else:
            return None
    return data


def jwt_payload(token: object) -> object:
    """The claims of a JSON web token (RFC 7519), its signature not checked, or None."""
    if not isinstance(token, str) or len(token) > _MAX_JSON_BYTES:
        return None
    parts = token.split(".")
    if len(parts) != 3 or not re.fullmatch(r"[A-Za-z0-9_-]+", parts[1]):
        return None
    try:
        return parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None


def label(value: object, max_chars: int) -> str | None:
    """One printable line of text without anything that looks like a token, or None."""
    if not isinstance(value, str):
        return None
    line = " ".join(mask_secrets(clean(value[:4096])).split())
    return line[:max_chars] or None


def _time(value: object) -> datetime | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value[:64])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # Seconds until the year 5138, milliseconds from 1973 on: the two cannot be confused.
            moment = datetime.fromtimestamp(value / 1000 if value >= 1e11 else value, UTC)
        else:
            return None
        if moment.tzinfo is not None and _EARLIEST < moment < _LATEST:
            return moment
    except (ValueError, OverflowError, OSError):
        # Not a number, not a time, or out of range: infinities and long integers end here too.
        return None
    return None
