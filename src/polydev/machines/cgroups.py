"""Memory, cpu and process limits by control groups, v2 or v1, where the host allows.

Follows the kernel's cgroup-v2.rst and cgroup-v1 documents. Only the folders named after an
incarnation below ``polydev`` are ours. The keeper makes them and the machine's first process joins
them, before it is anything else; the keeper itself stays outside, so that it is neither stopped by
the machine's limits nor killed for the machine's memory.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polydev.domain.machine import Limits

ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class CgroupSupport:
    """Where this host lets us limit machines."""

    version: Literal["v2", "v1", "none"]
    bases: tuple[Path, ...]
    """v2: one folder; v1: one a controller. Machine folders are made in them."""
    detail: str

    @property
    def limits_memory(self) -> bool:
        """Whether a machine's memory can be limited as a whole."""
        return self.version == "v2" or any(base.parent.name == "memory" for base in self.bases)


@dataclass(frozen=True, slots=True)
class Folder:
    """One control group to be made: its folder and what is written into its files."""

    path: str
    limits: list[tuple[str, str]]


def detect() -> CgroupSupport:
    """Try, by making a folder and setting a limit, which cgroups this process may use."""
    if (ROOT / "cgroup.controllers").exists():
        for parent in _v2_parents():
            base = parent / "polydev"
            try:
                base.mkdir(exist_ok=True)
                (parent / "cgroup.subtree_control").write_text("+memory +pids +cpu")
                (base / "cgroup.subtree_control").write_text("+memory +pids +cpu")
            except OSError:
                continue
            if _can_move(base):
                return CgroupSupport("v2", (base,), f"cgroup v2 below {parent}")
    else:
        bases: list[Path] = []
        for controller in ("memory", "pids", "cpu"):
            base = ROOT / controller / "polydev"
            with suppress(OSError):
                base.mkdir(exist_ok=True)
                if _can_move(base):
                    bases.append(base)
        if bases:
            names = ", ".join(base.parent.name for base in bases)
            return CgroupSupport("v1", tuple(bases), f"cgroup v1: {names}")
    return CgroupSupport(
        "none",
        (),
        "no cgroup that this user may use: the number of processes and the memory of each are "
        "limited (rlimits), a machine's memory as a whole and its cpu are not",
    )


def _v2_parents() -> list[Path]:
    if os.geteuid() == 0:
        return [ROOT]
    uid = os.getuid()
    return [ROOT / f"user.slice/user-{uid}.slice/user@{uid}.service"]


def _can_move(base: Path) -> bool:
    """Whether a process may be moved into a folder below ``base``.

    The one way to know is to do it; moving back could fail, so a child does it and ends.
    """
    trial = base / f"probe-{os.getpid()}"
    try:
        trial.mkdir(exist_ok=True)  # one that was killed on the way may have had this number
    except OSError:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            (trial / "cgroup.procs").write_text(str(os.getpid()))
            os._exit(0)
        except OSError:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        trial.rmdir()
    return status == 0


def plan(support: CgroupSupport, incarnation: str, limits: Limits) -> list[Folder]:
    """The control groups of one incarnation; empty where the host allows none."""
    return [
        Folder(str(base / incarnation), _limits(support, base, limits)) for base in support.bases
    ]


def make(folders: Iterable[Folder]) -> None:
    """Make them, with their limits.

    Raises:
        OSError: one could not be made.
    """
    for folder in folders:
        path = Path(folder.path)
        path.mkdir(exist_ok=True)
        for name, value in folder.limits:
            # A kernel without swap accounting lacks some of these files.
            with suppress(OSError):
                (path / name).write_text(value)


def join(folders: Iterable[Folder]) -> None:
    """Put the calling process into them.

    Raises:
        OSError: one is not there any more, as its machine has been ended meanwhile.
    """
    for folder in folders:
        Path(folder.path, "cgroup.procs").write_text(str(os.getpid()))


def kills_file(folders: Sequence[Folder]) -> Path | None:
    """The file that counts the processes killed for want of memory, as ``oom_kill NUMBER``."""
    for folder in folders:
        for name in ("memory.events", "memory.oom_control"):
            path = Path(folder.path, name)
            if path.exists():
                return path
    return None


def _limits(support: CgroupSupport, base: Path, limits: Limits) -> list[tuple[str, str]]:
    memory = limits.memory_mib << 20
    quota = int(limits.cpus * _PERIOD_US)
    if support.version == "v2":
        return [
            ("memory.max", str(memory)),
            ("memory.swap.max", "0"),
            ("pids.max", str(limits.processes)),
            ("cpu.max", f"{quota} {_PERIOD_US}"),
        ]
    return {
        "memory": [
            ("memory.limit_in_bytes", str(memory)),
            ("memory.memsw.limit_in_bytes", str(memory)),
        ],
        "pids": [("pids.max", str(limits.processes))],
        "cpu": [("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", str(quota))],
    }[base.parent.name]


async def end(support: CgroupSupport, incarnation: str, *, timeout_s: float) -> bool:
    """Kill all that is in the machine's folders and remove them; False if something stays.

    Whoever joins while this runs is killed too, as its folder then cannot be removed; whoever
    joins later finds no folder.
    """
    left = [base / incarnation for base in support.bases]
    deadline = asyncio.get_running_loop().time() + timeout_s
    while left:
        for folder in left:
            _kill_members(folder)
        left = [folder for folder in left if not _removed(folder)]
        if not left or asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(0.02)
    return not left


def _kill_members(folder: Path) -> None:
    with suppress(OSError):
        (folder / "cgroup.kill").write_text("1")
        return
    # Version 1 and old kernels. Each is held by a descriptor before it is seen to be a member
    # (still), so that no other process with a re-used number is hit.
    held: dict[int, int] = {}
    try:
        for pid in _members(folder):
            with suppress(OSError):
                held[pid] = os.pidfd_open(pid)
        still = _members(folder)
        for pid, fd in held.items():
            if pid in still:
                with suppress(OSError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
    finally:
        for fd in held.values():
            os.close(fd)


def _members(folder: Path) -> set[int]:
    with suppress(OSError):
        return {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    return set()


def _removed(folder: Path) -> bool:
    """Remove an empty folder; the kernel refuses while a process is in it."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def sweep(support: CgroupSupport, living: Callable[[], set[str]]) -> None:
    """Remove the empty folders of incarnations that have no process.

    A keeper lives from before its machine's folders are made; so whoever is in the list of folders
    and not among the living, asked afterwards, is over.
    """
    found = incarnations(support)
    for incarnation in found - living() if found else ():
        for base in support.bases:
            _removed(base / incarnation)


def incarnations(support: CgroupSupport) -> set[str]:
    """The incarnations that have a folder."""
    found: set[str] = set()
    for base in support.bases:
        with suppress(OSError):
            found |= {entry.name for entry in base.iterdir() if entry.name.startswith("inc_")}
    return found
