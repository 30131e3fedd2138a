"""`SandboxDriver`: the machine contract on bubblewrap."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from polydev.domain.machine import Channel, MachineSpec
from polydev.egress.policy import EgressPolicy
from polydev.errors import MachineError, MachineGone
from polydev.guest.protocol import AGENT_SOCKET, DISPLAY_SOCKET, MachineConfig
from polydev.machines import cgroups
from polydev.machines.driver import Driver, DriverState, Exited, Finding, Leftover, Running
from polydev.machines.processes import ProcessRef, end_process, kill_all, wait_gone
from polydev.machines.sandbox.console import read_end
from polydev.machines.sandbox.detached import Detached
from polydev.machines.sandbox.dial import dial_socket
from polydev.machines.sandbox.folders import make_folders
from polydev.machines.sandbox.host_check import check_host
from polydev.machines.sandbox.keeper import KeeperConfig
from polydev.machines.sandbox.launch import Launch
from polydev.machines.sandbox.layout import MachinePaths
from polydev.machines.sandbox.marks import KEEPER_MODULE, carriers, dying, living
from polydev.machines.sandbox.remove import remove_tree
from polydev.machines.sandbox.root import Shared, bwrap_argv, data_files, seal
from polydev.machines.sandbox.uids import Lease, uid_of

_SOCKETS = {Channel.AGENT: Path(AGENT_SOCKET).name, Channel.DISPLAY: Path(DISPLAY_SOCKET).name}
_SUPERVISOR = "/opt/polydev/agent/bin/supervisor"
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What the driver needs of the settings."""

    state_dir: Path
    shared: Shared
    egress: EgressPolicy
    ca_bundle: str
    """PEM text: the system's certificates and the extra ones."""
    extra_ca: str | None
    browser_sandbox: bool
    uid_base: int
    uid_count: int


class SandboxDriver(Driver):
    name: ClassVar[str] = "sandbox"

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._cgroups = cgroups.detect()
        self._own_users = os.geteuid() == 0
        self._folders_lock = asyncio.Lock()
        self._reapers: set[asyncio.Task[None]] = set()

    def _paths(self, machine_id: str) -> MachinePaths:
        return MachinePaths(self._options.state_dir, machine_id)

    async def start(self, spec: MachineSpec) -> DriverState:
        paths = self._paths(spec.machine_id)
        existed = paths.folder.exists()
        lost = self._state_on_disk(paths)
        if lost is not None:
            # A server killed during a boot never wrote down what it had started; two incarnations
            # on one home would destroy each other's work.
            await self.stop(lost)
        await asyncio.to_thread(cgroups.sweep, self._cgroups, living)
        try:
            own = await self._make_folders(spec, paths)
            try:
                return await self._start_keeper(spec, paths, own)
            finally:
                if own is not None:
                    own.close()  # the keeper holds it, if it came to be
        except BaseException as error:
            with contextlib.suppress(MachineError):
                await asyncio.shield(self._end(spec.machine_id, spec.incarnation))
                if not existed:
                    await asyncio.shield(asyncio.to_thread(remove_tree, paths.folder))
            if not isinstance(error, OSError):
                raise
            raise MachineError(
                f"The sandbox could not be made: {error.strerror} ({error.filename}).",
            ) from error

    async def _make_folders(self, spec: MachineSpec, paths: MachinePaths) -> Lease | None:
        options = self._options
        async with self._folders_lock:
            return await make_folders(
                paths, spec.kind, options.uid_base, options.uid_count, own_users=self._own_users
            )

    async def _start_keeper(
        self, spec: MachineSpec, paths: MachinePaths, own: Lease | None
    ) -> DriverState:
        options = self._options
        files = data_files(spec, self._machine_config(spec), options.ca_bundle, options.extra_ca)
        config = KeeperConfig(
            machine_id=spec.machine_id,
            launch=Launch(
                incarnation=spec.incarnation,
                bwrap=bwrap_argv(spec, paths, options.shared),
                command=[_SUPERVISOR],
                data_files=[[file.path, file.text, file.mode] for file in files],
                seal=seal(),
                cgroups=cgroups.plan(self._cgroups, spec.incarnation, spec.limits),
                uid=own.uid if own else None,
            ),
            egress_policy=options.egress.to_dict(),
            egress_dir=str(paths.egress),
            keeper_file=str(paths.keeper_file),
            console=str(paths.console),
            egress_log=str(paths.egress_log),
        )
        keeper = Detached(
            [sys.executable, "-I", "-m", KEEPER_MODULE, spec.machine_id, spec.incarnation],
            config.to_json(),
            () if own is None else (own.fd,),
        )
        ref = keeper.ref
        reaper = asyncio.create_task(keeper.reap())
        self._reapers.add(reaper)
        reaper.add_done_callback(self._reapers.discard)
        try:
            async with asyncio.timeout(30):
                init_pid = _init_pid(await keeper.first_line())
        except BaseException as error:
            await asyncio.shield(end_process(ref, grace_s=1))
            if isinstance(error, TimeoutError):
                raise MachineError("The sandbox's keeper did not answer.") from error
            raise
        state: DriverState = {
            "machine_id": spec.machine_id,
            "incarnation": spec.incarnation,
            "pid": ref.pid,
            "start_ticks": ref.start_ticks,
        }
        init = ProcessRef.of(init_pid)
        if init is not None:
            state |= {"init_pid": init.pid, "init_ticks": init.start_ticks}
        return state

    def _machine_config(self, spec: MachineSpec) -> str:
        config = MachineConfig(
            machine_id=spec.machine_id,
            incarnation=spec.incarnation,
            role=spec.kind.value,
            token=spec.agent_token.reveal(),
            hostname=spec.hostname,
            width=spec.display.width,
            height=spec.display.height,
            extra_ca=self._options.extra_ca is not None,
            processes=spec.limits.processes,
            process_memory_mib=0 if self._cgroups.limits_memory else spec.limits.memory_mib,
            browser_sandbox=self._options.browser_sandbox,
        )
        return json.dumps({name: getattr(config, name) for name in MachineConfig.__slots__})

    async def poll(self, state: DriverState) -> Running | Exited:
        if _keeper(state).alive():
            return Running()
        return Exited("its keeper process has ended")

    async def dial(self, state: DriverState, channel: Channel) -> socket.socket:
        if not _keeper(state).alive() or "init_pid" not in state:
            raise MachineGone("The machine is not running.")
        return dial_socket(_init(state), _SOCKETS[channel])

    async def stop(self, state: DriverState) -> None:
        await end_process(_keeper(state), grace_s=5)
        # Killed hard, a keeper leaves its machine to the kernel: see it gone before saying so.
        await self._end(str(state["machine_id"]), str(state["incarnation"]))
        if "init_pid" not in state:
            return
        await end_process(_init(state), grace_s=0.1)
        if not await wait_gone(_init(state), timeout_s=_END_S):
            raise MachineError(f"Machine {state['machine_id']} does not end.")

    async def _end(self, machine_id: str, incarnation: str) -> None:
        """Kill what there is of an incarnation, whoever still knows of it. Its keeper is no more,
        or dies of this too."""
        ended = await kill_all(lambda: carriers(incarnation), timeout_s=_END_S)
        if not await cgroups.end(self._cgroups, incarnation, timeout_s=_END_S) or not ended:
            raise MachineError(f"Processes of incarnation {incarnation} do not end.")
        # Its init may have been dying before it was looked for; all in the machine still runs until
        # that is gone.
        uid = self._uid_of(machine_id)
        for ref in dying(uid) if uid is not None else ():
            if not await wait_gone(ref, timeout_s=_END_S):
                raise MachineError(f"Processes of machine {machine_id} do not end.")

    def _uid_of(self, machine_id: str) -> int | None:
        """The user of its processes; None for a machine that has no folder, and so none."""
        folder = self._paths(machine_id).folder
        if not folder.exists():
            return None
        return uid_of(folder) if self._own_users else os.geteuid()

    async def destroy(self, machine_id: str, state: DriverState | None) -> None:
        paths = self._paths(machine_id)
        for known in (state, self._state_on_disk(paths)):
            if known is not None:
                await self.stop(known)
        # The home may hold millions of files: not on the event loop.
        await asyncio.to_thread(remove_tree, paths.folder)
        if paths.folder.exists():
            raise MachineError(f"The folder of machine {machine_id} could not be removed.")

    def _state_on_disk(self, paths: MachinePaths) -> DriverState | None:
        """The incarnation that a lost server started, by the keeper's own file."""
        try:
            kept = json.loads(paths.keeper_file.read_text())
            return {
                "machine_id": paths.machine_id,
                "incarnation": str(kept["incarnation"]),
                "pid": int(kept["pid"]),
                "start_ticks": int(kept["start_ticks"]),
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None

    async def console(self, machine_id: str, *, max_bytes: int = 65536) -> bytes:
        return await asyncio.to_thread(read_end, self._paths(machine_id).console, max_bytes)

    async def forget_console(self, machine_id: str) -> None:
        paths = self._paths(machine_id)
        for path in (paths.console, paths.egress_log):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    async def leftovers(self, keep: frozenset[str]) -> list[Leftover]:
        machines = self._options.state_dir / "machines"
        if not machines.is_dir():
            return []
        return [
            Leftover("machine", entry.name)
            for entry in sorted(machines.iterdir())
            if entry.is_dir() and entry.name not in keep
        ]

    async def remove_leftover(self, leftover: Leftover) -> Path | None:
        paths = self._paths(leftover.name)
        if not paths.home.exists():
            await self.destroy(leftover.name, None)
            return None
        running = self._state_on_disk(paths)
        if running is not None:
            await self.stop(running)
        paths.orphans.mkdir(mode=0o700, exist_ok=True)
        aside = paths.free_orphan()
        # With its folder goes the lease of its user id: no new machine may own these files.
        paths.folder.rename(aside)
        return aside

    async def check_host(self) -> list[Finding]:
        return await check_host(self._cgroups, own_users=self._own_users)


def _keeper(state: DriverState) -> ProcessRef:
    return ProcessRef(int(state["pid"]), int(state["start_ticks"]))


def _init(state: DriverState) -> ProcessRef:
    return ProcessRef(int(state["init_pid"]), int(state["init_ticks"]))


def _init_pid(line: bytes) -> int:
    """The machine's init, from the keeper's one line of answer."""
    answer = json.loads(line) if line else {"error": "its keeper ended without a word"}
    if "error" in answer:
        raise MachineError(f"The sandbox could not be made: {answer['error']}.")
    return int(answer["init"])
