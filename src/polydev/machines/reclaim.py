"""At start: the rows of this host are held against what runs on it, and both are mended."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from polydev.domain.machine import MachineKind
from polydev.errors import MachineError
from polydev.machines.driver import Driver, Leftover
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines as rows

log = structlog.get_logger("polydev.machines")

_HOME_KEPT = (
    "This CLI machine has no row in the database that the server was started with, so it was "
    "stopped and its folder kept. If it should be there, stop Polydev, move the folder back to "
    "`machines`, and start with the database that knows it; else copy what you want from its "
    "`home` and delete it."
)


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What a start found and mended, for the log."""

    adopted: int
    kept: int
    stopped: int
    destroyed: int
    leftovers: int
    """Removed: no row knows them, and they held nobody's home."""
    set_aside: int
    """Homes that no row knows; see `Driver.remove_leftover`."""


class Ending(Protocol):
    """What reclaiming needs of the manager."""

    async def running(self, record: MachineRecord) -> bool: ...
    async def destroy_machine(self, machine_id: str, why: str) -> None: ...


class Reclaim:
    """One start's work. In this order: machines that lie here under another executor's name are
    taken over; rows whose machine died; browser machines that no live session owns; then
    everything on the host that no row owns."""

    def __init__(self, executor_id: str, driver: Driver, db: Database, machines: Ending) -> None:
        self._executor_id = executor_id
        self._driver = driver
        self._db = db
        self._machines = machines

    async def run(self) -> Reclaimed:
        adopted = await self._take_over()
        kept = stopped = destroyed = 0
        async with self._db.reading() as tx:
            records = await rows.list_of_executor(tx, self._executor_id)
        for record in records:
            if record.kind is MachineKind.CLI:
                if await self._machines.running(record):
                    kept += 1
                else:
                    await self._stopped(record)
                    stopped += 1
            elif await self._has_live_session(record):
                kept += 1
            # A warm machine was made with the last process's settings; a new one takes a second.
            elif await self._destroyed(record):
                destroyed += 1
        leftovers, set_aside = await self._remove_leftovers()
        log.info(
            "machines.reclaimed",
            adopted=adopted,
            kept=kept,
            stopped=stopped,
            destroyed=destroyed,
            leftovers=leftovers,
            set_aside=set_aside,
        )
        return Reclaimed(adopted, kept, stopped, destroyed, leftovers, set_aside)

    async def _take_over(self) -> int:
        """This host had another executor id when it made them."""
        async with self._db.reading() as tx:
            own = await rows.list_of_executor(tx, self._executor_id)
        here = await self._driver.leftovers(frozenset(record.id for record in own))
        async with self._db.transaction() as tx:
            moved = await rows.move_to_executor(
                tx, self._executor_id, [leftover.name for leftover in here]
            )
        for machine_id in moved:
            log.warning("machine.adopted", machine_id=machine_id, executor_id=self._executor_id)
        return len(moved)

    async def _has_live_session(self, record: MachineRecord) -> bool:
        async with self._db.reading() as tx:
            return await rows.live_session_of(tx, record.id) is not None

    async def _stopped(self, record: MachineRecord) -> None:
        async with self._db.transaction() as tx:
            await rows.mark_stopped(
                tx, record.id, record.incarnation, detail="stopped with its host"
            )

    async def _destroyed(self, record: MachineRecord) -> bool:
        """Destroy it; one that stays for now must not keep the server from starting."""
        try:
            await self._machines.destroy_machine(record.id, "reclaimed at start")
        except (MachineError, OSError):
            log.exception("machine.destroy_failed", machine_id=record.id)
            return False
        return True

    async def _remove_leftovers(self) -> tuple[int, int]:
        async with self._db.reading() as tx:
            known = await rows.any_list(tx)
        removed = set_aside = 0
        for leftover in await self._driver.leftovers(frozenset(record.id for record in known)):
            try:
                set_aside += await self._set_aside(leftover)
                removed += 1
            except (MachineError, OSError):
                log.exception("leftover.stays", machine_id=leftover.name)
        return removed - set_aside, set_aside

    async def _set_aside(self, leftover: Leftover) -> bool:
        """Whether it held a home, which is kept."""
        path = await self._driver.remove_leftover(leftover)
        if path is None:
            return False
        log.error("machine.home_kept", machine_id=leftover.name, path=str(path), said=_HOME_KEPT)
        return True
