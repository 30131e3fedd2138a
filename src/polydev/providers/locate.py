"""Finds the line and column of a field in a TOML text.

`tomllib` keeps no positions, so statements are found with `tomllib` itself: the first prefix of
lines that parses and holds the field ends with the statement that made it. Only used to explain an
error, so a parse per line is cheap enough for a file of this size.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

Path = tuple[str | int, ...]

_MISSING: Final = object()
_MAX_LINES: Final = 2000


def lookup(data: object, path: Path) -> object:
    """The value at ``path`` or a marker that is equal to nothing."""
    for part in path:
        if isinstance(part, str) and isinstance(data, Mapping):
            data = cast("Mapping[str, object]", data).get(part, _MISSING)
        elif isinstance(part, int) and isinstance(data, list):
            items = cast("list[object]", data)
            data = items[part] if 0 <= part < len(items) else _MISSING
        else:
            return _MISSING
    return data


def holds(data: object, path: Path) -> bool:
    return lookup(data, path) is not _MISSING


def position(text: str, path: Path) -> tuple[int, int]:
    """Line and column (from 1) of the field, or of the nearest part around it that exists."""
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return (1, 1)
    while path and not holds(whole, path):
        path = path[:-1]
    if not path:
        return (1, 1)
    lines = text.splitlines(keepends=True)[:_MAX_LINES]
    start = 0
    for end in range(1, len(lines) + 1):
        parsed = _parse("".join(lines[:end]))
        if parsed is None:
            continue
        if holds(parsed, path):
            return _within(lines, start, end, path)
        start = end
    return (1, 1)


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _within(lines: Sequence[str], start: int, end: int, path: Path) -> tuple[int, int]:
    """The key's place in the one statement that is ``lines[start:end]`` (blank lines, comments
    and a statement)."""
    names = [part for part in path if isinstance(part, str)]
    index = next((part for part in reversed(path) if isinstance(part, int)), 0)
    word = re.compile(rf"(?<![\w-]){re.escape(names[-1])}(?![\w-])") if names else None
    found = [
        (number + 1, match.start() + 1)
        for number in range(start, end)
        if word is not None and not lines[number].lstrip().startswith("#")
        for match in word.finditer(lines[number])
    ]
    if found:
        # In an array of inline tables the key stands once per element.
        return found[index] if 0 < index < len(found) else found[0]
    line = next((n for n in range(start, end) if lines[n].strip()), start)
    return (line + 1, 1)


def _second_time(message: str, lines: Sequence[str]) -> str | None:
    """Names the key or table that stands there twice; `tomllib` leaves it to the reader."""
    if table := re.fullmatch(r"Cannot declare \((.*?),?\) twice", message):
        names = re.findall(r"'([^']*)'", table[1])
        return f"the table [{'.'.join(names)}] stands here for the second time"
    if message != "Cannot overwrite a value":
        return None
    # The place is the end of the value; its key stands there or, before a long one, above it.
    for line in reversed(lines):
        if key := re.match(r"""\s*([\w."'-]+(?:\s*\.\s*[\w."'-]+)*)\s*=""", line):
            return f"the key '{key[1]}' stands here for the second time"
    return None


def syntax_error_position(error: tomllib.TOMLDecodeError, text: str) -> tuple[int, int, str]:
    """Line, column and text of what `tomllib` says."""
    message = str(error)
    match = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if match is None:
        return (1, 1, message)
    plain = message[: match.start()]
    line = int(match.group(1)) if match.group(1) else len(text.splitlines())
    plain = _second_time(plain, text.splitlines()[:line]) or plain
    if match.group(1) is None:
        return (max(1, len(text.splitlines())), 1, f"{plain} (the file ends too early)")
    return (int(match.group(1)), int(match.group(2)), plain)
