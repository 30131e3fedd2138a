"""Reading a session's row where there must be one."""

from polydev.errors import PolydevError
from polydev.store.database import Database
from polydev.store.records import SessionRecord
from polydev.store.repositories import sessions


async def session_of(db: Database, session_id: str) -> SessionRecord:
    async with db.reading() as tx:
        record = await sessions.any_get(tx, session_id)
    if record is None:
        raise PolydevError(f"There is no session {session_id}.")
    return record
