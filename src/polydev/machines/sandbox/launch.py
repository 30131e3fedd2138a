"""Starts bubblewrap: what it inherits, and what it becomes before it is bubblewrap."""

import asyncio
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polydev.errors import MachineError
from polydev.machines import cgroups
from polydev.machines.cgroups import Folder
from polydev.machines.sandbox.console import ConsoleLog
from polydev.machines.sandbox.marks import name_of

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
"""Loaded here and not in the child: between fork and exec as little as possible may happen."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One bubblewrap to be started."""

    incarnation: str
    bwrap: list[str]
    command: list[str]
    data_files: list[list[str]]
    """[path, text, mode], in the machine's memory."""
    seal: list[str]
    """Options that come last: they make read-only what the data files had to be put into."""
    cgroups: list[Folder]
    uid: int | None
    """The machine's own user, or None to stay who we are."""


class Machine:
    """A started bubblewrap. ``lifeline`` is our end of its standard input: never written to, it
    closes with us, which the machine's supervisor sees."""

    def __init__(
        self, process: subprocess.Popen[bytes], lifeline: socket.socket, output: int, info: int
    ) -> None:
        self.process = process
        self._lifeline = lifeline
        self._output = output
        self._info = info
        self._pidfd = os.pidfd_open(process.pid)

    async def init_pid(self, console: ConsoleLog) -> int:
        """The machine's first process; from here on what the machine prints is written down.

        Raises:
            MachineError: bubblewrap could not make the sandbox; the console says why.
        """
        drained = _pump(self._output, console)
        info = await _read_all(self._info)
        if not info.strip():
            await self.ended()
            await drained
            raise MachineError("bubblewrap could not make the sandbox; see the console log")
        return int(json.loads(info)["child-pid"])

    async def ended(self) -> int:
        """Wait for bubblewrap's end; its exit status."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        # A pidfd turns readable when the process has ended.
        loop.add_reader(self._pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._pidfd)
        return self.process.wait()


def start(launch: Launch) -> Machine:
    """Start it. Nothing that it says has been read when this returns.

    Raises:
        OSError, subprocess.SubprocessError: it could not be started, or not become who it is to be.
    """
    program, *options = launch.bwrap
    passed: list[int] = []
    opened: list[int] = []
    try:
        for path, text, mode in launch.data_files:
            passed.append(_memory_file(text.encode()))
            options += ["--perms", mode, "--ro-bind-data", str(passed[-1]), path]
        info_read, info_write = os.pipe()
        opened.append(info_read)
        passed.append(info_write)
        options += [*launch.seal, "--info-fd", str(info_write)]
        # Not on the command line: the machine's init shows it to everybody in the machine, and it
        # names folders of the host.
        passed.append(_memory_file(b"".join(option.encode() + b"\0" for option in options)))
        arguments = ["--args", str(passed[-1]), "--", *launch.command]
        output_read, output_write = os.pipe()
        opened.append(output_read)
        # A socket, as a pipe could be opened for writing through the guest's /proc.
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    [name_of(launch.incarnation), *arguments],
                    executable=program,
                    stdin=theirs.fileno(),
                    stdout=output_write,
                    stderr=output_write,
                    pass_fds=passed,
                    env={"PATH": "/usr/bin:/bin"},
                    # No thread runs yet: nobody holds a lock that the child would wait for.
                    preexec_fn=_enter(launch.cgroups, launch.uid),  # noqa: PLW1509
                )
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(output_write)
        return Machine(process, ours, output_read, info_read)
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    finally:
        for fd in passed:
            os.close(fd)


def become(uid: int | None) -> None:
    """Give up root for good."""
    if uid is None:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _enter(groups: Sequence[Folder], uid: int | None) -> Callable[[], None]:
    """What the child does before it is bubblewrap."""
    keeper = os.getpid()

    def enter() -> None:
        cgroups.join(groups)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
        become(uid)
        # bubblewrap asks for this too, but later: a keeper killed until then would be outlived.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)
        # The keeper ignores its terminal's signals, and "ignored" would be inherited by all.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    return enter


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("polydev")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _pump(fd: int, console: ConsoleLog) -> asyncio.Future[None]:
    """Write what the machine prints to the console log until it closes its output."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    drained: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if data:
            console.write(data)
        else:
            loop.remove_reader(fd)
            os.close(fd)
            drained.set_result(None)

    loop.add_reader(fd, readable)
    return drained


async def _read_all(fd: int) -> bytes:
    """Read a pipe to its end without a thread."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb")
    )
    try:
        return await reader.read()
    finally:
        transport.close()
