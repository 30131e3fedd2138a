"""The kernel's session keyring: no namespace keeps it apart, every child inherits it."""

import ctypes
import errno
import os
from typing import Final

_KEYCTL: Final = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
"""The system call's number."""
_JOIN_SESSION_KEYRING: Final = 1


def leave_behind() -> None:
    """Join a new, empty session keyring, so that no process from here on can read the keys of the
    login that started us (keyrings(7): a possessor may read them, whoever it has become).

    Raises:
        OSError: the kernel has keyrings and would not give us one.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "the keyctl call is not known on this architecture")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, ctypes.c_long(_JOIN_SESSION_KEYRING), None) >= 0:
        return
    # A kernel without keyrings has nothing to leave behind; a container's filter that forbids the
    # call forbids it to the guest too, which inherits it.
    if ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
        raise OSError(ctypes.get_errno(), "no session keyring of our own")
