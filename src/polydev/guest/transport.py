"""HTTP to a guest agent over sockets that the driver dials, and Polydev's errors for what fails.

httpcore does the HTTP; its network is the machine's channel, whatever that is, so no host name,
proxy setting or TLS of this process plays a part.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, cast

import httpcore

from polydev.domain.secret import Secret
from polydev.domain.session import Reason
from polydev.domain.text import clean
from polydev.errors import AgentError, CaptureRefused, SessionFailed
from polydev.guest import protocol
from polydev.guest.codec import loads
from polydev.guest.protocol import ProtocolError

Dial = Callable[[], Awaitable[socket.socket]]

CONNECT_TIMEOUT_S: Final = 10.0
_MAX_PROBLEM: Final = 64 * 1024
_MAX_DETAIL: Final = 500
_LINES_AT_ONCE: Final = 50
"""An agent that never pauses must not keep this process from anything else."""


class AgentUnreachable(AgentError):
    """No answer came from the agent: it is not there (yet), or the connection broke."""

    code = "agent_unreachable"


class AgentHttp:
    """Requests to one agent. Answers are bounded by their callers, as the agent is hostile."""

    def __init__(self, dial: Dial, token: Secret) -> None:
        self._token = token
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=16,
            max_keepalive_connections=4,
            keepalive_expiry=15,
            network_backend=_Dialled(dial),
        )

    async def close(self) -> None:
        await self._pool.aclose()

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, target: str, body: bytes | None, read_timeout_s: float | None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Send a request; its answer's body comes as it is read. Raises for a problem answer."""
        headers = [
            (b"host", b"agent"),
            (b"authorization", f"Bearer {self._token.reveal()}".encode()),
        ]
        if body is not None:
            headers.append((b"content-type", b"application/json"))
        timeouts = {"connect": CONNECT_TIMEOUT_S, "read": read_timeout_s, "write": 30, "pool": 30}
        try:
            async with self._pool.stream(
                method,
                f"http://agent{target}",
                headers=headers,
                content=body or b"",
                extensions={"timeout": timeouts},
            ) as response:
                if response.status >= 400:
                    parts = response.aiter_stream()
                    raise problem(response.status, await collect(parts, _MAX_PROBLEM))
                yield response.aiter_stream()
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            OSError,
        ) as error:
            raise AgentUnreachable(
                "The machine's agent does not answer.", detail=f"{method} {type(error).__name__}"
            ) from error

    async def fetch(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        max_bytes: int,
        timeout_s: float = 30.0,
    ) -> bytes:
        """A whole answer of at most ``max_bytes`` within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s), self.open(method, target, body, None) as parts:
                return await collect(parts, max_bytes)
        except TimeoutError as error:
            raise AgentUnreachable(
                "The machine's agent does not answer.", detail=f"{method}: {timeout_s} s are over"
            ) from error


async def collect(parts: AsyncIterator[bytes], max_bytes: int) -> bytes:
    whole = bytearray()
    async for part in parts:
        whole += part
        if len(whole) > max_bytes:
            raise AgentError("The machine's agent sent more than it may.")
    return bytes(whole)


async def lines(parts: AsyncIterator[bytes], max_line: int) -> AsyncIterator[bytes]:
    """The lines of a stream, none of which may be longer than ``max_line``."""
    held = bytearray()
    count = 0
    async for part in parts:
        *whole, rest = part.split(b"\n")
        for line in whole:
            yield bytes(held) + line
            held.clear()
            count += 1
            if count % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
        held += rest
        if len(held) > max_line:
            raise AgentError("The machine's agent sent more than it may.")


async def timed(source: AsyncIterator[bytes], total_s: float) -> AsyncIterator[bytes]:
    """The same items, as long as the waits for them are no longer than ``total_s`` together.

    What our own side does with an item is not counted: a slow reader is not the agent's fault.
    """
    left = total_s
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(left):
                item = await anext(source)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise AgentUnreachable(
                "The machine's agent does not come to an end.", detail=f"{total_s} s are over"
            ) from error
        left -= time.monotonic() - began
        yield item


class Burst:
    """Counts what comes in each span of ``seconds``."""

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._count = 0
        self._ends = 0.0

    def exceeded(self) -> bool:
        """Count one more; whether it is one too many."""
        now = self._clock()
        if now >= self._ends:
            self._count, self._ends = 0, now + self._seconds
        self._count += 1
        return self._count > self._most


def problem(status: int, body: bytes) -> AgentError | SessionFailed:
    """The error for a problem answer. Its text is the guest's: cleaned, and cut short."""
    try:
        answer = loads(body)
    except ProtocolError:
        answer = {}
    fields = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    code = str(fields.get("code", ""))[:100]
    detail = clean(str(fields.get("detail", "")), max_chars=_MAX_DETAIL).replace("\n", " ")
    if code == protocol.CODE_CLI_MISSING:
        return SessionFailed(Reason.CLI_MISSING, detail=detail)
    if code == protocol.CODE_CAPTURE_REFUSED:
        offender = clean(str(fields.get("offender", "")), max_chars=600)
        return CaptureRefused(f"A file was refused: {detail}", offender=offender, detail=detail)
    return AgentError(
        f"The machine's agent answered: {detail or status}", detail=f"{status} {code}: {detail}"
    )


class _Dialled(httpcore.AsyncNetworkBackend):
    """Every connection, whatever its address, is one that the driver dials."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                end = await self._dial()
                reader, writer = await asyncio.open_connection(sock=end)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        return _Stream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError("the agent's channel has no TLS")

    def get_extra_info(self, info: str) -> Any:
        # The pool asks before it uses an idle connection again: has the other end closed it?
        return self._reader.at_eof() if info == "is_readable" else None
