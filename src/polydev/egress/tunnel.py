"""CONNECT: bytes both ways until both sides have ended."""

import asyncio
from collections.abc import Callable
from typing import Final

from polydev.egress.meter import Meter
from polydev.egress.reasons import Reason, Refused
from polydev.egress.streams import CHUNK, Stream

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def tunnel(client: Stream, remote: Stream, meter: Meter) -> None:
    """Relay until both directions have ended, each on its own (half-close is handed on)."""
    try:
        async with meter.idle_guard(), asyncio.TaskGroup() as group:
            group.create_task(_pump(client, remote, meter.up))
            group.create_task(_pump(remote, client, meter.down))
    except* OSError:
        refused = Refused(Reason.RESET)
    except* Refused as refusals:
        refused = refusals.exceptions[0]
    else:
        return
    raise refused


async def _pump(source: Stream, sink: Stream, count: Callable[[int], None]) -> None:
    while data := await source.reader.read(CHUNK):
        count(len(data))
        await sink.send(data)
    if sink.writer.can_write_eof():
        sink.writer.write_eof()
