"""What a capture manifest asks of a file's content: the same rules in the machine and on the host.

The agent uses them to wait and to refuse; the host uses them again on what the agent sent, as a
machine is not believed.
"""

import json
from typing import Final, cast

from polydev.guest.protocol import ManifestEntry

_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def incomplete(entry: ManifestEntry, content: bytes) -> str | None:
    """Why this content is not (yet) what the entry asks for, or None."""
    needs_object = bool(entry.required_keys or entry.only_keys)
    if not (needs_object or entry.path.endswith(".json")):
        return "is empty" if not content else None
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return "is not whole JSON"
    if needs_object and not isinstance(document, dict):
        return "is not a JSON object"
    for key in entry.required_keys:
        if look_up(cast("object", document), key) in _EMPTY:
            return f"lacks {key}"
    return None


def subset(content: bytes, keys: tuple[str, ...]) -> bytes:
    """Only these top-level keys of a JSON object (which `incomplete` has found it to be)."""
    document = cast("dict[str, object]", json.loads(content))
    kept = {key: document[key] for key in keys if key in document}
    return to_json(kept)


def to_json(document: object, *, indent: int | None = None) -> bytes:
    """Readable UTF-8; or ASCII for what has no UTF-8, as half a character (``"\\ud800"``)."""
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent).encode()


def look_up(document: object, dotted: str) -> object:
    """The value under a dotted key, or None. A key that itself holds dots is found as well."""
    if not isinstance(document, dict):
        return None
    table = cast("dict[str, object]", document)
    if dotted in table:
        return table[dotted]
    parts = dotted.split(".")
    for cut in range(1, len(parts)):
        head = ".".join(parts[:cut])
        found = look_up(table.get(head), ".".join(parts[cut:]))
        if found not in _EMPTY:
            return found
    return None
