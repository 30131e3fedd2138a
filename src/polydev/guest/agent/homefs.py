"""Files of the home, reached without ever following a link.

Each component of a path is opened from the one before it with O_NOFOLLOW, so that no link, placed
before or during the walk, can lead out of the home. Programs in the machine are not trusted here.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from polydev.guest.homepath import check_home_path

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ATTEMPTS: Final = 3


class FileRefused(Exception):
    """A file is not one that we read or write. ``offender`` is its path in the home."""

    def __init__(self, offender: str, why: str) -> None:
        super().__init__(f"{offender}: {why}")
        self.offender = offender
        self.why = why


class _Changed(Exception):
    """The file was written or replaced while it was read."""


class Home:
    def __init__(self, root: Path) -> None:
        self._root = root

    @contextlib.contextmanager
    def parent(self, path: str, *, create: bool = False) -> Generator[tuple[int, str]]:
        """The descriptor of the path's directory, and the last component.

        Raises `FileNotFoundError` when a directory is missing (with ``create`` it is made, mode
        0700) and `FileRefused` when a component is a link, no directory or closed to us.
        """
        *folders, name = check_home_path(path, "path")
        with refused(path, "reached"):
            fd = os.open(self._root, _DIRECTORY)
        try:
            for depth, folder in enumerate(folders, 1):
                here = "/".join(folders[:depth])
                if create:
                    with refused(here, "made"), contextlib.suppress(FileExistsError):
                        os.mkdir(folder, 0o700, dir_fd=fd)
                with refused(here, "opened"):
                    inner = _open_folder(fd, folder, here)
                os.close(fd)
                fd = inner
            yield fd, name
        finally:
            os.close(fd)

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """The file's content, or None when there is no such file.

        Raises `FileRefused` for anything but a regular file of our own with one name and at most
        ``max_bytes``, for one that does not hold still, and for one that cannot be read.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self.parent(path) as (folder, name), refused(path, "read"):
                    return _read(folder, name, path, max_bytes)
            except FileNotFoundError:
                return None
            except _Changed:
                continue
        raise FileRefused(path, "changed again and again while it was read")

    def exists_folder(self, parts: Sequence[str]) -> bool:
        """Whether these components are real directories, all the way."""
        try:
            with self.parent("/".join((*parts, "x"))):
                return True
        except (OSError, FileRefused):
            return False

    def remove(self, path: str) -> bool:
        """Take a file (or the link itself) away; False when there is none."""
        try:
            with self.parent(path) as (folder, name), refused(path, "removed"):
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True


@contextlib.contextmanager
def refused(path: str, what: str) -> Generator[None]:
    """Whatever the system says against it becomes a `FileRefused`, but that it is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileRefused(path, f"cannot be {what}: {error.strerror}") from None


def _open_folder(fd: int, name: str, path: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        raise
    except OSError:
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            raise
        raise FileRefused(path, f"is {_kind(info)}, not a directory") from None


def _read(folder: int, name: str, path: str, max_bytes: int) -> bytes:
    # Looked at before it is opened: to open a device can already do something.
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    _check(before, path, max_bytes)
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        # A link now, or another kind of thing: looked at again. Anything else is a refusal.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EISDIR):
            raise _Changed from error
        raise
    try:
        _same(before, os.fstat(fd))
        content = _read_all(fd, max_bytes + 1)
        _same(before, os.fstat(fd))
        _same(before, os.stat(name, dir_fd=folder, follow_symlinks=False))
    finally:
        os.close(fd)
    if len(content) != before.st_size:
        raise _Changed
    return content


def _check(info: os.stat_result, path: str, max_bytes: int) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise FileRefused(path, f"is {_kind(info)}, not a regular file")
    if info.st_nlink > 1:
        raise FileRefused(path, "has a second name (a hard link)")
    if info.st_uid != os.geteuid():
        raise FileRefused(path, "belongs to another user")
    if info.st_size > max_bytes:
        raise FileRefused(path, f"is larger than {max_bytes} bytes")


def _same(before: os.stat_result, now: os.stat_result) -> None:
    if (
        before.st_dev != now.st_dev
        or before.st_ino != now.st_ino
        or before.st_size != now.st_size
        or before.st_mtime_ns != now.st_mtime_ns
        or before.st_ctime_ns != now.st_ctime_ns
        or now.st_nlink != 1
    ):
        raise _Changed


def _read_all(fd: int, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(fd, min(limit, 1 << 20))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _kind(info: os.stat_result) -> str:
    mode = info.st_mode
    names = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFREG: "a file",
    }
    return names.get(stat.S_IFMT(mode), "something else")
