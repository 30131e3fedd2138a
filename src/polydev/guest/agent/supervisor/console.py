"""The machine's console (the supervisor's standard output) and each unit's last lines.

Both get the same text: `redact.clean` has been over it. Nothing is written to a disk.
"""

import contextlib
import json
import os
import time
from collections import deque
from typing import Final

from polydev.guest.agent.redact import clean

MARK: Final = "@polydev "
"""Starts a machine-readable line, for people and tests that read the log. A unit's own lines carry
its prefix; but any program in the machine can write to this console by way of /proc, so whoever
reads such a line believes it no more than the rest: nothing is decided by it."""

_LINES_KEPT: Final = 300


class Console:
    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self.born = time.monotonic()
        self._lines: dict[str, deque[str]] = {}

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self.born

    def add(self, unit: str, line: str) -> None:
        """Record one line of a unit's output."""
        line = clean(line)
        if not line:
            return
        kept = self._lines.setdefault(unit, deque(maxlen=_LINES_KEPT))
        kept.append(line)
        self._write(f"{self.uptime_s:9.3f} {unit}: {line}\n")

    def report(self, record: dict[str, object]) -> None:
        """Write a machine-readable line for whoever reads the console log afterwards."""
        self._write(MARK + json.dumps(record) + "\n")

    def last(self, unit: str, count: int) -> tuple[str, ...]:
        return tuple(self._lines.get(unit, ()))[-count:]

    def _write(self, text: str) -> None:
        # A console that nobody reads any more must not end the machine.
        with contextlib.suppress(OSError):
            os.write(self._fd, text.encode())
