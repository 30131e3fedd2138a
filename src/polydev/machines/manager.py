"""Machines with rows: makes them, finds them again after a restart, ends them.

The order that makes a crash harmless: the row first (with the incarnation about to be booted),
then the machine, then the row's driver state. So at start every machine on the host has a row or
is a leftover, and every row has a machine or is mended.
"""

import asyncio
import contextlib
import socket
from collections import defaultdict
from dataclasses import dataclass

import structlog

from polydev.domain.ids import new_id
from polydev.domain.machine import (
    Channel,
    DisplaySize,
    Limits,
    MachineKind,
    MachineSpec,
    MachineState,
)
from polydev.domain.text import clean
from polydev.errors import (
    Conflict,
    MachineError,
    MachineGone,
    MachineNotReady,
    NotFound,
    PolydevError,
    TooMany,
)
from polydev.guest.client import AgentClient
from polydev.machines.driver import Driver, DriverState, Exited, Running
from polydev.machines.pool import WarmPool
from polydev.settings import Settings
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines as rows
from polydev.vault.keyring import Keyring

log = structlog.get_logger("polydev.machines")

CONSOLE_BYTES = 256 * 1024
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What a start found and mended, for the log."""

    kept: int
    stopped: int
    destroyed: int
    leftovers: int


class MachineManager:
    """All machines of this host."""

    def __init__(self, settings: Settings, driver: Driver, db: Database, keyring: Keyring) -> None:
        self._settings = settings
        self._driver = driver
        self._db = db
        self._keyring = keyring
        self._cli_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.pool = WarmPool(
            self,
            size=settings.machines.pool_size,
            max_age_s=settings.machines.pool_max_age,
        )

    @property
    def driver(self) -> Driver:
        return self._driver

    # Browser machines

    async def take_browser(self, user_id: str, session_id: str) -> MachineRecord:
        """A ready browser machine for this session: a warm one, else a new one.

        Asked again it gives another: whoever repeats a step looks first at what the session has.
        """
        async with self._db.transaction() as tx:
            record = await rows.take_warm(
                tx,
                executor_id=self._settings.executor_id,
                user_id=user_id,
                session_id=session_id,
            )
        if record is not None:
            self.pool.changed()
            if await self.healthy(record.id):
                log.info("machine.taken", machine_id=record.id)
                return record
            await self.destroy_machine(record.id, "the warm machine was sick when taken")
        return await self._make(MachineKind.BROWSER, user_id=user_id, session_id=session_id)

    async def destroy_machine(self, machine_id: str, why: str) -> None:
        """Destroy a machine of any kind and write so. Idempotent."""
        record = await self._any(machine_id)
        if record.state is MachineState.DESTROYED:
            return
        await self._driver.destroy(machine_id, _state_of(record))
        async with self._db.transaction() as tx:
            await rows.mark_destroyed(tx, machine_id, detail=why)
        log.info("machine.destroyed", machine_id=machine_id, why=why)

    # The pool's side

    async def warm_machines(self) -> list[MachineRecord]:
        async with self._db.reading() as tx:
            return await rows.list_warm(tx, executor_id=self._settings.executor_id)

    async def make_warm(self) -> None:
        record = await self._make(MachineKind.BROWSER, user_id=None, session_id=None)
        log.info("pool.warmed", machine_id=record.id)

    async def discard_warm(self, machine_id: str, why: str) -> None:
        async with self._db.transaction() as tx:
            mine = await rows.retire_warm(tx, machine_id)
        if mine:  # else a session took it meanwhile
            await self.destroy_machine(machine_id, why)

    async def close(self) -> None:
        """End the pool and its machines: they have no identity and take a second to make again.
        CLI machines, and the browser machines of live sessions, go on without us."""
        await self.pool.close()
        for record in await self.warm_machines():
            await self.discard_warm(record.id, "the server stopped")

    async def pool_status(self) -> tuple[int, int]:
        """(warm machines, wanted number)."""
        return len(await self.warm_machines()), self.pool.size

    # CLI machines

    async def cli_machine(self, user_id: str) -> MachineRecord:
        """The person's CLI machine, made, started or re-made as needed, and ready."""
        async with self._cli_locks[user_id]:
            async with self._db.reading() as tx:
                record = await rows.cli_machine_of(tx, user_id)
            if record is None:
                return await self._make(MachineKind.CLI, user_id=user_id, session_id=None)
            if record.state is MachineState.READY and await self.healthy(record.id):
                return record
            return await self._boot(record)

    async def hibernate(self, user_id: str | None, machine_id: str) -> MachineRecord:
        """Stop a CLI machine, keeping its home."""
        record = await self._owned(user_id, machine_id)
        if record.kind is not MachineKind.CLI:
            raise Conflict("Only CLI machines hibernate; a browser machine can be destroyed.")
        async with self._cli_locks[record.user_id or ""]:
            record = await self._owned(user_id, machine_id)  # it may have been booted meanwhile
            state = _state_of(record)
            if state is not None:
                await self._driver.stop(state)
            async with self._db.transaction() as tx:
                return await rows.mark_stopped(tx, machine_id, record.incarnation, detail=None)

    async def resume(self, user_id: str | None, machine_id: str) -> MachineRecord:
        record = await self._owned(user_id, machine_id)
        if record.kind is not MachineKind.CLI or record.user_id is None:
            raise Conflict("Only CLI machines resume.")
        return await self.cli_machine(record.user_id)

    async def destroy(self, user_id: str | None, machine_id: str) -> None:
        record = await self._owned(user_id, machine_id)
        if record.kind is MachineKind.BROWSER and record.user_id is not None:
            async with self._db.reading() as tx:
                session_id = await rows.live_session_of(tx, machine_id)
            if session_id is not None:
                raise Conflict(
                    f"Session {session_id} is using this machine; cancel the session instead."
                )
        async with self._cli_locks[record.user_id or ""]:
            await self.destroy_machine(machine_id, "destroyed by request")
        self.pool.changed()

    # Any machine

    def agent(self, record: MachineRecord) -> AgentClient:
        """Our end of the machine's guest agent."""
        state = _state_of(record)
        if state is None or record.incarnation is None:
            raise MachineGone(f"Machine {record.id} is not running.")

        async def dial() -> socket.socket:
            return await self._driver.dial(state, Channel.AGENT)

        return AgentClient(dial, self._keyring.agent_token(record.id, record.incarnation))

    async def dial_display(self, record: MachineRecord) -> socket.socket:
        """A connected stream of its display (RFB)."""
        state = _state_of(record)
        if state is None:
            raise MachineGone(f"Machine {record.id} is not running.")
        return await self._driver.dial(state, Channel.DISPLAY)

    async def running(self, record: MachineRecord) -> bool:
        state = _state_of(record)
        return state is not None and isinstance(await self._driver.poll(state), Running)

    async def healthy(self, machine_id: str) -> bool:
        """Whether it runs and its agent says that all is well."""
        record = await self._any(machine_id)
        if not await self.running(record):
            return False
        client = self.agent(record)
        try:
            async with asyncio.timeout(5):
                return (await client.health()).ready
        except (PolydevError, TimeoutError):
            return False
        finally:
            await client.close()

    async def console(self, machine_id: str) -> str:
        """The end of its console log, control characters replaced."""
        raw = await self._driver.console(machine_id, max_bytes=CONSOLE_BYTES)
        return clean(raw.decode("utf-8", "replace"))

    async def get(self, machine_id: str) -> MachineRecord:
        return await self._any(machine_id)

    # Start

    async def reclaim(self) -> Reclaimed:
        """Hold the rows of this host against what runs, and mend both.

        In this order: rows whose machine died; browser machines that no live session owns;
        then everything on the host that no row owns.
        """
        kept = stopped = destroyed = 0
        async with self._db.reading() as tx:
            records = await rows.list_of_executor(tx, self._settings.executor_id)
        for record in records:
            if record.kind is MachineKind.CLI:
                if await self.running(record):
                    kept += 1
                else:
                    async with self._db.transaction() as tx:
                        await rows.mark_stopped(
                            tx, record.id, record.incarnation, detail="stopped with its host"
                        )
                    stopped += 1
                continue
            async with self._db.reading() as tx:
                session_id = await rows.live_session_of(tx, record.id)
            # A warm machine was made with the last process's settings; a new one takes a second.
            if session_id is not None:
                kept += 1
                continue
            if await self._destroyed(record.id, "reclaimed at start"):
                destroyed += 1
        async with self._db.reading() as tx:
            records = await rows.list_of_executor(tx, self._settings.executor_id)
        leftovers = await self._driver.leftovers(frozenset(record.id for record in records))
        for leftover in leftovers:
            try:
                await self._driver.remove_leftover(leftover)
            except (MachineError, OSError):
                log.exception("leftover.stays", machine_id=leftover.name)
        result = Reclaimed(kept, stopped, destroyed, len(leftovers))
        log.info(
            "machines.reclaimed",
            kept=result.kept,
            stopped=result.stopped,
            destroyed=result.destroyed,
            leftovers=result.leftovers,
        )
        return result

    async def _destroyed(self, machine_id: str, why: str) -> bool:
        """Destroy it; one that stays for now must not keep the server from starting."""
        try:
            await self.destroy_machine(machine_id, why)
        except (MachineError, OSError):
            log.exception("machine.destroy_failed", machine_id=machine_id)
            return False
        return True

    # Making

    async def _make(
        self, kind: MachineKind, *, user_id: str | None, session_id: str | None
    ) -> MachineRecord:
        async with self._db.transaction() as tx:
            alive = await rows.count_alive(tx, self._settings.executor_id)
            if alive >= self._settings.machines.max_machines:
                raise TooMany(
                    f"All {alive} machines of this host are in use. Try again in a minute.",
                    retry_after_s=60,
                )
            record = await rows.insert(
                tx,
                user_id=user_id,
                session_id=session_id,
                executor_id=self._settings.executor_id,
                kind=kind,
                driver=self._driver.name,
                incarnation=new_id("inc"),
            )
        try:
            return await self._run(record)
        except BaseException as error:
            # A CLI machine's home is a person's: a failed boot keeps it. So is a taken one's row.
            with contextlib.suppress(PolydevError):
                if kind is MachineKind.BROWSER:
                    await asyncio.shield(self.destroy_machine(record.id, _why(error)))
                else:
                    await asyncio.shield(self._stop_failed(record, _why(error)))
            raise

    async def _boot(self, record: MachineRecord) -> MachineRecord:
        """Start a CLI machine again, as a new incarnation."""
        state = _state_of(record)
        if state is not None:
            await self._driver.stop(state)
        async with self._db.transaction() as tx:
            record = await rows.mark_starting(tx, record.id, incarnation=new_id("inc"))
        try:
            return await self._run(record)
        except BaseException as error:
            with contextlib.suppress(PolydevError):
                await asyncio.shield(self._stop_failed(record, _why(error)))
            raise

    async def _run(self, record: MachineRecord) -> MachineRecord:
        spec = self._spec(record)
        state = await self._driver.start(spec)
        try:
            async with self._db.transaction() as tx:
                record = await rows.set_driver_state(tx, record.id, record.incarnation, state)
            client = self.agent(record)
            try:
                await self._ready_or_dead(state, client)
            finally:
                await client.close()
        except BaseException:
            await asyncio.shield(self._driver.stop(state))
            raise
        async with self._db.transaction() as tx:
            return await rows.mark_ready(tx, record.id, record.incarnation)

    async def _ready_or_dead(self, state: DriverState, client: AgentClient) -> None:
        """Wait until the machine is ready, and not for one that has already died."""
        ready = asyncio.create_task(client.wait_ready(self._settings.timeouts.machine_ready))
        try:
            while not (await asyncio.wait({ready}, timeout=_POLL_S))[0]:
                outcome = await self._driver.poll(state)
                if isinstance(outcome, Exited):
                    raise MachineNotReady(
                        "The machine ended before it was ready.", detail=outcome.detail
                    )
            ready.result()
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)

    async def _stop_failed(self, record: MachineRecord, why: str) -> None:
        async with self._db.transaction() as tx:
            await rows.mark_stopped(tx, record.id, record.incarnation, detail=why)

    def _spec(self, record: MachineRecord) -> MachineSpec:
        machines = self._settings.machines
        limits = machines.browser if record.kind is MachineKind.BROWSER else machines.cli
        if record.incarnation is None:
            raise MachineError(f"Machine {record.id} has no incarnation to boot.")
        return MachineSpec(
            machine_id=record.id,
            incarnation=record.incarnation,
            kind=record.kind,
            agent_token=self._keyring.agent_token(record.id, record.incarnation),
            limits=Limits(limits.memory_mib, limits.cpus, limits.processes, limits.scratch_mib),
            hostname=machines.hostname,
            display=DisplaySize(machines.width, machines.height),
        )

    async def _any(self, machine_id: str) -> MachineRecord:
        async with self._db.reading() as tx:
            record = await rows.any_get(tx, machine_id)
        if record is None:
            raise NotFound(f"There is no machine {machine_id}.")
        return record

    async def _owned(self, user_id: str | None, machine_id: str) -> MachineRecord:
        """The person's own machine; ``user_id`` None is an admin's reach."""
        record = await self._any(machine_id)
        if user_id is not None and record.user_id != user_id:
            raise NotFound(f"There is no machine {machine_id}.")
        if record.state is MachineState.DESTROYED:
            raise Conflict(f"Machine {machine_id} has been destroyed.")
        return record


def _state_of(record: MachineRecord) -> DriverState | None:
    return record.driver_state


def _why(error: BaseException) -> str:
    if isinstance(error, MachineNotReady | MachineError):
        return error.detail
    return type(error).__name__
