"""Takes URLs from the `BROWSER` shim, over a socket in a directory that only we can enter."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from polydev.guest.agent.urls import MAX_URL, UrlRefused

_LINE_TIMEOUT_S: Final = 5.0


class UrlIntake:
    """``on_url`` opens the page, or raises `UrlRefused`, whose text the tool gets to see."""

    def __init__(self, on_url: Callable[[str], Awaitable[None]]) -> None:
        self._on_url = on_url
        self._folder = Path(tempfile.mkdtemp(prefix="polydev-"))
        self._server: asyncio.Server | None = None

    @property
    def path(self) -> str:
        return str(self._folder / "url.sock")

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._serve, path=self.path, limit=MAX_URL + 2
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._take(reader)
            writer.write(answer.encode() + b"\n")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _take(self, reader: asyncio.StreamReader) -> str:
        try:
            async with asyncio.timeout(_LINE_TIMEOUT_S):
                line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            return "the URL is too long"
        except (TimeoutError, asyncio.IncompleteReadError):
            return "no URL came"
        try:
            await self._on_url(line[:-1].decode("utf-8", "replace"))
        except UrlRefused as refusal:
            return str(refusal)
        return "ok"
