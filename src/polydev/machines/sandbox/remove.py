"""Removing a folder that a guest has filled: it may have taken away our own permissions in it."""

import os
import shutil
import stat
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as the file system lets us.

    Where we are an ordinary user, the guest's files are our own and it may have made folders that
    nobody can enter (`chmod 0`), or read-only ones as some tools do. Those are opened up first,
    by descriptor and without following links, so that nothing outside is touched.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        try:
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        _open_up(fd)
        shutil.rmtree(folder, ignore_errors=True)


def _open_up(fd: int) -> None:
    """Give ourselves all rights on a folder and on every folder below; closes ``fd``.

    Depth first with one descriptor a level is bounded by the limit on open files; what lies deeper
    is reached by calling again, which the caller's next try does.
    """
    try:
        # An O_PATH descriptor cannot be chmodded itself; its name in /proc is the folder itself.
        Path(f"/proc/self/fd/{fd}").chmod(0o700)
        with os.scandir(f"/proc/self/fd/{fd}") as entries:
            names = [
                entry.name
                for entry in entries
                if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode)
            ]
        for name in names:
            child = os.open(
                name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd
            )
            _open_up(child)
    except (OSError, RecursionError):
        return
    finally:
        os.close(fd)
