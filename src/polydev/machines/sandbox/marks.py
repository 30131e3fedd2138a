"""Every process of a machine that the host started carries its incarnation on its command line.

So it is found when nothing else tells of it: no file was written yet, no control group is to be
had. A guest may give such a name to its own processes, which harms nobody else's.
"""

import os
from contextlib import suppress
from pathlib import Path

from polydev.machines.processes import ProcessRef

KEEPER_MODULE = "polydev.machines.sandbox.keeper"
_PREFIX = "polydev:"


def name_of(incarnation: str) -> str:
    """The first word (``argv[0]``) of bubblewrap's command line."""
    return _PREFIX + incarnation


def carriers(incarnation: str) -> list[ProcessRef]:
    """The running processes of this incarnation: keeper and bubblewrap."""
    return [ref for ref, carried in _marked() if carried == incarnation]


def dying(uid: int) -> list[ProcessRef]:
    """The processes of this user that are just ending: they have lost their command lines, and so
    nobody can tell whose they were."""
    found: list[ProcessRef] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        ref = ProcessRef.of(int(entry.name))
        with suppress(OSError):
            if ref is not None and entry.stat().st_uid == uid and ref.ending():
                found.append(ref)
    return found


def living() -> set[str]:
    """The incarnations that a process carries. List what you hold against them first."""
    return {carried for _, carried in _marked()}


def _marked() -> list[tuple[ProcessRef, str]]:
    found: list[tuple[ProcessRef, str]] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or _carried(entry) is None:
            continue
        # Named first and looked at again then: the number may have been re-used meanwhile.
        ref = ProcessRef.of(int(entry.name))
        carried = _carried(entry)
        if ref is not None and carried is not None and ref.alive():
            found.append((ref, carried))
    return found


def _carried(process: Path) -> str | None:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        # What is not ours we could not end, whatever it calls itself.
        if os.geteuid() not in (0, process.stat().st_uid):
            return None
    except OSError:
        return None
    if words and words[0].startswith(_PREFIX):
        return words[0].removeprefix(_PREFIX)
    if KEEPER_MODULE in words[:-2]:
        return words[-1]
    return None
