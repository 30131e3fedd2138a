"""Tickets for live streams: random, single-use, for one stream, valid for half a minute.

A browser cannot send headers with a WebSocket, and nothing secret may be in a URL; so the person
asks for a ticket with their key or cookie, and the ticket travels as a subprotocol. They live in
this process's memory: the stream is served by the process that issued its ticket.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, cast

from polydev.domain.secret import Secret
from polydev.errors import NotSignedIn

if TYPE_CHECKING:
    from starlette.applications import Starlette

LIFETIME_S: Final = 30.0
PREFIX: Final = "pdt_"
_MOST_OF_ONE_PERSON: Final = 32


class StreamKind(StrEnum):
    VNC = "vnc"
    PTY = "pty"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a ticket stands for."""

    kind: StreamKind
    target: str
    """The session (vnc) or machine (pty)."""
    user_id: str
    via: Literal["key", "cookie"]
    login_id: str
    """Of the API key or web login that bought it: the stream ends with it."""
    provider: str | None
    expires: float
    """On the office's clock."""


@dataclass(frozen=True, slots=True)
class Issued:
    secret: Secret
    expires_at: datetime


class TicketOffice:
    """Issues tickets and takes them back, once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By hash: a look-up in a dict of hashes leaks no timing that helps to guess a ticket.
        self._open: dict[bytes, Grant] = {}

    def issue(
        self,
        kind: StreamKind,
        target: str,
        *,
        user_id: str,
        via: Literal["key", "cookie"],
        login_id: str,
        provider: str | None = None,
    ) -> Issued:
        self._forget(user_id)
        ticket = PREFIX + secrets.token_urlsafe(32)
        expires = self._clock() + LIFETIME_S
        self._open[_hash(ticket)] = Grant(kind, target, user_id, via, login_id, provider, expires)
        return Issued(Secret(ticket), datetime.now(UTC) + timedelta(seconds=LIFETIME_S))

    def redeem(self, ticket: Secret, kind: StreamKind, target: str) -> Grant:
        """Use a ticket up, even when it turns out to be for something else.

        Raises:
            NotSignedIn: unknown, used, expired, or for another stream; which, is not said.
        """
        grant = self._open.pop(_hash(ticket.reveal()), None)
        if (
            grant is None
            or grant.expires <= self._clock()
            or grant.kind is not kind
            or grant.target != target
        ):
            raise NotSignedIn("This ticket is not valid (any more). Ask for a new one.")
        return grant

    def _forget(self, user_id: str) -> None:
        """Drop what has expired, and the oldest of a person who asks too often."""
        now = self._clock()
        self._open = {key: grant for key, grant in self._open.items() if grant.expires > now}
        theirs = [key for key, grant in self._open.items() if grant.user_id == user_id]
        for key in theirs[: max(0, len(theirs) - _MOST_OF_ONE_PERSON + 1)]:
            del self._open[key]


def ticket_office(app: Starlette) -> TicketOffice:
    return cast("TicketOffice", app.state.tickets)


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
