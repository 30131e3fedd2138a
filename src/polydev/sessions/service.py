"""Use cases of a sign-in session: start, cancel, watch, look at its display."""

import socket
import time
from collections.abc import AsyncIterator

import structlog

from polydev.domain.machine import MachineState
from polydev.domain.session import LIVE_STATES, SessionState
from polydev.errors import Conflict, MachineError, NotFound, PolydevError
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.sessions.engine import Engine
from polydev.sessions.watchers import Watchers
from polydev.store.database import Database
from polydev.store.records import SessionEventRecord, SessionRecord
from polydev.store.repositories import audit, sessions

log = structlog.get_logger("polydev.sessions")

_ACTIVITY_EVERY_S = 0.5


class SessionService:
    """Every method takes the person; another person's session does not exist."""

    def __init__(
        self,
        db: Database,
        engine: Engine,
        catalog: Catalog,
        machines: MachineManager,
        watchers: Watchers,
    ) -> None:
        self._db = db
        self._engine = engine
        self._catalog = catalog
        self._machines = machines
        self._watchers = watchers
        self._last_activity: dict[str, float] = {}

    async def start(
        self, user_id: str, provider: str, idempotency_key: str | None
    ) -> SessionRecord:
        """Write the session's row and hand it to the engine; everything slow happens later.

        A live session of the same person and provider, or one with the same key, is returned as
        it is.

        Raises:
            InvalidInput: there is no such provider.
        """
        self._catalog.get(provider)
        async with self._db.transaction() as tx:
            record, created = await sessions.start(
                tx, user_id=user_id, provider=provider, idempotency_key=idempotency_key
            )
            if created:
                await audit.append(
                    tx,
                    actor=user_id,
                    action="session.start",
                    target=record.id,
                    data={"provider": provider},
                )
        if record.state is SessionState.PENDING:
            # Also one that an earlier start wrote and did not get to run: by its id it runs once.
            await self._engine.run(record.id)
        if created:
            log.info("session.started", session_id=record.id, provider=provider)
        return record

    async def cancel(self, user_id: str, session_id: str) -> SessionRecord:
        """Ask for the end of a session; it ends within moments. Idempotent.

        Raises:
            Conflict: it has already ended otherwise.
        """
        async with self._db.transaction() as tx:
            record = await sessions.get(tx, user_id, session_id)
            if record is None:
                raise NotFound(f"There is no session {session_id}.")
            if record.state not in LIVE_STATES:
                if record.cancel_requested_at is not None:
                    return record
                raise Conflict(f"This session has already ended ({record.state.value}).")
            record = await sessions.request_cancel(tx, user_id, session_id)
            await audit.append(
                tx, actor=user_id, action="session.cancel", target=session_id, data={}
            )
        self._watchers.cancel(session_id)
        return record

    async def heartbeat(self, user_id: str, session_id: str) -> None:
        """An open viewer's sign of life: the person's time counts from the last one."""
        async with self._db.transaction() as tx:
            await sessions.viewer_seen(tx, user_id, session_id)

    async def watch(
        self, user_id: str, session_id: str, after: int
    ) -> AsyncIterator[SessionEventRecord]:
        """The timeline from ``after`` on, as it grows.

        Ends when the session has ended and, if it had a machine, that machine is gone.
        """
        async with self._watchers.watching(session_id) as changed:
            while True:
                async with self._db.reading() as tx:
                    record = await sessions.get(tx, user_id, session_id)
                    if record is None:
                        raise NotFound(f"There is no session {session_id}.")
                    events = await sessions.events(tx, user_id, session_id, after=after)
                for event in events:
                    after = event.seq
                    yield event
                over = record.ended_at is not None and (
                    record.machine_id is None or record.machine_gone_at is not None
                )
                if over:
                    return
                await changed()

    async def open_display(self, user_id: str, session_id: str) -> socket.socket:
        """A connected stream of the session's display (RFB).

        Raises:
            NotFound: no such session of this person.
            Conflict: it has no machine now.
        """
        async with self._db.reading() as tx:
            record = await sessions.get(tx, user_id, session_id)
        if record is None:
            raise NotFound(f"There is no session {session_id}.")
        gone = record.ended_at is not None or record.machine_gone_at is not None
        if record.machine_id is None or gone:
            raise Conflict("This session has no live view now.")
        machine = await self._machines.get(record.machine_id)
        if machine.state is not MachineState.READY:
            raise Conflict("This session's machine is not ready yet.")
        return await self._machines.dial_display(machine)

    async def note_activity(self, session_id: str) -> None:
        """The person has typed or clicked: tell the agent, so that automation lets go.

        Called for every input message, so it does nothing most of the time; it never raises.
        """
        now = time.monotonic()
        if now - self._last_activity.get(session_id, 0.0) < _ACTIVITY_EVERY_S:
            return
        self._last_activity[session_id] = now
        try:
            async with self._db.reading() as tx:
                record = await sessions.any_get(tx, session_id)
            if record is None or record.machine_id is None or record.ended_at is not None:
                self._last_activity.pop(session_id, None)
                return
            agent = self._machines.agent(await self._machines.get(record.machine_id))
            try:
                await agent.activity()
            finally:
                await agent.close()
        except (PolydevError, MachineError):
            log.debug("activity.lost", session_id=session_id)
