"""The way from the host to the sockets in a machine's memory."""

import os
import socket
from pathlib import Path, PurePosixPath

from polydev.errors import MachineGone
from polydev.machines.hostile_socket import connect_hostile
from polydev.machines.processes import ProcessRef
from polydev.machines.sandbox.root import SOCKETS

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def dial_socket(init: ProcessRef, name: str) -> socket.socket:
    """Connect to a socket by the root folder of the machine's first process (/proc/PID/root).

    Raises:
        MachineGone: the machine has ended, or nothing listens there (yet).
    """
    try:
        folder = _open_folder(init)
    except OSError as error:
        raise MachineGone("The machine is gone, or not up yet.", detail=str(error)) from None
    try:
        return connect_hostile(folder, name)
    finally:
        os.close(folder)


def _open_folder(init: ProcessRef) -> int:
    fd = os.open(f"/proc/{init.pid}/root", _FOLDER)
    try:
        _check_root(fd, init)
        for part in PurePosixPath(SOCKETS).parts[1:]:
            # Never a link: it would be followed from the host's root, not from the machine's.
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_root(fd: int, init: ProcessRef) -> None:
    # Held first and named then: another process may have got the number.
    if not init.alive():
        raise ProcessLookupError(f"process {init.pid} has ended")
    # For its first moments bubblewrap still has our own root, where other things lie.
    if os.path.samestat(os.fstat(fd), Path("/").stat()):
        raise FileNotFoundError("the machine has no root of its own yet")
