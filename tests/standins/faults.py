"""Wrong answers on demand: an error status, an answer that never comes, or half of one."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from starlette.types import Receive, Scope, Send

FOREVER: Final = 1_000_000


class Wrong(Enum):
    STATUS = "status"
    HANG = "hang"
    HALF = "half"


@dataclass
class Fault:
    """Hits the next ``times`` requests to ``host`` whose path starts with ``path``."""

    host: str
    path: str = "/"
    wrong: Wrong = Wrong.STATUS
    status: int = 500
    times: int = 1

    def matches(self, host: str, path: str) -> bool:
        return self.times > 0 and host == self.host and path.startswith(self.path)


@dataclass
class Faults:
    """The faults a test has asked for. ``release`` lets hanging requests end (with a 504)."""

    planned: list[Fault] = field(default_factory=list)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, fault: Fault) -> None:
        self.planned.append(fault)

    def clear(self) -> None:
        self.planned.clear()
        self.release()

    def release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    def take(self, host: str, path: str) -> Fault | None:
        for fault in self.planned:
            if fault.matches(host, path):
                fault.times -= 1
                return fault
        return None

    async def play(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.wrong:
            case Wrong.STATUS:
                await _answer(send, fault.status, b'{"error":"fault","message":"made by a test"}')
            case Wrong.HANG:
                await self._released.wait()
                await _answer(send, 504, b"")
            case Wrong.HALF:
                # The server closes a connection whose body is shorter than it promised.
                await _answer(send, 200, b'{"access_', promised=4096)


async def _answer(send: Send, status: int, body: bytes, promised: int | None = None) -> None:
    length = len(body) if promised is None else promised
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(length).encode()),
    ]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": promised is not None})
