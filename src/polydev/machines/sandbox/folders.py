"""Makes the folders of one machine, and sees that they are one user's alone."""

import asyncio
import os

from polydev.domain.machine import MachineKind
from polydev.machines.sandbox.layout import MachinePaths
from polydev.machines.sandbox.remove import own_tree, remove_tree
from polydev.machines.sandbox.uids import Lease, busy_uids, lease, lease_free, uid_of


async def make_folders(
    paths: MachinePaths, kind: MachineKind, uid_base: int, uid_count: int, *, own_users: bool
) -> Lease | None:
    """The folders that a machine starts with; a home that is there stays.

    Not for two machines at a time: each must see which user ids the other's folders hold.

    Returns:
        The machine's own user, whose lease the caller closes; None without ``own_users``.

    Raises:
        MachineError: no user id is left.
        OSError: a folder could not be made.
    """
    machines = paths.folder.parent
    for folder in (machines.parent, machines):
        folder.mkdir(parents=True, exist_ok=True)
        # Machines' users must be able to pass through, not to list.
        if own_users:
            folder.chmod(0o711)
    paths.console.parent.mkdir(mode=0o700, exist_ok=True)
    held: Lease | None = None
    try:
        existed = paths.folder.exists()
        if own_users:
            busy = busy_uids()
            held = lease(uid_of(paths.folder), busy=busy) if existed else None
            if held is None:
                parents = (machines, paths.orphans)
                held = lease_free(parents, uid_base, uid_count, busy=busy)
        if not existed:
            paths.folder.mkdir(mode=0o710)
        if held is not None:
            await _give(paths, held.uid)
        await _fill(paths, kind, held.uid if held else None)
    except BaseException:
        if held is not None:
            held.close()
        raise
    return held


async def _give(paths: MachinePaths, uid: int) -> None:
    """Let the folder hold this id; a home that had another is made over first.

    That happens when its earlier one has meanwhile gone to a machine of another Polydev.
    """
    if paths.home.exists() and paths.home.stat().st_uid != uid:
        await asyncio.to_thread(own_tree, paths.home, uid)
    if uid_of(paths.folder) != uid:
        os.chown(paths.folder, 0, uid)


async def _fill(paths: MachinePaths, kind: MachineKind, uid: int | None) -> None:
    # The socket of an earlier incarnation is of no use; the home stays.
    await asyncio.to_thread(remove_tree, paths.egress)
    paths.egress.mkdir(mode=0o700)
    if uid is not None:
        # The proxy's socket is for the machine to use, not to replace.
        os.chown(paths.egress, 0, uid)
        paths.egress.chmod(0o750)
    if kind is MachineKind.CLI and not paths.home.exists():
        paths.home.mkdir(mode=0o700)
        if uid is not None:
            os.chown(paths.home, uid, uid)
