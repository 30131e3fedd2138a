"""Connecting to a Unix socket that lies in a folder a guest can write."""

import os
import socket
import stat

from polydev.errors import MachineGone


def connect_hostile(directory_fd: int, name: str) -> socket.socket:
    """Connect to the socket ``name`` in the folder, without following a link put there instead.

    The guest may replace the socket by a symbolic link to any socket of the host. So the name is
    opened with O_PATH|O_NOFOLLOW, checked to be a socket, and connected to through that very
    descriptor (/proc/self/fd): nothing can be swapped in between.

    Returns:
        A connected, non-blocking stream socket.

    Raises:
        MachineGone: nothing listens there (yet), or it is no socket.
    """
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)
    except OSError as error:
        raise MachineGone(f"The machine's {name} is not there (yet).", detail=str(error)) from None
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise MachineGone(f"The machine's {name} is not a socket.")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Non-blocking first: a guest with a full backlog must not hold up the host.
            connection.setblocking(False)
            connection.connect(f"/proc/self/fd/{fd}")
        except OSError as error:
            connection.close()
            raise MachineGone(f"The machine's {name} does not answer.", detail=str(error)) from None
        return connection
    finally:
        os.close(fd)
