"""Carries a terminal between a WebSocket and a program in the person's CLI machine.

Form: docs/api.md. Text messages are JSON, binary ones are the terminal's bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol, cast

from starlette.websockets import WebSocket

from polydev.errors import PolydevError
from polydev.stream.metrics import STREAM_BYTES

_MOST: Final = 1000
"""Columns or rows of the largest terminal."""

_OUT = STREAM_BYTES.labels("pty", "out")
_IN = STREAM_BYTES.labels("pty", "in")


class Pty(Protocol):
    """The machine's side: `polydev.guest.pty.Pty`, or a test's."""

    @property
    def exit(self) -> int | None: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def send(self, data: bytes) -> None: ...
    async def resize(self, columns: int, rows: int) -> None: ...
    async def close(self) -> None: ...


class PtyMessageError(Exception):
    """The client sent a message that is not of its form."""


@dataclass(frozen=True, slots=True)
class Size:
    columns: int
    rows: int


def parse_size(columns: object, rows: object) -> Size:
    for number in (columns, rows):
        if type(number) is not int or not 1 <= number <= _MOST:
            raise PtyMessageError("columns and rows are numbers from 1 to 1000")
    return Size(cast("int", columns), cast("int", rows))


def parse_first(text: str) -> Size:
    """``{"columns": c, "rows": r}``"""
    message = _object(text)
    return parse_size(message.get("columns"), message.get("rows"))


def parse_resize(text: str) -> Size:
    """``{"resize": [c, r]}``"""
    pair = _object(text).get("resize")
    if not isinstance(pair, list) or len(cast("list[object]", pair)) != 2:
        raise PtyMessageError("a text message is {resize: [columns, rows]}")
    return parse_size(*cast("list[object]", pair))


async def relay_pty(websocket: WebSocket, pty: Pty) -> int | None:
    """Run until the program ends or the client goes; returns the program's exit code, if it ended.

    Raises:
        PtyMessageError: the client's message was not of its form.
        PolydevError: the machine's side failed.
    """
    out = asyncio.create_task(_program_to_client(websocket, pty))
    into = asyncio.create_task(_client_to_program(websocket, pty))
    try:
        await asyncio.wait({out, into}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        finished = {task for task in (out, into) if task.done()}
        for task in (out, into):
            task.cancel()
        results = await asyncio.gather(out, into, return_exceptions=True)
    for result in results:
        if isinstance(result, PtyMessageError | PolydevError):
            raise result
    return pty.exit if out in finished else None


async def _program_to_client(websocket: WebSocket, pty: Pty) -> None:
    async for data in pty:
        await websocket.send({"type": "websocket.send", "bytes": data})
        _OUT.inc(len(data))


async def _client_to_program(websocket: WebSocket, pty: Pty) -> None:
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        data: bytes | None = message.get("bytes")
        if data is not None:
            await pty.send(data)
            _IN.inc(len(data))
        else:
            size = parse_resize(message.get("text") or "")
            await pty.resize(size.columns, size.rows)


def _object(text: str) -> dict[str, object]:
    try:
        message: object = json.loads(text)
    except (ValueError, RecursionError):
        raise PtyMessageError("this is not JSON") from None
    if not isinstance(message, dict):
        raise PtyMessageError("this is not a JSON object")
    return cast("dict[str, object]", message)
