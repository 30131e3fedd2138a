"""The proxy of one machine: its listeners, limits, counters and records."""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import h11

from polydev.egress.forward import Exchange
from polydev.egress.hosts import Target
from polydev.egress.meter import Meter
from polydev.egress.policy import EgressPolicy
from polydev.egress.reasons import Reason, Refused
from polydev.egress.records import ConnectionRecord, Counters, Verdict
from polydev.egress.request import ProxyRequest, parse_head, read_head
from polydev.egress.resolver import Dialer, DirectDialer
from polydev.egress.streams import Stream, answer_for
from polydev.egress.tunnel import ESTABLISHED, tunnel

_log = logging.getLogger(__name__)

_BACKLOG: Final = 128
_FAILURES: Final = frozenset(
    {
        *(Reason.DNS_FAILED, Reason.DNS_TIMEOUT, Reason.CONNECT_FAILED, Reason.CONNECT_TIMEOUT),
        *(Reason.BAD_RESPONSE, Reason.IDLE, Reason.RESET, Reason.NO_REQUEST, Reason.INTERNAL),
    }
)


class EgressProxy:
    """Serves one machine. Everything it knows of the guest is what the guest sends.

    ``on_connection_end`` is called once per connection, on the loop, and should not block; what
    it raises is logged and otherwise ignored.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        on_connection_end: Callable[[ConnectionRecord], None],
        dialer: Dialer | None = None,
    ) -> None:
        self._policy = policy
        self._on_connection_end = on_connection_end
        self._dialer = dialer or DirectDialer(policy)
        self._servers: list[asyncio.Server] = []
        self._sockets: list[tuple[Path, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.counters = Counters()

    async def serve_unix(self, path: str | os.PathLike[str], *, mode: int = 0o600) -> None:
        """Listen on ``path``; a stale socket there is replaced, anything else is an OSError.

        The mode is set before anyone can connect. Give the guest's user write access by it, or
        by the socket's owner; the folder must be one that the guest cannot write.
        """
        path = Path(path)
        if os.path.lexists(path):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise FileExistsError(f"{path} exists and is not a socket")
            path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(path))
            path.chmod(mode)
            self._sockets.append((path, path.lstat().st_ino))
            await self._listen(sock)
        except BaseException:
            sock.close()
            raise

    async def serve_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Listen on one literal address; returns what was bound (``port`` may be 0)."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        bound = sock.getsockname()
        await self._listen(sock)
        return str(bound[0]), int(bound[1])

    async def close(self) -> None:
        """Stop listening, cut every connection (each is still recorded), remove the sockets."""
        self._closed = True
        for server in self._servers:
            server.close()
        for path, inode in self._sockets:
            # A successor may already have put its own socket there. And a keeper
            # that has given up root may no longer remove it; its folder goes anyway.
            with contextlib.suppress(OSError):
                if os.path.lexists(path) and path.lstat().st_ino == inode:
                    path.unlink()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._sockets.clear()

    async def _listen(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # The reader's limit is what bounds a request's head (see `read_head`).
        server = await asyncio.start_server(
            self._accept, sock=sock, limit=self._policy.max_header_bytes, backlog=_BACKLOG
        )
        self._servers.append(server)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Stream(reader, writer)
        if self._closed:
            client.abort()
            return
        self.counters.connections += 1
        connection = _Connection(self._policy, self._dialer, self.counters, client)
        if self.counters.active >= self._policy.max_connections:
            # Not worth a task: that is what the limit protects.
            connection.end(Refused(Reason.CONNECTION_LIMIT))
            writer.write(answer_for(Refused(Reason.CONNECTION_LIMIT)) or b"")
            writer.close()
            self._report(connection)
            return
        self.counters.active += 1
        task = asyncio.create_task(connection.run())
        self._tasks.add(task)

        # Not in the coroutine's own `finally`: one cancelled before its first step never runs it.
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self.counters.active -= 1
            client.abort()
            self._report(connection)

        task.add_done_callback(ended)

    def _report(self, connection: "_Connection") -> None:
        record = connection.record()
        if record.verdict is not Verdict.ALLOWED:
            self.counters.refusals[record.reason] += 1
        try:
            self._on_connection_end(record)
        except Exception:
            _log.exception("the egress record could not be handed on")


class _Connection:
    """One client connection from its first byte to its record."""

    def __init__(
        self, policy: EgressPolicy, dialer: Dialer, counters: Counters, client: Stream
    ) -> None:
        self._policy = policy
        self._dialer = dialer
        self._counters = counters
        self._client = client
        self._meter = Meter(policy, counters)
        self._loop = asyncio.get_running_loop()
        self._time = datetime.now(UTC)
        self._start = self._loop.time()
        self._kind = ""
        self._target: Target | None = None
        self._address: str | None = None
        self._verdict = Verdict.FAILED
        self._code: str = Reason.CLOSED.value
        self._answered = False

    async def run(self) -> None:
        try:
            await self._serve()
        except Refused as refused:
            self.end(refused)
            await self._say(refused)
        except Exception as error:
            # The message of a foreign error may quote the guest's request: only its type is kept.
            _log.error("egress connection failed: %s", type(error).__name__)
            internal = Refused(Reason.INTERNAL)
            self.end(internal)
            await self._say(internal)

    def end(self, refused: Refused) -> None:
        self._verdict = Verdict.FAILED if refused.reason in _FAILURES else Verdict.REFUSED
        self._code = refused.code
        self._address = self._address or refused.address

    def record(self) -> ConnectionRecord:
        return ConnectionRecord(
            time=self._time,
            kind=self._kind,
            host=self._target.host.text if self._target else None,
            port=self._target.port if self._target else None,
            address=self._address,
            verdict=self._verdict,
            reason=self._code,
            bytes_up=self._meter.bytes_up,
            bytes_down=self._meter.bytes_down,
            duration_s=self._loop.time() - self._start,
        )

    async def _serve(self) -> None:
        try:
            head = await read_head(self._client.reader, timeout_s=self._policy.header_timeout_s)
        except OSError:
            raise Refused(Reason.RESET) from None
        side = h11.Connection(h11.SERVER, max_incomplete_event_size=self._policy.max_header_bytes)
        request = parse_head(head, side)
        self._kind = "connect" if request.connect else "http"
        self._target = request.target
        self._check(request)
        connected = await self._dialer.dial(request.target)
        self._address = connected.address
        self._verdict = Verdict.ALLOWED
        remote = Stream(connected.reader, connected.writer)
        try:
            await self._relay(request, side, remote)
            self._code = Reason.OK.value
            if request.connect:
                await asyncio.gather(self._client.finish(), remote.finish())
            else:
                await self._client.finish()  # the origin has said all, nothing is owed to it
        finally:
            remote.abort()

    def _check(self, request: ProxyRequest) -> None:
        if (reason := self._policy.refusal(request.target)) is not None:
            raise Refused(reason)
        if self._counters.bytes_total >= self._policy.max_bytes_total:
            raise Refused(Reason.TOTAL_LIMIT)
        if request.content_length > self._policy.max_bytes_per_connection:
            raise Refused(Reason.BODY_TOO_LARGE)

    async def _relay(self, request: ProxyRequest, side: h11.Connection, remote: Stream) -> None:
        if request.connect:
            self._answered = True
            try:
                await self._client.send(ESTABLISHED)
            except OSError:
                raise Refused(Reason.RESET) from None
            await tunnel(self._client, remote, self._meter)
            return
        limit = self._policy.max_header_bytes
        exchange = Exchange(request, self._client, side, self._meter, max_header_bytes=limit)
        try:
            await exchange.run(remote)
        finally:
            self._answered = exchange.answered

    async def _say(self, refused: Refused) -> None:
        """Answer while an answer can still be told from content; else the caller cuts off."""
        answer = None if self._answered else answer_for(refused)
        if answer is None or self._client.writer.transport.is_closing():
            return
        self._client.writer.write(answer)
        await self._client.finish()
