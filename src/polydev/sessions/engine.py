"""DBOS, set up our way: the durable engine under the workflow.

JSON instead of its default pickle (a row of the database must never become code), an application
version that changes only when old workflows can no longer be continued, a stable executor id, its
admin server off, its logs through ours.
"""

import json
import logging
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from polydev.domain.session import Reason, SessionState
from polydev.sessions import workflow
from polydev.sessions.journey import Journey
from polydev.settings import Settings
from polydev.store.database import Database
from polydev.store.repositories import sessions

log = structlog.get_logger("polydev.engine")


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

    async def start(self, journey: Journey) -> None:
        """Launch, continue what an earlier process left, and start what it had not begun."""
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
            live = await sessions.any_live(tx)
        for record in live:
            # The row is written before the workflow is; a crash between leaves it without one.
            status = await DBOS.get_workflow_status_async(record.id)
            if status is None:
                await self.run(record.id)
                log.warning("session.resumed", session_id=record.id)
            elif status.status not in ("PENDING", "ENQUEUED", "DELAYED"):
                # Its workflow is over and the row does not know: without this the person could
                # never start again.
                log.error("session.stranded", session_id=record.id, status=status.status)
                await journey.end(record.id, SessionState.FAILED, Reason.SERVER_ERROR, None)
                await journey.release(record.id)

    async def run(self, session_id: str) -> None:
        """Start the session's workflow; its id is the session's, so twice is once."""
        with SetWorkflowID(session_id):
            await DBOS.start_workflow_async(workflow.sign_in, session_id)

    async def close(self) -> None:
        if self._started:
            await workflow.leave_running()
            DBOS.destroy(workflow_completion_timeout_sec=0)
            self._started = False
        workflow.use_journey(None)
