"""How many machines run at once on this host, and for whom the last places are.

A person whose sign-in has begun will need a CLI machine at its end: with no place for it they
would have signed in for nothing. So the warm pool leaves those places free, a warm machine gives
way to a machine that somebody waits for, and what a sign-in's browser machine gives back is for
its person alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from polydev.errors import TooMany
from polydev.machines.pool import WarmMachine
from polydev.store.database import Database
from polydev.store.repositories import machines as rows


class Warm(Protocol):
    """What making room needs of the manager."""

    async def warm_machines(self) -> Sequence[WarmMachine]: ...
    async def discard_warm(self, machine_id: str, why: str) -> None: ...


class Room:
    """Places for machines of one executor."""

    def __init__(self, places: int, executor_id: str, db: Database, machines: Warm) -> None:
        self._places = places
        self._executor_id = executor_id
        self._db = db
        self._machines = machines
        self._warming = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def place(
        self, user_id: str | None, *, besides: str | None = None
    ) -> AsyncGenerator[AsyncSession]:
        """A transaction to write a machine in that there is a place for.

        ``user_id``: whose it will be; None: the pool's. ``besides``: its row is there already.

        Raises:
            TooMany: there is none.
        """
        while True:
            async with self._db.transaction() as tx:
                used = await rows.count_alive(tx, self._executor_id, besides=besides)
                used += await rows.places_to_come(
                    tx, self._executor_id, given_back=user_id is not None, besides=user_id
                )
                if used < self._places:
                    yield tx
                    return
            if user_id is None or not await self._given_way():
                raise TooMany(
                    f"All {self._places} machines of this host are in use. Try again in a minute.",
                    retry_after_s=60,
                )

    def warming(self) -> asyncio.Lock:
        """Held while a warm machine boots: it can give way only once it is ready."""
        return self._warming

    async def _given_way(self) -> bool:
        """Whether there may be a place now; each call takes a warm machine or waits for one."""
        warm = await self._machines.warm_machines()
        if warm:
            await self._machines.discard_warm(warm[0].id, "its place was needed")
        elif self._warming.locked():
            async with self._warming:
                pass
        else:
            return False
        return True
