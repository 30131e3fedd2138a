"""Processes named so that a re-used number cannot be mistaken for the one that was meant."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PF_EXITING = 0x4
"""Among the flags of proc(5) stat (field 9); the kernel's include/linux/sched.h."""


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process by number and start time (clock ticks since boot, field 22 of proc(5) stat)."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessRef | None":
        """Name a running process; None if there is none."""
        fields = _stat_fields(pid)
        return cls(pid, int(fields[19])) if fields is not None else None

    def alive(self) -> bool:
        """True while this very process runs (a zombie does not)."""
        fields = _stat_fields(self.pid)
        return (
            fields is not None
            and int(fields[19]) == self.start_ticks
            and fields[0] not in ("Z", "X")
        )

    def ending(self) -> bool:
        """True while it runs no more but is not gone: it has no command line then, and its
        children may still run."""
        fields = _stat_fields(self.pid)
        return self.alive() and fields is not None and bool(int(fields[6]) & _PF_EXITING)


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command name, which may itself hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


async def end_process(ref: ProcessRef, *, grace_s: float) -> None:
    """SIGTERM, wait up to ``grace_s``, SIGKILL, wait until it is gone. Idempotent.

    The process is held by a pidfd from before its identity is checked, so no signal can reach
    a successor with the same number.
    """
    try:
        fd = os.pidfd_open(ref.pid)
    except ProcessLookupError:
        return
    try:
        if not ref.alive():
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGTERM)
        if not await _wait_pidfd(fd, grace_s):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            await _wait_pidfd(fd, 10)
    finally:
        os.close(fd)


async def kill_all(find: Callable[[], Iterable[ProcessRef]], *, timeout_s: float) -> bool:
    """SIGKILL whatever ``find`` finds until it finds nothing; False when the time was too short.

    Asked again after each round, as one that is just being killed may have made another.
    """
    deadline = time.monotonic() + timeout_s
    while refs := list(find()):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        for ref in refs:
            with suppress(OSError):
                _kill(ref)
        for ref in refs:
            await wait_gone(ref, timeout_s=max(0.0, min(left, deadline - time.monotonic())))
    return True


def _kill(ref: ProcessRef) -> None:
    fd = os.pidfd_open(ref.pid)
    try:
        if ref.alive():
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    finally:
        os.close(fd)


async def wait_gone(ref: ProcessRef, *, timeout_s: float | None) -> bool:
    """Wait until the process has ended; False if it has not within the time (None: for ever)."""
    try:
        fd = os.pidfd_open(ref.pid)
    except ProcessLookupError:
        return True
    try:
        return not ref.alive() or await _wait_pidfd(fd, timeout_s)
    finally:
        os.close(fd)


async def _wait_pidfd(fd: int, timeout_s: float | None) -> bool:
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()

    def ended() -> None:
        # A pidfd turns readable when the process has ended, reaped or not.
        if not gone.done():
            gone.set_result(None)

    loop.add_reader(fd, ended)
    try:
        async with asyncio.timeout(timeout_s):
            await gone
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
    return True
