"""The audit log: a chain that shows where it was cut, also when many write at once."""

import asyncio

import pytest
from sqlalchemy import text

from polydev.store.database import Database
from polydev.store.repositories import audit


async def append(db: Database, number: int) -> None:
    async with db.transaction() as tx:
        await audit.append(
            tx, actor="usr_a", action="test", target=None, data={"n": number, "é": [1.5, None]}
        )


async def first_broken(db: Database) -> int | None:
    async with db.reading() as tx:
        return await audit.first_broken(tx)


async def test_thirty_writers_at_once_make_one_whole_chain(db: Database) -> None:
    await asyncio.gather(*(append(db, number) for number in range(30)))
    assert await first_broken(db) is None
    async with db.reading() as tx:
        assert [line.seq for line in await audit.list_recent(tx)] == list(range(30, 0, -1))


async def test_an_empty_log_is_whole(db: Database) -> None:
    assert await first_broken(db) is None


async def test_what_is_rolled_back_leaves_no_hole(db: Database) -> None:
    await append(db, 1)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await audit.append(tx, actor="a", action="b", target=None, data={})
            raise ZeroDivisionError
    await append(db, 2)
    assert await first_broken(db) is None


@pytest.mark.parametrize(
    ("crime", "found_at"),
    [
        ("UPDATE audit_log SET actor = 'usr_b' WHERE seq = 3", 3),
        ("UPDATE audit_log SET action = 'other' WHERE seq = 3", 3),
        ("UPDATE audit_log SET target = 'x' WHERE seq = 3", 3),
        ("UPDATE audit_log SET data = '{}' WHERE seq = 3", 3),
        ("UPDATE audit_log SET at = '2001-01-01 00:00:00+00:00' WHERE seq = 3", 3),
        ("UPDATE audit_log SET previous = hash WHERE seq = 3", 3),
        ("DELETE FROM audit_log WHERE seq = 3", 3),
        ("DELETE FROM audit_log WHERE seq = 1", 1),
        ("UPDATE audit_log SET seq = seq + 100 WHERE seq = 5", 5),
    ],
)
async def test_an_edit_is_found_where_it_was_made(db: Database, crime: str, found_at: int) -> None:
    for number in range(5):
        await append(db, number)
    async with db.transaction() as tx:
        await tx.execute(text(crime))
    assert await first_broken(db) == found_at
