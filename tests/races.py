"""Races that happen each time: the order is made by locks, not by luck or by waiting a while."""

import asyncio
from typing import Any

from sqlalchemy import text

from polydev.store.database import Database


async def until_done_or_waiting(db: Database, task: asyncio.Task[Any]) -> None:
    """Return once ``task`` has ended or its PostgreSQL connection waits for another's lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(60):
        while not task.done():
            async with db.reading() as tx:
                if await tx.scalar(waiting):
                    return
