"""The Chrome DevTools Protocol over a pipe: JSON messages, each ended by a NUL byte."""

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from typing import Final, cast

Params = dict[str, object]
_MAX_MESSAGE: Final = 64 << 20
_CHUNK: Final = 1 << 16


class CdpError(Exception):
    """Chromium answered with an error, or is gone. Never holds a URL."""


class CdpPipe:
    """One conversation with one Chromium. It owns the two descriptors.

    ``on_event`` gets session, method and parameters of what Chromium says unasked; ``on_close``
    is called once when the pipe ends.
    """

    def __init__(
        self,
        write_fd: int,
        read_fd: int,
        on_event: Callable[[str, str, Params], None],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._write_fd = write_fd
        self._read_fd = read_fd
        self._on_event = on_event
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._out = bytearray()
        self._in = bytearray()
        # An agent before this one may still be owed answers; they must not look like ours.
        self._next_id = secrets.randbelow(1 << 20) * 1000
        self._asked: dict[int, asyncio.Future[Params]] = {}
        self._open = True
        os.set_blocking(write_fd, False)
        os.set_blocking(read_fd, False)
        self._loop.add_reader(read_fd, self._readable)

    async def call(
        self,
        method: str,
        params: Params | None = None,
        *,
        session: str | None = None,
        timeout_s: float = 20,
    ) -> Params:
        """Send a command and return its result. Raises `CdpError`."""
        if not self._open:
            raise CdpError(f"{method}: the browser is gone")
        self._next_id += 1
        number = self._next_id
        message: Params = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        answer: asyncio.Future[Params] = self._loop.create_future()
        self._asked[number] = answer
        try:
            self._out += json.dumps(message).encode() + b"\0"
            self._flush()
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise CdpError(f"{method}: no answer") from None
        finally:
            self._asked.pop(number, None)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._read_fd)
        self._loop.remove_writer(self._write_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(CdpError("the browser is gone"))
        self._on_close()

    def _flush(self) -> None:
        try:
            sent = os.write(self._write_fd, self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if self._out:
            self._loop.add_writer(self._write_fd, self._flush)
        else:
            self._loop.remove_writer(self._write_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._in) > _MAX_MESSAGE:
            self.close()
            return
        if b"\0" not in data:
            self._in += data
            return
        *whole, rest = (bytes(self._in) + data).split(b"\0")
        self._in = bytearray(rest)
        for raw in whole:
            self._received(raw)

    def _received(self, raw: bytes) -> None:
        try:
            message = cast("Params", json.loads(raw))
        except ValueError:
            return  # the rest of a message whose start an earlier agent has read
        number, method = message.get("id"), message.get("method")
        if isinstance(method, str):
            self._on_event(str(message.get("sessionId", "")), method, _object(message, "params"))
        elif isinstance(number, int) and "error" in message:
            code = _object(message, "error").get("code")
            self._settle(number, {}, CdpError(f"the browser refused ({code})"))
        elif isinstance(number, int):
            self._settle(number, _object(message, "result"), None)

    def _settle(self, number: int, result: Params, error: CdpError | None) -> None:
        answer = self._asked.get(number)
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)


def _object(message: Params, name: str) -> Params:
    value = message.get(name)
    return cast("Params", value) if isinstance(value, dict) else {}
