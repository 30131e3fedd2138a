"""The host itself: Python, what machines are made of, room, clock."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polydev.machines.driver import Finding
from polydev.settings import Settings

_MIN_DISK_MIB: Final = 3000
_MIN_PYTHON: Final = (3, 11)
_RELEASED: Final = datetime(2026, 11, 1, tzinfo=UTC)


async def python(settings: Settings | None) -> list[Finding]:
    del settings
    version = ".".join(str(part) for part in sys.version_info[:3])
    return [
        Finding(
            "python",
            sys.version_info >= _MIN_PYTHON,
            f"{version} at {sys.executable}",
            "use Python 3.11 or newer (Debian 12 and later have it)",
        )
    ]


async def driver(settings: Settings) -> list[Finding]:
    """What the driver itself says about this host."""
    del settings  # there is one driver
    from polydev.machines.cgroups import detect
    from polydev.machines.sandbox.host_check import check_host

    # Not through a driver object: making one prepares the state directory, and a check must not.
    return await check_host(detect(), own_users=os.geteuid() == 0)


async def room(settings: Settings) -> list[Finding]:
    """Disk for state and tools, memory for the machines that the settings keep warm."""
    place = nearest_existing(settings.state_dir)
    free_mib = shutil.disk_usage(place).free >> 20
    machines = settings.machines
    needed_mib = machines.cli.memory_mib + machines.browser.memory_mib // 2
    available_mib = _available_memory_mib()
    findings = [
        Finding(
            "disk",
            free_mib >= _MIN_DISK_MIB,
            f"{free_mib} MiB free at {place}",
            f"free {_MIN_DISK_MIB} MiB, or set POLYDEV_STATE_DIR to a larger disk",
        )
    ]
    if available_mib is not None:
        findings.append(
            Finding(
                "memory",
                available_mib >= needed_mib,
                f"{available_mib} MiB available; one sign-in may take {needed_mib} MiB",
                "add memory, or lower POLYDEV_MACHINES__BROWSER__MEMORY_MIB and "
                "POLYDEV_MACHINES__POOL_SIZE",
                required=False,
            )
        )
    return findings


async def clock(settings: Settings) -> list[Finding]:
    """Certificates, one-time tickets and expiry all depend on it."""
    del settings
    now = datetime.fromtimestamp(time.time(), UTC)
    return [
        Finding(
            "clock",
            now >= _RELEASED,
            now.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "set the clock (install and start chrony or systemd-timesyncd)",
        )
    ]


def nearest_existing(path: Path) -> Path:
    """``path`` or the nearest directory above it that exists."""
    return next((p for p in (path, *path.parents) if p.exists()), Path("/"))


def _available_memory_mib() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) >> 10
    return None
