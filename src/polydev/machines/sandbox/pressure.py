"""What ends a machine's work without a word in the machine: no memory, no room on the disk.

The keeper looks now and then and says so on the console. All is opened while it is still root.
"""

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from polydev.machines.sandbox.console import ConsoleLog

LOOK_EVERY_S: Final = 2.0
LOW_DISK: Final = 512 << 20
_KILLS: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class Pressure:
    """``kills`` is the cgroup's file that counts (see `cgroups.kills_file`); ``disk`` any folder
    of the file system that a CLI machine's home lies on."""

    def __init__(self, console: ConsoleLog, kills: Path | None, disk: Path) -> None:
        self._console = console
        self._kills_fd = None if kills is None else os.open(kills, os.O_RDONLY | os.O_CLOEXEC)
        self._disk_fd = os.open(disk, os.O_PATH | os.O_CLOEXEC)
        self._seen = 0
        self._low = False

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        kills = self._kills()
        if kills > self._seen:
            self._say(f"out of memory: the kernel ended {kills - self._seen} of its processes")
            self._seen = kills
        free = self._free_disk()
        if free < LOW_DISK and not self._low:
            self._say(f"the host's disk is nearly full: {free >> 20} MiB are left for all homes")
        self._low = free < LOW_DISK

    def _kills(self) -> int:
        # A folder that has been removed meanwhile reads as an error.
        with suppress(OSError):
            if self._kills_fd is not None:
                found = _KILLS.search(os.pread(self._kills_fd, 4096, 0))
                return int(found[1]) if found else 0
        return 0

    def _free_disk(self) -> int:
        try:
            info = os.fstatvfs(self._disk_fd)
        except OSError:
            return LOW_DISK
        return info.f_bavail * info.f_frsize

    def _say(self, text: str) -> None:
        self._console.write(f"[keeper] {text}\n".encode())
