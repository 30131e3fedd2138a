"""A string that does not show itself."""

from typing import Final

_MASK: Final = "********"


class Secret:
    """Wraps a secret so that ``repr``, ``str``, f-strings and logs print a mask.

    ``reveal()`` is the one way to the text, so every use can be found by searching for it.
    It cannot be pickled, and compares by identity only (use ``hmac.compare_digest`` on what
    ``reveal`` returns).
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")
