"""Memory, cpu and process limits by control groups, v2 or v1, where the host allows.

Follows the kernel's cgroup-v2.rst and cgroup-v1 documents. Only the folders named after an
incarnation below ``polydev`` are ours; a folder is made before the machine, joined by its keeper,
and removed after it is empty.
"""

import asyncio
import os
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
        trial.mkdir()
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


def create(support: CgroupSupport, incarnation: str, limits: Limits) -> list[Path]:
    """Make this machine's folders with its limits; returns the ``cgroup.procs`` files to join."""
    joins: list[Path] = []
    for base in support.bases:
        folder = base / incarnation
        folder.mkdir(exist_ok=True)
        for name, value in _limits(support, base, limits):
            # A kernel without swap accounting lacks some of these files.
            with suppress(OSError):
                (folder / name).write_text(value)
        joins.append(folder / "cgroup.procs")
    return joins


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


async def remove(support: CgroupSupport, incarnation: str) -> None:
    """Remove the machine's folders; its processes have ended, the kernel may need a moment."""
    for base in support.bases:
        folder = base / incarnation
        for _ in range(50):
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                await asyncio.sleep(0.02)
            else:
                break


def incarnations(support: CgroupSupport) -> set[str]:
    """The incarnations that have a folder."""
    found: set[str] = set()
    for base in support.bases:
        with suppress(OSError):
            found |= {entry.name for entry in base.iterdir() if entry.name.startswith("inc_")}
    return found
