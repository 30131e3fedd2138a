"""One HTTP connection, before any application sees it: what is no HTTP, and who is too slow.

uvicorn answers a request that it cannot parse with plain text; here it gets a problem document with
the usual headers. And a head must arrive in time, so that nobody holds connections without ever
asking for anything.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from polydev.api.problems import problem
from polydev.api.security import plain_headers

HEAD_S: Final = 20.0
"""From the first byte of a request (or the connection) to the end of its headers."""

_TITLES: Final = {
    400: ("malformed", "This is not a well-formed HTTP request."),
    408: ("too_slow", "The request's headers did not arrive in time."),
}


class Connection(H11Protocol):
    """uvicorn's protocol on h11, with our answers."""

    _late: asyncio.TimerHandle | None = None

    # uvicorn narrows asyncio's type of the transport in the same way.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_is_there()
        elif self.conn.trailing_data[0] and self._late is None:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's words; the log has them
        self._refuse(400)

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEAD_S, self._too_slow)

    def _head_is_there(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_slow(self) -> None:
        self._late = None
        if self.conn.our_state is h11.IDLE:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        answer = problem(status, *_TITLES[status])
        headers: list[tuple[bytes, bytes]] = [
            *answer.raw_headers,
            *plain_headers(),
            (b"connection", b"close"),
        ]
        events: tuple[Any, ...] = (
            h11.Response(
                status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()
            ),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(cast("bytes | None", self.conn.send(event)) or b"")
        self.transport.close()
