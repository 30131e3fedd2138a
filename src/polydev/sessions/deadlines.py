"""How much time a sign-in has left, whatever becomes of the wall clock.

The database holds moments of the wall clock, since they must outlive this process. A host whose
clock is set (by NTP after a boot, or by hand) would end every sign-in at once, so within a process
the seconds between two looks are the monotonic clock's.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from polydev.domain.session import SessionState
from polydev.sessions.lookup import session_of
from polydev.settings import Timeouts
from polydev.store.database import Database
from polydev.store.repositories import sessions


class Age:
    """The age in seconds of a moment that may move forward (a viewer's last sign of life)."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._moment: datetime | None = None
        self._looked = 0.0
        self._age = 0.0

    def of(self, moment: datetime) -> float:
        now = self._steady()
        since = now - self._looked
        by_wall = max(0.0, (self._wall() - moment).total_seconds())
        if self._moment is None:
            self._age = by_wall
        elif moment == self._moment:
            self._age += since
        else:
            # It has moved since the last look, so it is no older than that.
            self._age = min(by_wall, since)
        self._moment, self._looked = moment, now
        return self._age


class Deadlines:
    """Times left of the sessions that this process runs."""

    def __init__(self, db: Database, timeouts: Timeouts) -> None:
        self._db = db
        self._timeouts = timeouts
        self._ages: defaultdict[str, Age] = defaultdict(Age)

    async def of_session(self, session_id: str) -> float:
        """Seconds left of the whole session."""
        session = await session_of(self._db, session_id)
        return self._timeouts.session - self._ages[session_id].of(session.created_at)

    def of_person(self, session_id: str) -> "PersonsTime":
        return PersonsTime(self._db, session_id, self._timeouts.person)

    def forget(self, session_id: str) -> None:
        self._ages.pop(session_id, None)


class PersonsTime:
    """The person's time to sign in: counts from when it became their turn, and anew from each
    sign of life of a viewer."""

    def __init__(self, db: Database, session_id: str, seconds: float) -> None:
        self._db = db
        self._session_id = session_id
        self._seconds = seconds
        self._turn, self._viewer = Age(), Age()

    async def left(self) -> float:
        async with self._db.reading() as tx:
            entered = await sessions.entered_at(tx, self._session_id, SessionState.AWAITING_USER)
        waited = self._turn.of(entered)
        seen = (await session_of(self._db, self._session_id)).viewer_seen_at
        if seen is not None:
            waited = min(waited, self._viewer.of(seen))
        return self._seconds - waited
