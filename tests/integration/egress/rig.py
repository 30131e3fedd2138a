"""A real proxy on a Unix socket, real origins on loopback, reached by resolve overrides."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polydev.egress.policy import EgressPolicy
from polydev.egress.records import ConnectionRecord
from polydev.egress.resolver import DirectDialer
from polydev.egress.server import EgressProxy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE_S = 60.0
"""How long a test waits for what should come at once, on a busy machine."""


async def never(name: str) -> Sequence[str]:
    raise AssertionError(f"{name} must not be resolved")


@dataclass
class Rig:
    """``await rig.start(...)`` once; then `ask` for a whole exchange or `open` for the streams."""

    folder: Path
    stack: AsyncExitStack
    records: asyncio.Queue[ConnectionRecord] = field(default_factory=asyncio.Queue)
    heard: list[bytes] = field(default_factory=list)
    """What each canned origin received on each connection."""
    connections: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "proxy.sock"

    async def origin(self, handler: Handler) -> str:
        """Start a server; returns the ``ip:port`` to put into an override."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await handler(reader, writer)
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.stack.callback(server.close)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def canned(self, answer: bytes) -> Handler:
        """An origin that reads one request (head, and body by its length or to the last chunk)."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            body = b""
            if b"transfer-encoding: chunked" in head.lower():
                body = await reader.readuntil(b"0\r\n\r\n")
            elif b"content-length: " in head.lower():
                length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                body = await reader.readexactly(int(length))
            self.heard.append(head + body)
            writer.write(answer)
            await writer.drain()

        return handle

    async def start(self, lookup: Any = never, **policy: Any) -> EgressProxy:
        made = EgressPolicy(**policy)
        proxy = EgressProxy(
            made,
            on_connection_end=self.records.put_nowait,
            dialer=DirectDialer(made, lookup=lookup),
        )
        self.stack.push_async_callback(proxy.close)
        await proxy.serve_unix(self.path)
        return proxy

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        self.stack.callback(writer.close)
        return reader, writer

    async def ask(self, data: bytes) -> bytes:
        """Send ``data`` and read to the end."""
        reader, writer = await self.open()
        writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        writer.close()
        return answer

    async def connect(
        self, authority: str = "example.com:443"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a tunnel and read the proxy's 200."""
        reader, writer = await self.open()
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return reader, writer

    async def record(self) -> ConnectionRecord:
        async with asyncio.timeout(PATIENCE_S):
            return await self.records.get()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A loopback port at which nobody listens, and that no other program can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def reason_in(answer: bytes) -> str:
    """Return the machine-readable reason of a refusal."""
    for line in answer.split(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"x-polydev-egress: "):
            return line.partition(b": ")[2].decode()
    raise AssertionError(f"no reason in {answer[:200]!r}")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
