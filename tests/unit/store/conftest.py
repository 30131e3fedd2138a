"""Where the database's kind cannot matter, one kind is enough."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from polydev.store.database import Database


@pytest_asyncio.fixture
async def sqlite_db(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    file = tmp_path / "only.db"
    file.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{file}")
    yield database
    await database.close()
