"""One child process: started with nothing inherited by accident, watched through a pidfd."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_SAFE_FD: Final = 64
"""Descriptors are moved above this first, so that no target number hides a source."""
_DEFAULTS: Final = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def find_program(name: str, env: Mapping[str, str]) -> str | None:
    """The absolute path of a program as its own PATH finds it."""
    return shutil.which(name, path=env.get("PATH", ""))


class Child:
    """A process in a session of its own. ``exited`` holds its exit code (negative: a signal)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(pid)
        loop.add_reader(self._pidfd, self._reap)

    @classmethod
    def spawn(
        cls,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        fds: Mapping[int, int],
        tty: str | None = None,
        cwd: str | None = None,
    ) -> "Child":
        """Start ``argv[0]`` (a path). Raises OSError.

        ``fds`` maps its descriptor numbers to ours, which stay open here; with ``tty`` that
        terminal becomes its standard streams and, as it leads a session, its controlling one.
        """
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, tty or os.devnull, os.O_RDWR, 0)
        ]
        if tty is not None:
            actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        moved: list[int] = []
        here = os.open(".", os.O_PATH | os.O_CLOEXEC)
        try:
            for target, source in fds.items():
                moved.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _SAFE_FD))
                actions.append((os.POSIX_SPAWN_DUP2, moved[-1], target))
            if cwd is not None:
                os.chdir(cwd)
            pid = os.posix_spawn(
                argv[0],
                list(argv),
                dict(env),
                file_actions=actions,
                setsid=True,
                # "Ignored" and "blocked" would be inherited: from us, as Python ignores two of
                # these, or from whatever started us.
                setsigdef=_DEFAULTS,
                setsigmask=(),
            )
        finally:
            os.fchdir(here)
            for fd in (here, *moved):
                os.close(fd)
        return cls(pid)

    def send(self, number: int) -> None:
        """Signal the process and its group, if it still runs."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def end(self, grace_s: float) -> None:
        """SIGTERM and SIGHUP, then after ``grace_s`` SIGKILL; returns when it is reaped."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGHUP)
        await asyncio.wait([self.exited], timeout=grace_s)
        self.send(signal.SIGKILL)
        await self.exited

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # The leader is still a zombie here, so its number cannot belong to somebody else.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if not self.exited.done():
            self.exited.set_result(os.waitstatus_to_exitcode(status))


def hang_up(session: int) -> None:
    """SIGHUP to all that is left of a session, as when a terminal's line is cut.

    Job control puts background jobs into groups of their own, which the leader's end does not
    reach. What asked to outlive its terminal (nohup, setsid) does.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # proc(5) stat: state, ppid, pgrp, session; the name before them may hold anything.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                os.kill(int(entry.name), signal.SIGHUP)
                os.kill(int(entry.name), signal.SIGCONT)


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
