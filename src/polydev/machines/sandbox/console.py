"""The console log of one machine: everything its processes print, bounded."""

import os
from pathlib import Path

MAX_BYTES = 1 << 20


class ConsoleLog:
    """Appends to a file that never grows past ``max_bytes``: the older half goes first.

    The file is opened once, so a keeper that has given up root can still write it.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._max = max_bytes
        self._size = os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes) -> None:
        data = data[-self._max :]
        if self._size + len(data) > self._max:
            self._drop_older_half()
        # A full disk must not end the machine: what does not fit is lost, the rest goes on.
        try:
            self._size += os.pwrite(self._fd, data, self._size)
        except OSError:
            return

    def _drop_older_half(self) -> None:
        keep = self._max // 2
        kept = os.pread(self._fd, keep, max(0, self._size - keep))
        os.ftruncate(self._fd, 0)
        self._size = os.pwrite(self._fd, kept, 0)

    def close(self) -> None:
        os.close(self._fd)


def read_end(path: Path, max_bytes: int) -> bytes:
    """The last ``max_bytes`` of a console log; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""
