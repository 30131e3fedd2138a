"""DBOS, set up our way: the durable engine under the workflow.

JSON instead of its default pickle (a row of the database must never become code), an application
version that changes only when old workflows can no longer be continued, a stable executor id, its
admin server off, its logs through ours.
"""

import asyncio
import json
import logging
from typing import Any, Final

import structlog
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID, WorkflowStatus

from polydev.domain.machine import MachineState
from polydev.domain.session import Reason, SessionState
from polydev.sessions import workflow
from polydev.sessions.ending import Ending
from polydev.sessions.journey import Journey
from polydev.settings import Settings
from polydev.store.database import Database
from polydev.store.records import SessionRecord
from polydev.store.repositories import machines, sessions

log = structlog.get_logger("polydev.engine")

_WAITING: Final = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
"""DBOS's states of a workflow that has not ended."""
_OUTDATED: Final = "Polydev was updated during the sign-in. Start again."


class JsonSerializer(Serializer):
    """Plain JSON; an exception becomes its type's name (our steps raise none)."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_plain, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "polydev_json"


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {"error": type(value).__name__}
    raise TypeError(f"{type(value).__name__} may not enter a workflow's record")


class Engine:
    """Runs sign-ins; one per process. `start` must be called on the server's event loop: DBOS then
    runs every workflow there, recovered ones included."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings = settings
        self._db = db
        self._started = False
        self._releasing: set[asyncio.Task[None]] = set()

    async def start(self, journey: Journey) -> None:
        """Launch, continue what an earlier process left, start what it had not begun, and end what
        nobody can continue. The machines of this host must have been reclaimed."""
        workflow.use_journey(journey)
        config: DBOSConfig = {
            "name": "polydev",
            "system_database_url": self._db.engine_url(),
            "application_version": workflow.APPLICATION_VERSION,
            "executor_id": self._settings.executor_id,
            "serializer": JsonSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        # Its own handler writes lines of another form to standard error; ours takes them all.
        dbos_log = logging.getLogger("dbos")
        dbos_log.handlers.clear()
        dbos_log.propagate = True
        self._started = True
        async with self._db.reading() as tx:
            unfinished = await sessions.any_unfinished(tx)
        for record in unfinished:
            await self._take_up(journey.ending, record)

    async def _take_up(self, ending: Ending, session: SessionRecord) -> None:
        """See that an earlier process's session goes on, or ends. What DBOS itself continues (its
        own executor's, of this version) is left to it."""
        status = await DBOS.get_workflow_status_async(session.id)
        if status is None and session.ended_at is None:
            # The row is written before the workflow is; a crash between leaves it without one.
            await self.run(session.id)
            log.warning("session.resumed", session_id=session.id)
            return
        waiting = status is not None and status.status in _WAITING
        if (status and waiting and self._continued(status)) or not await self._is_ours(session):
            return
        if waiting:
            await DBOS.cancel_workflow_async(session.id)
        # Nobody runs its workflow any more and the row does not know: without this the person
        # could never start again, and its machine would stay.
        log.error("session.stranded", session_id=session.id, status=status and status.status)
        await ending.end(
            session.id, SessionState.FAILED, Reason.SERVER_ERROR, _OUTDATED if waiting else None
        )
        # This may take long (a machine that cannot be destroyed now): the server starts meanwhile.
        task = asyncio.create_task(ending.release(session.id))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    def _continued(self, status: WorkflowStatus) -> bool:
        """Whether DBOS runs it here, or will: a queued one is taken by any executor of its
        version, a running one is continued by its own executor alone."""
        if status.app_version != workflow.APPLICATION_VERSION:
            return False
        return status.status != "PENDING" or status.executor_id == self._settings.executor_id

    async def _is_ours(self, session: SessionRecord) -> bool:
        """Whether no other host can be running it. Reclaiming has given this host's executor id
        to all machines that lie here; a SQLite file has one host."""
        if self._db.sqlite or session.machine_id is None:
            return True
        async with self._db.reading() as tx:
            machine = await machines.any_get(tx, session.machine_id)
        return (
            machine is None
            or machine.state is MachineState.DESTROYED
            or machine.executor_id == self._settings.executor_id
        )

    async def run(self, session_id: str) -> None:
        """Start the session's workflow; its id is the session's, so twice is once."""
        with SetWorkflowID(session_id):
            await DBOS.start_workflow_async(workflow.sign_in, session_id)

    async def close(self) -> None:
        for task in self._releasing:
            task.cancel()
        await asyncio.gather(*self._releasing, return_exceptions=True)
        if self._started:
            await workflow.leave_running()
            DBOS.destroy(workflow_completion_timeout_sec=0)
            self._started = False
        workflow.use_journey(None)
