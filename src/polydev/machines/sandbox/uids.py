"""Host user ids for machines: as root, each machine runs under one of its own.

Two things hold an id. The machine's folder, whose group it is, holds it as long as there are files
of it, and so among the machines of one state directory. A running machine holds it among all of
this host, by a lock on a file that its keeper has open: the kernel lets it go with the keeper.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from polydev.errors import MachineError

LEASES = Path("/run/polydev/uids")


class Lease:
    """An id that no other machine of this host has, while ``fd`` is open here or in a keeper."""

    def __init__(self, uid: int, fd: int) -> None:
        self.uid = uid
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


def uid_of(folder: Path) -> int:
    return folder.stat().st_gid


def lease(uid: int, *, busy: frozenset[int], leases: Path = LEASES) -> Lease | None:
    """Take this id for a machine; None when a running machine or any other process has it.

    ``busy`` is what `busy_uids` says: not everybody who runs something asks for a lease.

    Raises:
        OSError: this host has no place for the leases.
    """
    if uid in busy:
        return None
    leases.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(leases / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return Lease(uid, fd)


def lease_free(
    parents: Iterable[Path],
    base: int,
    count: int,
    *,
    busy: frozenset[int],
    leases: Path = LEASES,
) -> Lease:
    """Take the lowest id of the range that nobody has, nor any machine's folder in ``parents``.

    Raises:
        MachineError: all are taken.
    """
    taken = {
        uid_of(entry)
        for parent in parents
        if parent.is_dir()
        for entry in parent.iterdir()
        if entry.is_dir()
    }
    for uid in range(base, base + count):
        if uid not in taken and (found := lease(uid, busy=busy, leases=leases)) is not None:
            return found
    raise MachineError(
        f"All {count} user ids for machines are taken; raise machines.sandbox.uid_count."
    )


def busy_uids() -> frozenset[int]:
    """The ids that processes of this host run under, those that have ended left out."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines = (entry / "status").read_text(errors="replace").splitlines()
            except OSError:
                continue
            fields = {name: value.split() for name, _, value in (x.partition(":") for x in lines)}
            if fields.get("State", ["X"])[0] not in ("Z", "X"):
                found |= {int(uid) for uid in fields.get("Uid", ())}
    return frozenset(found)
