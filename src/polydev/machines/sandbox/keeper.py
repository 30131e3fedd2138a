"""The keeper: one small process per machine that holds everything the machine needs of the host.

It runs bubblewrap, writes the console log and serves the machine's egress proxy. It is no child of
the server's fate: the server may be killed and a new one finds the keeper again. If the keeper
dies, so does the machine: the kernel kills bubblewrap (PR_SET_PDEATHSIG), the supervisor in the
machine sees its standard input end, and the driver's `stop` kills what is left of the incarnation.
If the machine ends, the keeper does. So one of them never outlives the other for long.

Started as ``python -I -m polydev.machines.sandbox.keeper MACHINE_ID INCARNATION`` with a
`KeeperConfig` as JSON on standard input; it answers one JSON line on standard output, ``{"bwrap":
PID, "init": PID}`` or ``{"error": TEXT}``, and closes it. As root it becomes the machine's own user
before the first byte from the guest is read. It stays outside the machine's control groups: no
process of the machine can make it die of the machine's own limits.
"""

import asyncio
import codecs
import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polydev.egress.policy import EgressPolicy
from polydev.egress.records import ConnectionRecord
from polydev.egress.server import EgressProxy
from polydev.errors import MachineError
from polydev.machines import cgroups
from polydev.machines.cgroups import Folder
from polydev.machines.processes import ProcessRef
from polydev.machines.sandbox import launch
from polydev.machines.sandbox.console import ConsoleLog
from polydev.machines.sandbox.launch import Launch
from polydev.machines.sandbox.pressure import Pressure
from polydev.machines.sandbox.session_keyring import leave_behind

# Resolving a name loads this codec; by then this process may not be allowed to read root's Python.
codecs.lookup("idna")

_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """Everything one keeper needs. Travels through a pipe: it holds the agent's token."""

    machine_id: str
    launch: Launch
    egress_policy: dict[str, object]
    egress_dir: str
    keeper_file: str
    console: str
    egress_log: str

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "KeeperConfig":
        fields = json.loads(raw)
        groups = [Folder(**folder) for folder in fields["launch"].pop("cgroups")]
        return cls(launch=Launch(**fields.pop("launch"), cgroups=groups), **fields)

    def __repr__(self) -> str:
        return f"KeeperConfig(machine_id={self.machine_id!r})"


def main() -> None:
    # Whoever starts us may be killed at any moment; its terminal's signals are not for us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        leave_behind()
        asyncio.run(_keep(KeeperConfig.from_json(sys.stdin.buffer.read())))
    except OSError as error:
        _fail(f"{error.strerror}: {error.filename}")
    except subprocess.SubprocessError as error:
        _fail(str(error))
    except MachineError as error:
        _fail(error.person)


async def _keep(config: KeeperConfig) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    console = ConsoleLog(Path(config.console))
    egress_log = ConsoleLog(Path(config.egress_log))

    def log_connection(record: ConnectionRecord) -> None:
        egress_log.write(json.dumps(record.to_dict()).encode() + b"\n")

    try:
        await _keep_machine(config, console, log_connection, stop)
    except MachineError:
        raise
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
    keeper_file = Path(config.keeper_file)
    _write_atomically(
        keeper_file,
        {
            "pid": me.pid,
            "start_ticks": me.start_ticks,
            "incarnation": config.launch.incarnation,
        },
    )
    groups = config.launch.cgroups
    cgroups.make(groups)
    pressure = Pressure(console, cgroups.kills_file(groups), keeper_file.parent)
    # The machine becomes its own user as its first act, we do before we hear or serve it: there is
    # no pause of our loop in between.
    machine = launch.start(config.launch)
    launch.become(config.launch.uid)

    watching = asyncio.create_task(pressure.watch())
    try:
        init_pid = await machine.init_pid(console)
        _answer({"bwrap": machine.process.pid, "init": init_pid})
        await _until_either(machine.ended(), stop.wait())
        if machine.process.returncode is None:
            # To the machine's supervisor (bubblewrap's own child would not pass it on).
            with contextlib.suppress(OSError):
                _terminate_guest(init_pid)
            await _until_either(machine.ended(), asyncio.sleep(_GRACE_S))
        if machine.process.returncode is None:
            machine.process.kill()
            await machine.ended()
    finally:
        watching.cancel()
        pressure.look()
        await proxy.close()
        console.write(f"[keeper] machine ended, status {machine.process.returncode}\n".encode())


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


def _write_atomically(path: Path, value: dict[str, object]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def _answer(message: dict[str, object]) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.close()


def _fail(text: str) -> None:
    _answer({"error": text})
    sys.exit(1)


if __name__ == "__main__":
    main()
