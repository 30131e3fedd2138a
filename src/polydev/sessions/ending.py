"""How a sign-in ends, however it went: its last state is written, its browser machine destroyed."""

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.session import LIVE_STATES, REASON_TEXT, STORED_TEXT, Reason, SessionState
from polydev.errors import MachineError
from polydev.machines.manager import MachineManager
from polydev.sessions.lookup import session_of
from polydev.sessions.watchers import Watchers
from polydev.store.database import Database
from polydev.store.records import SessionRecord
from polydev.store.repositories import credentials, receipts, sessions

log = structlog.get_logger("polydev.journey")


class Ending:
    """Each verb is idempotent: a crash between or in them makes them run again."""

    def __init__(self, db: Database, machines: MachineManager, watchers: Watchers) -> None:
        self._db = db
        self._machines = machines
        self._watchers = watchers

    async def end(
        self, session_id: str, state: SessionState, reason: Reason | None, detail: str | None
    ) -> str:
        """Write the last state, once; returns it."""
        session = await session_of(self._db, session_id)
        if session.state in LIVE_STATES:
            async with self._db.transaction() as tx:
                if state is not SessionState.COMPLETED and reason is not Reason.VAULT_FAILED:
                    detail = await _with_stored(tx, session, detail)
                session = await sessions.transition(
                    tx, session_id, state, reason=reason, detail=detail
                )
            self._watchers.notify(session_id)
            log.info(
                "session.ended",
                session_id=session_id,
                state=session.state.value,
                reason=reason.value if reason else None,
                said=REASON_TEXT[reason] if reason else None,
            )
        return session.state.value

    async def release(self, session_id: str) -> None:
        """The browser machine is destroyed, and whoever watches hears that it is over."""
        await self.give_back(session_id, "its session has ended")
        self._watchers.ended(session_id)

    async def give_back(self, session_id: str, why: str) -> None:
        """The browser machine is destroyed, and the session and receipt say when."""
        session = await session_of(self._db, session_id)
        if session.machine_id is not None and session.machine_gone_at is None:
            await self._destroy_surely(session.machine_id, why)
            async with self._db.transaction() as tx:
                gone_at = await sessions.set_machine_gone(tx, session_id)
                await sessions.add_event(
                    tx, session_id, "machine_gone", {"machineId": session.machine_id}
                )
                await receipts.set_machine_gone(tx, session_id, gone_at)
        self._watchers.notify(session_id)

    async def _destroy_surely(self, machine_id: str, why: str) -> None:
        pause = 1.0
        while True:
            try:
                await self._machines.destroy_machine(machine_id, why)
            except (MachineError, OSError) as error:
                log.exception("machine.destroy_failed", machine_id=machine_id, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60.0)
            else:
                return


async def _with_stored(tx: AsyncSession, session: SessionRecord, detail: str | None) -> str | None:
    """The details, and what to do with a credential that outlives its session's failure."""
    if session.credential_id is None:
        return detail
    if await credentials.get(tx, session.user_id, session.credential_id) is None:
        return detail  # revoked meanwhile
    stored = STORED_TEXT.format(provider=session.provider)
    return f"{detail}\n{stored}" if detail else stored
