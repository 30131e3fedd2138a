"""The audit log's last line is known outside the database: a cut tail and a new chain are seen."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from structlog.testing import capture_logs

from polydev.store.database import Database
from polydev.store.models import AuditRow
from polydev.store.repositories import audit
from polydev.vault.accept import accept, survey
from polydev.vault.audit_seal import AuditSeal
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks
from tests.vault_rows import ROOT, run

KEYRING = Keyring(ROOT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Marks.begin(tmp_path, KEYRING)
    return tmp_path


async def append(db: Database, *numbers: int) -> None:
    for number in numbers:
        async with db.transaction() as tx:
            await audit.append(tx, actor="usr_a", action="test", target=None, data={"n": number})


async def elsewhere(db: Database, *numbers: int) -> None:
    """Append from a process that keeps no last line."""
    other = Database(db.sync_url())
    await append(other, *numbers)
    await other.close()


async def start(db: Database, folder: Path) -> list[Any]:
    """A start of the server; returns its lines at the level of an error."""
    with capture_logs() as lines:
        begun = await AuditSeal(db, KEYRING, folder).begin()
    errors = [line for line in lines if line["log_level"] == "error"]
    assert begun == (not errors)
    return errors


async def test_a_log_that_grows_over_many_starts_is_whole(db: Database, folder: Path) -> None:
    await append(db, 1, 2)
    assert await start(db, folder) == []
    await append(db, 3, 4)
    assert await start(db, folder) == []
    # Lines that another process wrote (`polydev init`) are taken in at the next start.
    await elsewhere(db, 5)
    assert await start(db, folder) == []
    kept = Marks(folder, KEYRING).read().audit
    assert kept is not None
    assert kept.seq == 5


async def test_the_last_line_is_kept_once_it_is_committed(db: Database, folder: Path) -> None:
    assert await start(db, folder) == []
    await asyncio.gather(*(append(db, number) for number in range(10)))
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await audit.append(tx, actor="a", action="b", target=None, data={})
            raise ZeroDivisionError
    kept = Marks(folder, KEYRING).read().audit
    async with db.reading() as tx:
        last = await audit.last(tx)
    assert kept is not None
    assert last is not None
    assert (kept.seq, kept.hash) == (last.seq, last.hash)


@pytest.mark.parametrize("left", [0, 3])
async def test_a_cut_tail_is_told_at_each_start_also_when_new_lines_grow_over_it(
    db: Database, folder: Path, left: int
) -> None:
    assert await start(db, folder) == []
    await append(db, *range(5))
    await run(db, "DELETE FROM audit_log WHERE seq > :left", left=left)
    (error,) = await start(db, folder)
    assert error["event"] == "audit.broken"
    assert f"had 5 lines and has {left}" in error["detail"]
    restarted = Database(db.sync_url())
    assert len(await start(restarted, folder)) == 1
    await append(restarted, *range(10))
    (error,) = await start(restarted, folder)
    assert "line 5 is not what was written" in error["detail"]
    await restarted.close()


async def test_a_log_that_was_chained_anew_is_seen(db: Database, folder: Path) -> None:
    assert await start(db, folder) == []
    await append(db, 1, 2, 3)
    async with db.transaction() as tx:
        await tx.execute(delete(AuditRow))
    await elsewhere(db, 1, 7, 3)
    (error,) = await start(db, folder)
    assert "line 3 is not what was written" in error["detail"]


async def test_an_edited_line_is_named(db: Database, folder: Path) -> None:
    await append(db, 1, 2, 3)
    await run(db, "UPDATE audit_log SET actor = 'usr_b' WHERE seq = 2")
    (error,) = await start(db, folder)
    assert "Line 2 " in error["detail"]


async def test_a_restored_database_is_accepted_by_a_person_and_that_is_in_the_log(
    db: Database, folder: Path
) -> None:
    assert await start(db, folder) == []
    await append(db, *range(5))
    await run(db, "DELETE FROM audit_log WHERE seq > 3")
    found = await survey(db, KEYRING, folder)
    assert found.shortened
    await accept(db, KEYRING, folder, found)
    assert await start(db, folder) == []
    async with db.reading() as tx:
        (line, *_) = await audit.list_recent(tx)
    assert (line.seq, line.actor, line.action) == (4, "operator", "vault.accept_current")
    assert line.data["auditShortened"] is True


async def test_a_mark_that_cannot_be_written_loses_no_line(
    db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await start(db, folder) == []

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(Marks, "raise_audit_to", full)
        await append(db, 1)
    await append(db, 2)
    assert await start(db, folder) == []
