"""inotify(7) for asyncio: tells when a name in a directory comes, changes or goes."""

import asyncio
import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CLOSE_WRITE: Final = 0x8
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_ONLYDIR: Final = 0x0100_0000
_DONT_FOLLOW: Final = 0x0200_0000
_OVERFLOW: Final = 0x4000
_WANTED: Final = (
    _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)
_HEAD: Final = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """``on_change`` gets the directory and the name (None: the directory itself, or events were
    lost, so look at everything). Raises OSError when the user has no instance left: other machines
    may run under the same one."""

    def __init__(self, on_change: Callable[[Path | None, str | None], None]) -> None:
        self._on_change = on_change
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1 failed")
        self._folders: dict[int, Path] = {}
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def watch(self, folder: Path) -> bool:
        """Watch a directory (again: no harm). False when it is not there or is a link.

        Raises OSError when the user has no watch left."""
        flags = _WANTED | _ONLYDIR | _DONT_FOLLOW
        number = _libc.inotify_add_watch(self._fd, os.fsencode(folder), ctypes.c_uint32(flags))
        if number < 0:
            if ctypes.get_errno() in (errno.ENOSPC, errno.ENOMEM):
                raise OSError(ctypes.get_errno(), "inotify_add_watch failed")
            return False
        self._folders[number] = folder
        return True

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, 65_536)
        offset = 0
        while offset < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, offset)
            start = offset + _HEAD.size
            name = data[start : start + length].rstrip(b"\0")
            offset = start + length
            if mask & _OVERFLOW:
                self._on_change(None, None)
            elif number in self._folders:
                self._on_change(self._folders[number], os.fsdecode(name) if name else None)
