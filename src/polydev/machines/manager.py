"""Machines with rows: makes them, finds them again after a restart, ends them.

The order that makes a crash harmless: the row first (with the incarnation about to be booted),
then the machine, then the row's driver state. So at start every machine on the host has a row or
is a leftover, and every row has a machine or is mended.
"""

import asyncio
import contextlib
import socket
from collections import defaultdict

import structlog

from polydev.domain.ids import new_id
from polydev.domain.machine import Channel, MachineKind, MachineState
from polydev.domain.text import clean
from polydev.errors import Conflict, MachineGone, NotFound, PolydevError
from polydev.guest.client import AgentClient
from polydev.machines.boot import Boot, cause_of
from polydev.machines.driver import Driver, DriverState, Running
from polydev.machines.pool import WarmPool
from polydev.machines.reclaim import Reclaim, Reclaimed
from polydev.machines.room import Room
from polydev.settings import Settings
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines as rows
from polydev.vault.keyring import Keyring

log = structlog.get_logger("polydev.machines")

CONSOLE_BYTES = 256 * 1024
_HEALTH_S = 20.0
"""A machine that does not answer for so long is sick, and replaced with what runs in it: far more
than an answer takes on a host that is merely busy."""
_WARM_HEALTH_S = 5.0
"""Of a warm one, in which nothing runs yet, while a person waits: another is quickly made."""


class MachineManager:
    """All machines of this host."""

    def __init__(self, settings: Settings, driver: Driver, db: Database, keyring: Keyring) -> None:
        self._settings = settings
        self._driver = driver
        self._db = db
        self._boot = Boot(settings, driver, db, keyring)
        places = settings.machines.max_machines
        self._room = Room(places, settings.executor_id, db, self)
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
            if await self.healthy(record.id, within_s=_WARM_HEALTH_S):
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
        """Raises `TooMany` when the places left are for live sign-ins."""
        async with self._room.warming():
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
            return await self._start_again(record)

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
        return self._boot.agent(record)

    async def dial_display(self, record: MachineRecord) -> socket.socket:
        """A connected stream of its display (RFB)."""
        state = _state_of(record)
        if state is None:
            raise MachineGone(f"Machine {record.id} is not running.")
        return await self._driver.dial(state, Channel.DISPLAY)

    async def running(self, record: MachineRecord) -> bool:
        state = _state_of(record)
        return state is not None and isinstance(await self._driver.poll(state), Running)

    async def healthy(self, machine_id: str, *, within_s: float = _HEALTH_S) -> bool:
        """Whether it runs and its agent says in time that all is well."""
        record = await self._any(machine_id)
        if not await self.running(record):
            return False
        client = self.agent(record)
        try:
            return (await client.health(grace_s=within_s)).ready
        except PolydevError:
            return False
        finally:
            await client.close()

    async def adopt(self, machine_id: str) -> bool:
        """Whether a machine of an earlier process is ready to be used; its row says so then.

        A process killed during a boot leaves a row that says "starting" for ever.
        """
        if not await self.healthy(machine_id):
            return False
        record = await self._any(machine_id)
        if record.state is not MachineState.READY:
            async with self._db.transaction() as tx:
                await rows.mark_ready(tx, machine_id, record.incarnation)
        return True

    async def console(self, machine_id: str) -> str:
        """The end of its console log, control characters replaced."""
        raw = await self._driver.console(machine_id, max_bytes=CONSOLE_BYTES)
        return clean(raw.decode("utf-8", "replace"))

    async def get(self, machine_id: str) -> MachineRecord:
        return await self._any(machine_id)

    async def reclaim(self) -> Reclaimed:
        """At start, before anything else is asked of this: see `polydev.machines.reclaim`."""
        return await Reclaim(self._settings.executor_id, self._driver, self._db, self).run()

    # Making

    async def _make(
        self, kind: MachineKind, *, user_id: str | None, session_id: str | None
    ) -> MachineRecord:
        async with self._room.place(user_id) as tx:
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
            return await self._boot.run(record)
        except BaseException as error:
            # A CLI machine's home is a person's: a failed boot keeps it. So is a taken one's row.
            with contextlib.suppress(PolydevError):
                if kind is MachineKind.BROWSER:
                    await asyncio.shield(self.destroy_machine(record.id, cause_of(error)))
                else:
                    await asyncio.shield(self._stop_failed(record, cause_of(error)))
            raise

    async def _start_again(self, record: MachineRecord) -> MachineRecord:
        """Start a CLI machine again, as a new incarnation."""
        state = _state_of(record)
        if state is not None:
            await self._driver.stop(state)
        async with self._room.place(record.user_id, besides=record.id) as tx:
            record = await rows.mark_starting(tx, record.id, incarnation=new_id("inc"))
        try:
            return await self._boot.run(record)
        except BaseException as error:
            with contextlib.suppress(PolydevError):
                await asyncio.shield(self._stop_failed(record, cause_of(error)))
            raise

    async def _stop_failed(self, record: MachineRecord, said: str) -> None:
        async with self._db.transaction() as tx:
            await rows.mark_stopped(tx, record.id, record.incarnation, detail=said)

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
