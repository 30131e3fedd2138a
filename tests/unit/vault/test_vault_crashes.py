"""The vault when the process dies, and when many come at once."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.credential import Bundle, Identity
from polydev.errors import Conflict, VaultError
from polydev.store.database import Database
from polydev.store.models import CredentialRow
from polydev.store.repositories import credentials
from polydev.vault.marks import Marks
from polydev.vault.service import StoredVersion, Vault
from tests.races import until_done_or_waiting
from tests.vault_rows import (
    bundle,
    person,
    put,
    refused,
    restore,
    run,
    snapshot,
)


class PowerCut(BaseException):
    """The process is gone: nothing catches this."""


def crash(*_: object) -> None:
    raise PowerCut


async def test_a_crash_between_commit_and_mark_leaves_the_credential_readable(
    db: Database,
    vault: Vault,
    reopen: Callable[..., Vault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada = await person(db)
    first = await put(db, vault, ada, 1)
    backup = await snapshot(db)
    with monkeypatch.context() as broken:
        broken.setattr(Marks, "raise_to", crash)
        with pytest.raises(PowerCut):
            await put(db, vault, ada, 2)
    after = reopen()
    assert await after.get(ada, first.credential_id) == bundle(2)
    # That read has raised the mark, so from here on the old version is refused again.
    await restore(db, backup)
    await refused(after, ada, first)


async def test_a_crash_before_the_commit_leaves_the_old_version(
    db: Database, vault: Vault, reopen: Callable[..., Vault]
) -> None:
    ada = await person(db)
    first = await put(db, vault, ada, 1)
    with pytest.raises(PowerCut):
        async with db.transaction() as tx:
            await vault.put(tx, ada, "codex", bundle(2), Identity())
            raise PowerCut
    assert await reopen().get(ada, first.credential_id) == bundle(1)


async def test_a_crash_while_the_marks_are_written_leaves_the_old_marks(
    db: Database, vault: Vault, reopen: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await person(db)
    first = await put(db, vault, ada, 1)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", crash)
        with pytest.raises(PowerCut):
            await put(db, vault, ada, 2)
    assert await reopen().get(ada, first.credential_id) == bundle(2)
    await put(db, reopen(), ada, 3)
    assert await reopen().get(ada, first.credential_id) == bundle(3)


@pytest.mark.parametrize("spoil", ["{}", "[]", "nonsense", '{"marks": {}, "tag": "00"}'])
async def test_edited_marks_are_refused(
    db: Database,
    vault: Vault,
    reopen: Callable[..., Vault],
    tmp_path: Path,
    spoil: str,
    request: pytest.FixtureRequest,
) -> None:
    await put(db, vault, await person(db))
    (tmp_path / "keys" / "versions.json").write_text(spoil)
    with pytest.raises(VaultError, match=r"versions\.json"):
        reopen()


async def test_two_processes_with_one_folder_keep_each_others_marks(
    db: Database, vault: Vault, reopen: Callable[..., Vault]
) -> None:
    ada = await person(db)
    other = reopen()
    await put(db, vault, ada, 1)
    backup = await snapshot(db)
    stored = await put(db, vault, ada, 2)
    await put(db, other, ada, 9, "gemini_cli")
    await restore(db, backup)
    await refused(reopen(), ada, stored)


async def test_two_puts_at_once_make_two_versions_or_one_conflict(
    db: Database, vault: Vault
) -> None:
    ada = await person(db)
    first = await put(db, vault, ada, 0)
    outcomes = await asyncio.gather(
        *(put(db, vault, ada, number) for number in (1, 2)), return_exceptions=True
    )
    stored = [one for one in outcomes if isinstance(one, StoredVersion)]
    assert all(isinstance(one, StoredVersion | Conflict) for one in outcomes)
    assert sorted(one.version for one in stored) == list(range(2, 2 + len(stored)))
    assert await vault.get(ada, first.credential_id) in (bundle(1), bundle(2))


async def test_two_first_puts_at_once_make_one_credential(
    db: Database, vault: Vault, request: pytest.FixtureRequest
) -> None:
    ada = await person(db)
    async with db.transaction() as tx:
        await vault.put(tx, ada, "codex", bundle(1), Identity())
        second = asyncio.create_task(put(db, vault, ada, 2))
        if not db.sqlite:
            await until_done_or_waiting(db, second)
    with contextlib.suppress(Conflict):
        await second
    async with db.reading() as tx:
        assert len(await credentials.list_of(tx, ada)) == 1


async def test_a_put_during_a_read_does_not_look_like_a_rollback(
    db: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await person(db)
    stored = await put(db, vault, ada, 1)
    read_on = Vault._open

    async def put_comes_first(self: Vault, tx: AsyncSession, row: CredentialRow) -> Bundle:
        """The row has been read; another task stores a version before the rest is."""
        monkeypatch.setattr(Vault, "_open", read_on)
        await put(db, vault, ada, 2)
        return await read_on(self, tx, row)

    monkeypatch.setattr(Vault, "_open", put_comes_first)
    assert await vault.get(ada, stored.credential_id) in (bundle(1), bundle(2))


async def test_verifying_all_counts_the_whole_and_names_the_broken(
    db: Database, vault: Vault
) -> None:
    ada = await person(db)
    good, bad = await put(db, vault, ada), await put(db, vault, ada, 2, "gemini_cli")
    await run(db, "UPDATE credentials SET plan = 'x' WHERE id = :id", id=bad.credential_id)
    whole, broken = await vault.verify_all()
    assert whole == 1
    assert len(broken) == 1
    assert bad.credential_id in broken[0]
    assert good.credential_id not in broken[0]


async def test_a_version_that_is_there_already_is_a_conflict(
    db: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)

    async def counted_wrong(*_: object) -> int:
        return 1

    monkeypatch.setattr(Vault, "_next_version", counted_wrong)
    with pytest.raises(Conflict):
        await put(db, vault, ada, 2)
