"""A captured credential: files as the tool wrote them, and what may be said about them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """One file of a bundle. ``content`` is secret: it never enters a log, a repr or a record."""

    path: str
    """Relative to the home, POSIX, normalised, without ``..``."""
    mode: int
    content: bytes
    merge_json: bool = False
    """True when ``content`` is a subset of a JSON file's keys, to be merged on delivery."""

    def __repr__(self) -> str:
        return f"CapturedFile(path={self.path!r}, mode={self.mode:o}, {len(self.content)} bytes)"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one capture yields and one delivery takes."""

    files: tuple[CapturedFile, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credential belongs to at the provider, as far as its files say."""

    account: str | None = None
    plan: str | None = None
    expires_at: datetime | None = None
