"""Carries RFB between a viewer's WebSocket and a machine's display.

Whatever comes from the guest is only passed on, never parsed. Of what the viewer sends, one byte a
frame is looked at: noVNC sends each message in a frame of its own, so its first byte says whether a
person is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.websockets import WebSocket

from polydev.stream.metrics import STREAM_BYTES

CHUNK: Final = 128 * 1024
"""The size that cost the least CPU: docs/decisions/0005-http-api.md."""

_YIELD_EVERY: Final = 8
"""Chunks after which other tasks get a turn: a fast sender never makes us wait by itself."""

_INPUT: Final = frozenset({4, 5, 6})
"""RFC 6143, 7.5: KeyEvent, PointerEvent, ClientCutText."""

_FROM_GUEST = STREAM_BYTES.labels("vnc", "out")
_FROM_VIEWER = STREAM_BYTES.labels("vnc", "in")


class ViewerProtocolError(Exception):
    """The viewer sent text on a binary stream."""


async def relay(
    websocket: WebSocket, display: socket.socket, on_input: Callable[[], Awaitable[None]]
) -> None:
    """Run until either side ends; closes neither.

    Args:
        websocket: accepted.
        display: connected and non-blocking.
        on_input: called when the person typed, clicked or pasted; never two at a time, and the
            stream does not wait for it.
    """
    both = (
        asyncio.create_task(_guest_to_viewer(websocket, display)),
        asyncio.create_task(_viewer_to_guest(websocket, display, on_input)),
    )
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        results = await asyncio.gather(*both, return_exceptions=True)
    for result in results:
        if isinstance(result, ViewerProtocolError):
            raise result


async def _guest_to_viewer(websocket: WebSocket, display: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    count = 0
    # Sending waits while the viewer's connection is full, and so the guest waits too.
    with contextlib.suppress(OSError):
        while size := await loop.sock_recv_into(display, buffer):
            await websocket.send({"type": "websocket.send", "bytes": bytes(view[:size])})
            _FROM_GUEST.inc(size)
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)


async def _viewer_to_guest(
    websocket: WebSocket, display: socket.socket, on_input: Callable[[], Awaitable[None]]
) -> None:
    loop = asyncio.get_running_loop()
    telling: asyncio.Task[None] | None = None

    async def tell() -> None:
        await on_input()

    try:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            data: bytes | None = message.get("bytes")
            if data is None:
                raise ViewerProtocolError
            if not data:
                continue
            if data[0] in _INPUT and (telling is None or telling.done()):
                telling = asyncio.create_task(tell())
            with contextlib.suppress(OSError):
                await loop.sock_sendall(display, data)
                _FROM_VIEWER.inc(len(data))
                continue
            return
    finally:
        if telling is not None:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
