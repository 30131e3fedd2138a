"""A pseudo-terminal with one program in it."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import Final

from polydev.guest.agent.process import Child, hang_up

_CHUNK: Final = 32_768
_DRAIN_S: Final = 0.5
"""How long output is still read after the program's end, in case something else holds the
terminal."""
_MAX_UNSENT: Final = 1 << 20


class Terminal:
    """Reads are pulled (`read`), so a slow reader slows the program down and nothing piles up."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: str,
        columns: int,
        rows: int,
    ) -> None:
        master, slave = os.openpty()
        try:
            self._master = master
            self.resize(columns, rows)
            self.child = Child.spawn(argv, env, fds={}, tty=os.ttyname(slave), cwd=cwd)
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        self._unsent = bytearray()
        self._open = True

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, data: bytes) -> None:
        """Type into it. What the program does not take is kept, up to a megabyte."""
        if self._open and len(self._unsent) < _MAX_UNSENT:
            self._unsent += data
            self._flush()

    async def read(self) -> bytes:
        """The next output; empty when the program has ended and all has been read."""
        while self._open:
            try:
                return os.read(self._master, _CHUNK)
            except BlockingIOError:
                if self.child.exited.done() and not await self._readable(_DRAIN_S):
                    return b""
                if not self.child.exited.done():
                    await self._readable(None)
            except OSError:
                return b""  # EIO: no process has the terminal open any more
        return b""

    async def close(self) -> int:
        """End the program if it runs, hang up, and return its exit code."""
        await self.child.end(grace_s=1.0)
        hang_up(self.child.pid)
        if self._open:
            self._open = False
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
            os.close(self._master)
        return self.child.exited.result()

    async def _readable(self, timeout_s: float | None) -> bool:
        """Wait until there is something to read; False when the time or the program ended first."""
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not news.done():
                news.set_result(None)

        loop.add_reader(self._master, wake)
        waits: list[asyncio.Future[object]] = [news]  # type: ignore[list-item]
        if not self.child.exited.done():
            waits.append(self.child.exited)  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._open:
                loop.remove_reader(self._master)
        return news.done()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sent = os.write(self._master, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._unsent.clear()
            sent = 0
        del self._unsent[:sent]
        if self._unsent:
            loop.add_writer(self._master, self._flush)
        else:
            with contextlib.suppress(OSError):
                loop.remove_writer(self._master)
