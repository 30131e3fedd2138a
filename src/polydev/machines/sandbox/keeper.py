"""The keeper: one small process per machine that holds everything the machine needs of the host.

It runs bubblewrap, writes the console log and serves the machine's egress proxy. It is no child of
the server's fate: the server may be killed and a new one finds the keeper again. If the keeper
dies, the kernel ends the machine (PR_SET_PDEATHSIG, by ``--die-with-parent``); if the machine
ends, the keeper does. So whatever happens, one of them never outlives the other for long.

Started as ``python -I -m polydev.machines.sandbox.keeper MACHINE_ID INCARNATION`` with a
`KeeperConfig` as JSON on standard input; it answers one JSON line on standard output, ``{"bwrap":
PID, "init": PID}`` or ``{"error": TEXT}``, and closes it. As root it becomes the machine's own user
before the first byte from the guest is read.
"""

import asyncio
import codecs
import contextlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polydev.egress.policy import EgressPolicy
from polydev.egress.records import ConnectionRecord
from polydev.egress.server import EgressProxy
from polydev.machines.processes import ProcessRef
from polydev.machines.sandbox.console import ConsoleLog

# Resolving a name loads this codec; by then this process may not be allowed to read root's Python.
codecs.lookup("idna")

_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """Everything one keeper needs. Travels through a pipe: it holds the agent's token."""

    machine_id: str
    incarnation: str
    uid: int | None
    """The machine's own user, or None to stay who we are."""
    bwrap: list[str]
    command: list[str]
    data_files: list[list[str]]
    """[path, text, mode], in the machine's memory."""
    egress_policy: dict[str, object]
    egress_dir: str
    keeper_file: str
    console: str
    egress_log: str
    cgroup_procs: list[str]
    max_processes: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def __repr__(self) -> str:
        return f"KeeperConfig(machine_id={self.machine_id!r}, incarnation={self.incarnation!r})"


def main() -> None:
    # Whoever starts us may be killed at any moment; its terminal's signals are not for us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = KeeperConfig(**json.loads(sys.stdin.buffer.read()))
    try:
        asyncio.run(_keep(config))
    except OSError as error:
        _answer({"error": f"{error.strerror}: {error.filename}"})
        sys.exit(1)


async def _keep(config: KeeperConfig) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    console = ConsoleLog(Path(config.console))
    egress_log = ConsoleLog(Path(config.egress_log))

    def log_connection(record: ConnectionRecord) -> None:
        egress_log.write(json.dumps(record.to_dict()).encode() + b"\n")

    try:
        await _keep_machine(config, console, log_connection, stop)
    except Exception:
        console.write(("[keeper] " + traceback.format_exc()).encode())
        raise
    finally:
        console.close()


async def _keep_machine(
    config: KeeperConfig,
    console: ConsoleLog,
    log_connection: Callable[[ConnectionRecord], None],
    stop: asyncio.Event,
) -> None:
    proxy = EgressProxy(
        EgressPolicy.from_dict(config.egress_policy), on_connection_end=log_connection
    )
    # By the folder's descriptor: a Unix socket's path may have 107 bytes, ours may be longer.
    folder = os.open(config.egress_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    # Its folder lets only the machine in, so the socket itself may be open to all.
    await proxy.serve_unix(f"/proc/self/fd/{folder}/proxy.sock", mode=0o666)

    # Written before the machine exists: a server killed right now finds us by this file.
    me = ProcessRef.of(os.getpid())
    assert me is not None, "this process has a /proc entry"  # noqa: S101 - cannot be otherwise
    _write_atomically(
        Path(config.keeper_file),
        {"pid": me.pid, "start_ticks": me.start_ticks, "incarnation": config.incarnation},
    )
    for procs in config.cgroup_procs:
        Path(procs).write_text(str(os.getpid()))
    _become(config.uid)

    machine, init_pid = await _start_machine(config, console)
    _answer({"bwrap": machine.pid, "init": init_pid})
    try:
        await _until_either(machine.wait(), stop.wait())
        if machine.returncode is None:
            # To the machine's supervisor (bubblewrap's own child would not pass it on).
            with contextlib.suppress(ProcessLookupError):
                _terminate_guest(init_pid)
            await _until_either(machine.wait(), asyncio.sleep(_GRACE_S))
        if machine.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                machine.kill()
            await machine.wait()
    finally:
        await proxy.close()
        console.write(f"[keeper] machine ended, status {machine.returncode}\n".encode())


async def _until_either(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _terminate_guest(init_pid: int) -> None:
    """SIGTERM to the children of the machine's init, which is bubblewrap and ignores it."""
    children = Path(f"/proc/{init_pid}/task/{init_pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)


async def _start_machine(
    config: KeeperConfig, console: ConsoleLog
) -> tuple[asyncio.subprocess.Process, int]:
    program, *options = config.bwrap
    fds: list[int] = []
    for path, text, mode in config.data_files:
        fds.append(_memory_file(text.encode()))
        options += ["--perms", mode, "--ro-bind-data", str(fds[-1]), path]
    info_read, info_write = os.pipe()
    options += ["--info-fd", str(info_write)]
    # Not on the command line: the machine's init shows it to everybody in the machine, and it
    # names folders of the host.
    fds.append(_memory_file(b"".join(option.encode() + b"\0" for option in options)))
    argv = [program, "--args", str(fds[-1]), "--", *config.command]
    output_read, output_write = os.pipe()
    machine = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output_write,
        stderr=output_write,
        pass_fds=(*fds, info_write),
        env={"PATH": "/usr/bin:/bin"},
        preexec_fn=_rlimits(config.max_processes, config.uid is not None),
    )
    for fd in (*fds, info_write, output_write):
        os.close(fd)
    _pump(output_read, console)
    info = await _read_all(info_read)
    if not info.strip():
        await machine.wait()
        await asyncio.sleep(0)  # let the pump see the last words
        _answer({"error": "bubblewrap could not make the sandbox; see the console log"})
        sys.exit(1)
    return machine, int(json.loads(info)["child-pid"])


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("polydev")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _rlimits(max_processes: int, own_user: bool) -> Callable[[], None]:
    def apply() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
        if own_user:
            # Counts all processes of the user, so only where the machine has one of its own.
            resource.setrlimit(resource.RLIMIT_NPROC, (max_processes, max_processes))

    return apply


def _pump(fd: int, console: ConsoleLog) -> None:
    """Write what the machine prints to the console log until it closes its output."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()

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

    loop.add_reader(fd, readable)


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


def _become(uid: int | None) -> None:
    """Give up root for good. Everything that needs it is open by now."""
    if uid is None:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _write_atomically(path: Path, value: dict[str, object]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def _answer(message: dict[str, object]) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.close()


if __name__ == "__main__":
    main()
