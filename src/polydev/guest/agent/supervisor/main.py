"""The machine's supervisor: which units a role has, what each waits for, and their end.

    browser:  forwarder   display -> wm, chromium   agent
    cli:      forwarder                             agent

Everything that can start at once does; only what needs the display waits for it. The supervisor
owns what must outlive a unit: the agent's listening socket (so the host's connections queue while
the agent restarts) and the pipe to Chromium (so either side of it can restart alone).
"""

import asyncio
import contextlib
import logging
import os
import re
import resource
import signal
import socket
import stat
import sys
from collections.abc import Coroutine
from typing import Final, cast

from polydev.guest.agent.environment import base_environment
from polydev.guest.agent.forwarder import serve_forwarder
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.supervisor import programs
from polydev.guest.agent.supervisor.console import Console
from polydev.guest.agent.supervisor.fallback import serve_fallback
from polydev.guest.agent.supervisor.link import (
    AGENT_LINK_FD,
    AGENT_LISTEN_FD,
    Link,
    Message,
    pair,
)
from polydev.guest.agent.supervisor.unit import Launch, Unit
from polydev.guest.codec import decode, encode, loads
from polydev.guest.protocol import Health, MachineConfig, UnitReport, UnitState

_LOG_LINES: Final = 300
_NOTE_MAX: Final = 32_768
_NO_BUS: Final = re.compile(r":ERROR:dbus/")
_FORWARDER_RETRY_S: Final = 1.0


class Supervisor:
    def __init__(self, layout: Layout, config: MachineConfig, console: Console) -> None:
        self._layout = layout
        self._config = config
        self._console = console
        self._base = base_environment(layout)
        self._display_name: str | None = None
        self._browser_fds: tuple[int, int] | None = None
        self._browser_generation = 0
        self._link: Link | None = None
        self._notes: dict[str, object] = {}
        self._forwarder = UnitState.STARTING
        self._listener = _listen(layout)
        self._fallback: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._certificates: asyncio.Task[None] | None = None
        self._clearing: asyncio.Future[list[None]] | None = None
        self.display = Unit("display", self._launch_display, console, self._changed)
        self.wm = Unit("wm", self._launch_wm, console, self._changed)
        self.chromium = Unit(
            "chromium", self._launch_chromium, console, self._changed, noise=_NO_BUS
        )
        self.agent = Unit("agent", self._launch_agent, console, self._changed)
        browser = (self.display, self.wm, self.chromium)
        self.units = (*browser, self.agent) if config.role == "browser" else (self.agent,)

    async def run(self) -> None:
        """Run the machine until SIGTERM or SIGINT, then end its units in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGUSR1, self.wm.ready)
        _end_with_the_host()
        if self.display in self.units:
            self.display.start()
            self._certificates = asyncio.create_task(self._prepare_browser())
        self.agent.start()
        self._spawn_task(self._forward())
        await self._stopping.wait()
        self._console.add("supervisor", "ending")
        for unit in (self.agent, self.chromium, self.wm, self.display):
            await unit.halt()
        for task in self._tasks:
            task.cancel()

    def health(self) -> Health:
        units = self._reports()
        ready = all(unit.state is UnitState.READY for unit in units)
        return Health(ready, self._config.role, units, self._console.uptime_s)

    # Units

    def _launch_display(self) -> Launch:
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._listen_for_display(read_end)
        argv = programs.display(self._layout, self._config, ready_fd=3)
        return Launch(argv, self._base, {3: write_end})

    def _listen_for_display(self, fd: int) -> None:
        loop = asyncio.get_running_loop()

        said = bytearray()

        def readable() -> None:
            # The server writes its number and the line's end one after the other, and ends itself
            # if nobody reads the second.
            part = os.read(fd, 64)
            said.extend(part)
            if part and b"\n" not in said:
                return
            loop.remove_reader(fd)
            os.close(fd)
            number = bytes(said).strip()
            if number.isdigit():
                self._display_name = f":{int(number)}"
                self.display.ready()
                self._spawn_task(self._start_on_display())

        loop.add_reader(fd, readable)

    def _launch_wm(self) -> Launch:
        return Launch(programs.window_manager(self._layout, os.getpid()), self._on_display())

    async def _start_on_display(self) -> None:
        if self._clearing is not None:
            await self._clearing
        self.wm.start()
        if self._certificates is not None:
            await self._certificates
        self.chromium.start()

    def _launch_chromium(self) -> Launch:
        programs.prepare_profile(self._layout)
        for fd in self._browser_fds or ():
            os.close(fd)
        their_in, our_out = os.pipe2(os.O_CLOEXEC)
        our_in, their_out = os.pipe2(os.O_CLOEXEC)
        self._browser_fds = (our_out, our_in)
        self._browser_generation += 1
        self._send_browser()
        argv = programs.chromium(self._layout, self._config)
        return Launch(argv, self._on_display(), {3: their_in, 4: their_out})

    def _launch_agent(self) -> Launch:
        if self._link is not None:
            self._link.close()
        ours, theirs = pair()
        self._link = Link(ours, self._from_agent, lambda: None)
        hello = {"kind": "hello", "config": encode(self._config), "notes": self._notes}
        self._link.send({**hello, "born": self._console.born})
        self._send_units()
        self._send_browser()
        listener = os.dup(self._listener.fileno())
        argv = (str(self._layout.agent_tree / "bin" / "agent"),)
        fds = {AGENT_LINK_FD: theirs.detach(), AGENT_LISTEN_FD: listener}
        return Launch(argv, self._base, fds)

    def _on_display(self) -> dict[str, str]:
        # No message bus runs here; without an address each library would look for one.
        bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
        return {**self._base, **bus, "DISPLAY": self._display_name or ":0"}

    async def _prepare_browser(self) -> None:
        try:
            programs.prepare_profile(self._layout)
            if not self._config.extra_ca:
                return
            for command in programs.certificate_imports(self._layout):
                child = await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.DEVNULL, env=self._base
                )
                if await child.wait() != 0:
                    self._console.add("supervisor", "the extra CA could not be added to Chromium")
        except (OSError, ValueError) as error:
            self._console.add("supervisor", f"browser set-up: {error}")

    async def _forward(self) -> None:
        layout = self._layout
        while True:
            started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
            started.add_done_callback(lambda _: self._set_forwarder(UnitState.READY))
            try:
                await serve_forwarder(
                    layout.proxy_host, layout.proxy_port, str(layout.egress_socket), started=started
                )
            except OSError as error:
                self._console.add("forwarder", f"cannot listen: {error.strerror}")
            self._set_forwarder(UnitState.RESTARTING)
            await asyncio.sleep(_FORWARDER_RETRY_S)

    def _set_forwarder(self, state: UnitState) -> None:
        self._forwarder = state
        self._send_units()

    # Changes

    def _changed(self, unit: Unit) -> None:
        if unit is self.display and unit.state in (UnitState.RESTARTING, UnitState.CRASH_LOOP):
            self._lose_display(unit.state)
        if unit.state is UnitState.CRASH_LOOP:
            self._console.report(cast("dict[str, object]", encode(unit.report())))
            if unit is self.agent:
                self._spawn_task(self._stand_in())
        self._send_units()

    def _lose_display(self, state: UnitState) -> None:
        """What drew on it has lost its connection: end it, so that its death is not its own."""
        self._display_name = None
        halts = [unit.halt(0.2) for unit in (self.wm, self.chromium)]
        self._clearing = asyncio.gather(*halts)
        if state is UnitState.CRASH_LOOP:
            self._console.add("supervisor", "the display is gone for good")

    async def _stand_in(self) -> None:
        if self._fallback is None:
            self._fallback = await serve_fallback(
                self._listener, self._config.token, self.health, self._log
            )

    # The agent

    def _from_agent(self, message: Message, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        match message:
            case {"kind": "ready"}:
                self.agent.ready()
            case {"kind": "browser_ready", "generation": self._browser_generation}:
                self.chromium.ready()
            case {"kind": "note", "name": str(name), "value": value}:
                if len(str(value)) <= _NOTE_MAX and len(self._notes) < 16:
                    self._notes[name] = value
            case {"kind": "log", "id": int(number), "unit": str(unit)} if self._link is not None:
                self._link.send({"kind": "log", "id": number, "text": self._log(unit)})
            case _:
                self._console.add("supervisor", "the agent sent a message that is not known")

    def _log(self, unit: str) -> str:
        return "\n".join(self._console.last(unit, _LOG_LINES))[-60_000:]

    def _reports(self) -> tuple[UnitReport, ...]:
        forwarder = UnitReport("forwarder", self._forwarder, 0)
        return (forwarder, *(unit.report() for unit in self.units))

    def _send_units(self) -> None:
        if self._link is None:
            return
        exits = {unit.name: unit.exit for unit in self.units}
        self._link.send({"kind": "units", "units": encode(self._reports()), "exits": exits})

    def _send_browser(self) -> None:
        if self._link is None or self._browser_fds is None:
            return
        message: Message = {"kind": "browser", "generation": self._browser_generation}
        self._link.send({**message, "display": self._display_name}, self._browser_fds)

    def _spawn_task(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _listen(layout: Layout) -> socket.socket:
    """Bind the agent's socket before anything else runs: from here on the host can connect."""
    layout.agent_socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(layout.agent_socket))
    finally:
        os.umask(old)
    listener.listen(128)
    listener.setblocking(False)
    return listener


class _ConsoleHandler(logging.Handler):
    """What our own modules log (the forwarder does) joins the units' lines."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        unit = "forwarder" if record.name.endswith("forwarder") else "supervisor"
        self._console.add(unit, record.getMessage())


def _end_with_the_host() -> None:
    """Standard input, if it is a socket, is the host's keeper: never written to, it ends with it.

    With the supervisor the machine ends. The kernel sees to that too, but not in the moments in
    which bubblewrap is still asking it to.
    """
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        asyncio.get_running_loop().add_reader(0, os._exit, 1)


def _limit(config: MachineConfig) -> None:
    """Limits that need neither root nor a control group; all that runs in the machine has them."""
    if config.processes > 0:
        # Set in here, it counts this machine's user namespace alone, whatever else the same user
        # runs on the host.
        resource.setrlimit(resource.RLIMIT_NPROC, (config.processes, config.processes))
    if config.process_memory_mib > 0:
        # Counts what a process may write to. RLIMIT_AS would also count what Chromium and Node only
        # reserve, which is far more than any machine has.
        memory = config.process_memory_mib << 20
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def main() -> None:
    layout = Layout()
    console = Console()
    logging.getLogger().addHandler(_ConsoleHandler(console))
    try:
        config = decode(MachineConfig, loads(layout.config_file.read_bytes(), "config"))
    except (OSError, ValueError) as error:
        console.report({"supervisor": "cannot start", "detail": str(error)})
        sys.exit(78)
    with contextlib.suppress(OSError):
        os.chdir(layout.home)
    _limit(config)
    asyncio.run(Supervisor(layout, config, console).run())
