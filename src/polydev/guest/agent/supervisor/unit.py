"""One supervised program: its process, its output, its restarts."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from polydev.guest.agent.process import Child, describe_exit
from polydev.guest.agent.redact import LineSplitter
from polydev.guest.agent.supervisor.console import Console
from polydev.guest.agent.supervisor.restart import RestartPolicy
from polydev.guest.protocol import UnitReport, UnitState

_TAIL: Final = 20
_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a program. ``fds`` maps its descriptor numbers to ours, which we close."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    fds: Mapping[int, int] = field(default_factory=dict[int, int])


class Unit:
    """Keeps one program running from `start` until `halt` or a crash loop.

    ``launch`` is asked for fresh descriptors at each start; ``noise`` matches lines of output that
    say nothing.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Launch],
        console: Console,
        on_change: Callable[["Unit"], None],
        *,
        noise: re.Pattern[str] | None = None,
    ) -> None:
        self.name = name
        self.state = UnitState.STOPPED
        self.restarts = 0
        self.exit: int | None = None
        self._launch = launch
        self._console = console
        self._on_change = on_change
        self._noise = noise
        self._policy = RestartPolicy()
        self._child: Child | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start it, unless it runs already or is in a crash loop."""
        if self._child is not None or self.state is UnitState.CRASH_LOOP:
            return
        self._cancel_timer()
        self._policy.started()
        try:
            self._spawn(self._launch())
        except OSError as error:
            self._console.add(self.name, f"cannot start: {error.strerror}")
            self.exit = 127
            self._died()
            return
        self._enter(UnitState.STARTING)

    def ready(self) -> None:
        """It does its work now (whoever can tell calls this)."""
        if self.state is UnitState.STARTING:
            self._enter(UnitState.READY)

    def report(self) -> UnitReport:
        tail = self._console.last(self.name, _TAIL) if self.state is UnitState.CRASH_LOOP else ()
        return UnitReport(self.name, self.state, self.restarts, tail)

    async def halt(self, grace_s: float = 1.0) -> None:
        """End it and keep it ended until the next `start`. SIGTERM, then SIGKILL to its group."""
        self._cancel_timer()
        if self.state is not UnitState.CRASH_LOOP:
            self._enter(UnitState.STOPPED)
        child = self._child
        if child is None:
            return
        if not child.exited.done():
            os.kill(child.pid, signal.SIGTERM)
        await asyncio.wait([child.exited], timeout=grace_s)
        child.send(signal.SIGKILL)
        await asyncio.wait([child.exited])

    def _spawn(self, launch: Launch) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            fds = {1: write_end, 2: write_end, **launch.fds}
            child = Child.spawn(launch.argv, launch.env, fds=fds)
        except OSError:
            os.close(read_end)
            raise
        finally:
            for fd in (write_end, *launch.fds.values()):
                os.close(fd)
        self._child = child
        child.exited.add_done_callback(lambda done: self._exited(done.result()))
        os.set_blocking(read_end, False)
        loop = asyncio.get_running_loop()
        loop.add_reader(read_end, self._output, read_end, LineSplitter())

    def _output(self, fd: int, splitter: LineSplitter) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        for line in splitter.feed(data) if data else splitter.rest():
            if self._noise is None or self._noise.search(line) is None:
                self._console.add(self.name, line)
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def _exited(self, code: int) -> None:
        self._child = None
        self.exit = code
        if self.state is not UnitState.STOPPED:
            self._console.add(self.name, f"ended with {describe_exit(code)}")
            self._died()

    def _died(self) -> None:
        delay = self._policy.died()
        if delay is None:
            self._enter(UnitState.CRASH_LOOP)
            return
        self.restarts += 1
        self._timer = asyncio.get_running_loop().call_later(delay, self._restart)
        self._enter(UnitState.RESTARTING)

    def _restart(self) -> None:
        self._timer = None
        self.start()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _enter(self, state: UnitState) -> None:
        self.state = state
        self._on_change(self)
