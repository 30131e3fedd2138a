"""The engine: writers take turns, readers cannot write, secrets stay out of sight."""

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from polydev.errors import SettingsError
from polydev.store.database import Database, after_commit
from polydev.store.models import UserRow
from polydev.store.repositories import users
from polydev.store.urls import DatabaseUrl


async def test_fifty_writers_that_read_first_all_get_their_turn(db: Database) -> None:
    async def add(number: int) -> None:
        async with db.transaction() as tx:
            await tx.scalar(select(func.count()).select_from(UserRow))
            await users.create(tx, f"person{number}", "member")

    await asyncio.gather(*(add(number) for number in range(50)))
    async with db.reading() as tx:
        assert len(await users.list_all(tx)) == 50


async def test_two_processes_wait_for_each_other(db: Database, database_url: str) -> None:
    other = Database(database_url)

    async def add(through: Database, name: str) -> None:
        for number in range(10):
            async with through.transaction() as tx:
                await users.list_all(tx)
                await users.create(tx, f"{name}{number}", "member")

    await asyncio.gather(add(db, "a"), add(other, "b"))
    await other.close()
    async with db.reading() as tx:
        assert len(await users.list_all(tx)) == 20


async def test_a_reader_cannot_write_and_does_not_spoil_the_connection(db: Database) -> None:
    with pytest.raises(DBAPIError):
        async with db.reading() as tx:
            await users.create(tx, "sneaky", "admin")
    async with db.transaction() as tx:
        await users.create(tx, "honest", "admin")


async def test_what_raises_is_rolled_back_and_its_hook_never_runs(db: Database) -> None:
    ran: list[str] = []

    async def hook() -> None:
        ran.append("hook")

    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await users.create(tx, "nobody", "member")
            after_commit(tx, hook)
            raise ZeroDivisionError
    async with db.reading() as tx:
        assert await users.by_name(tx, "nobody") is None
    assert ran == []


async def test_a_hook_sees_what_was_committed(db: Database) -> None:
    seen: list[bool] = []

    async with db.transaction() as tx:
        await users.create(tx, "ada", "member")

        async def hook() -> None:
            async with db.transaction() as later:
                seen.append(await users.by_name(later, "ada") is not None)

        after_commit(tx, hook)
        assert seen == []
    assert seen == [True]


async def test_a_cancelled_writer_lets_the_next_one_in(db: Database) -> None:
    inside = asyncio.Event()

    async def never_ends() -> None:
        async with db.transaction() as tx:
            await users.create(tx, "gone", "member")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(never_ends())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.transaction() as tx:
        assert await users.by_name(tx, "gone") is None


async def test_foreign_keys_are_enforced(db: Database) -> None:
    with pytest.raises(IntegrityError):
        async with db.transaction() as tx:
            await tx.execute(
                text("INSERT INTO start_keys VALUES ('nobody', 'k', 'p', 'none', :at)"),
                {"at": "2026-01-01 00:00:00+00:00"},
            )


async def test_a_transaction_inside_a_transaction_is_an_error_not_a_hang(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(RuntimeError, match="inside a transaction"):
        async with db.transaction(), db.transaction():
            pass
    await db.close()


async def test_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "x.db"
    db = Database(f"sqlite:///{file}")
    await db.check()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    await db.close()


async def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    db = Database("postgresql://ada:verysecret@127.0.0.1:1/polydev")
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:1/polydev does not answer") as caught:
        await db.check()
    shown = f"{caught.value}{caught.value.detail}{db!r}"
    assert "verysecret" not in shown
    await db.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:verysecret@db/x",
        "verysecret",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://verysecret/x.db",
        "postgresql://ada:verysecret@db",
        "",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^database_url: ") as caught:
        DatabaseUrl.parse(url)
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_leads_to_the_same_drivers(scheme: str) -> None:
    url = DatabaseUrl.parse(f"{scheme}://ada@db/x")
    assert url.for_async().drivername == "postgresql+psycopg_async"
    assert url.for_sync().drivername == "postgresql+psycopg"
    assert url.for_engine() == url.for_sync()


def test_the_workflow_engine_has_a_file_of_its_own_beside_a_sqlite_file() -> None:
    url = DatabaseUrl.parse("sqlite:////srv/polydev.db")
    assert url.for_engine().database == "/srv/polydev.engine.db"
