"""Patterns that are searched on the host, in output that a machine sent: RE2's, in linear time.

Python's own engine can take hours over some patterns and a few bytes, and holds the whole process
meanwhile; docs/decisions says why this one.
"""

from typing import Any, Final, cast

import re2  # pyright: ignore[reportMissingTypeStubs] - it has none

_RE2: Final = cast("Any", re2)


class BadPattern(ValueError):
    """What RE2 does not understand. Its text says why."""


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found.

    Raises:
        BadPattern: it is none; patterns of a `Provider` have been checked.
    """
    return _compiled(pattern).search(text) is not None


def check(pattern: str) -> None:
    """Raise `BadPattern` for what is not a pattern of RE2's."""
    _compiled(pattern)


def _compiled(pattern: str) -> Any:
    options = _RE2.Options()
    options.log_errors = False  # it would write to standard error by itself
    try:
        return _RE2.compile(pattern, options=options)
    except _RE2.error as error:
        why = error.args[0] if error.args else b""
        text = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise BadPattern(text or "it cannot be read") from None
