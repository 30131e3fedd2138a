"""The two ends of a connection, and how one is ended without losing what was said last."""

import asyncio
from dataclasses import dataclass
from typing import Final

from polydev.egress.reasons import ANSWERS, Refused

CHUNK: Final = 256 * 1024
_FLUSH_S: Final = 30.0
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes | None) -> None:
        """Write and wait for room: this is the backpressure."""
        if data:
            self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """End at once, so that the peer cannot take it for a complete answer."""
        self.writer.transport.abort()

    async def finish(self) -> None:
        """Deliver what was written, then close. Bounded in time and in what is still read.

        A TCP socket closed with unread input resets the peer, which may then lose our answer; so
        the peer gets a moment to see the end first.
        """
        transport = self.writer.transport
        try:
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=0)
                async with asyncio.timeout(_FLUSH_S):
                    await self.writer.drain()
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                async with asyncio.timeout(_LINGER_S):
                    await self._discard_input()
                self.writer.close()
                async with asyncio.timeout(_LINGER_S):
                    await self.writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # the peer is gone or does not care; what could be said was said
        finally:
            transport.abort()

    async def _discard_input(self) -> None:
        left = _LINGER_BYTES
        while left > 0 and (data := await self.reader.read(CHUNK)):
            left -= len(data)


def answer_for(refused: Refused) -> bytes | None:
    """Return the whole HTTP answer, or None for what can only be cut off."""
    if (answer := ANSWERS.get(refused.reason)) is None:
        return None
    status, sentence = answer
    body = f"Polydev egress: {refused.code}. {sentence}\n".encode()
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
        f"X-Polydev-Egress: {refused.code}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


_PHRASES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
