"""Host user ids for machines: as root, each machine runs under one of its own.

The lease is the group of the machine's folder, so it cannot outlive the folder or get lost.
"""

from pathlib import Path

from polydev.errors import MachineError


def lease_of(folder: Path) -> int:
    return folder.stat().st_gid


def free_uid(machines: Path, base: int, count: int) -> int:
    """The lowest id of the range that no machine's folder holds.

    Raises:
        MachineError: all are taken.
    """
    taken = {entry.stat().st_gid for entry in machines.iterdir() if entry.is_dir()}
    for uid in range(base, base + count):
        if uid not in taken:
            return uid
    raise MachineError(
        f"All {count} user ids for machines are taken; raise machines.sandbox.uid_count."
    )
