"""The machine's way out, seen from inside: a local TCP port whose bytes leave by a Unix socket.

Programs want a proxy address of host and port; a sandbox has no network but a socket file that is
mounted into it. This joins the two and understands nothing of what passes: the proxy on the other
side is the one that decides. Standard library only, as it runs on the guest's own Python.
"""

import asyncio
import logging

from polydev.guest.protocol import EGRESS_SOCKET

LISTEN_HOST = "127.0.0.1"
LISTEN_PORT = 3128

_CHUNK = 256 * 1024
_log = logging.getLogger(__name__)


async def serve_forwarder(
    listen_host: str = LISTEN_HOST,
    listen_port: int = LISTEN_PORT,
    unix_path: str = EGRESS_SOCKET,
    *,
    started: asyncio.Future[tuple[str, int]] | None = None,
) -> None:
    """Serve until cancelled; then every connection is cut.

    ``started`` gets the bound address (``listen_port`` may be 0). Raises OSError when the port is
    taken. That the proxy is away is no error: a connection made meanwhile is closed at once.
    """
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_forward(reader, writer, unix_path))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, listen_host, listen_port, limit=_CHUNK)
    if started is not None:
        started.set_result(server.sockets[0].getsockname()[:2])
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        # Cut first: from Python 3.12 on a server waits for its connections to end by themselves.
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unix_path: str
) -> None:
    out: asyncio.StreamWriter | None = None
    try:
        back, out = await asyncio.open_unix_connection(unix_path, limit=_CHUNK)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, out))
            group.create_task(_pump(back, writer))
        await _close(writer)
    except* OSError as errors:
        # Resets are everyday; that the socket itself fails is worth a line on the console.
        if out is None:
            _log.warning("the way out is closed: %s", errors.exceptions[0])
    finally:
        for end in (writer, out):
            if end is not None:
                end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Both directions have ended; wait until the last bytes have left before letting go."""
    writer.transport.set_write_buffer_limits(high=0)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
