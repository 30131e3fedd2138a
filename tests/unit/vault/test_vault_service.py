"""The vault against an attacker who may write to the database."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from polydev.domain.credential import Bundle, CapturedFile
from polydev.errors import CredentialRolledBack, NotFound, VaultError
from polydev.store.database import Database
from polydev.store.models import CredentialVersionRow
from polydev.store.repositories import credentials
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks
from polydev.vault.service import StoredFile, Vault
from tests.vault_rows import (
    ADA,
    MARKER,
    ROOT,
    bundle,
    person,
    put,
    refused,
    restore,
    revoke,
    run,
    snapshot,
)


async def test_what_was_put_is_got_by_its_person_after_a_restart(
    db: Database, vault: Vault, reopen: Callable[..., Vault]
) -> None:
    ada = await person(db)
    stored = await put(db, vault, ada)
    assert stored.version == 1
    assert await vault.get(ada, stored.credential_id) == bundle()
    assert await reopen().get(ada, stored.credential_id) == bundle()


async def test_a_new_version_replaces_the_old_one_and_its_proof(db: Database, vault: Vault) -> None:
    ada = await person(db)
    first = await put(db, vault, ada, 1)
    async with db.transaction() as tx:
        await credentials.set_verified(tx, ada, first.credential_id, ok=True, output="fine")
    second = await put(db, vault, ada, 2)
    assert (second.credential_id, second.version) == (first.credential_id, 2)
    assert await vault.get(ada, first.credential_id) == bundle(2)
    async with db.reading() as tx:
        record = await credentials.get(tx, ada, first.credential_id)
    assert record is not None
    assert (record.verified_at, record.verified_ok, record.status_output) == (None, None, None)


async def test_the_database_and_the_keys_folder_hold_no_content(
    db: Database, vault: Vault, tmp_path: Path
) -> None:
    stored = await put(db, vault, await person(db))
    rows = str(await snapshot(db))
    assert MARKER not in rows + repr(stored) + repr(vault)
    for file in (tmp_path / "keys").iterdir():
        assert MARKER.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


async def test_another_persons_credential_is_not_there(db: Database, vault: Vault) -> None:
    ada, eve = await person(db), await person(db, "eve")
    stored = await put(db, vault, ada)
    with pytest.raises(NotFound):
        await vault.get(eve, stored.credential_id)
    with pytest.raises(NotFound):
        await revoke(db, vault, eve, stored.credential_id)
    async with db.reading() as tx:
        assert await credentials.get(tx, eve, stored.credential_id) is None
    assert await vault.get(ada, stored.credential_id) == bundle()


# What an attacker with the database may do


_EDITS = {
    "account": "UPDATE credentials SET account = 'eve@example.test' WHERE id = :id",
    "plan": "UPDATE credentials SET plan = 'free' WHERE id = :id",
    "provider": "UPDATE credentials SET provider = 'gemini_cli' WHERE id = :id",
    "tag": "UPDATE credentials SET version_tag = '00' WHERE id = :id",
    "version down": "UPDATE credentials SET current_version = 1 WHERE id = :id",
    "version up": "UPDATE credentials SET current_version = 3 WHERE id = :id",
    "key id": "UPDATE credential_versions SET key_id = 'kek_x' WHERE credential_id = :id",
    "no version": "DELETE FROM credential_versions WHERE credential_id = :id",
    "newest lost": "DELETE FROM credential_versions WHERE credential_id = :id AND version = 2",
}


@pytest.mark.parametrize("edit", _EDITS.values(), ids=_EDITS.keys())
async def test_an_edited_row_is_refused(db: Database, vault: Vault, edit: str) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)
    stored = await put(db, vault, ada, 2)
    await run(db, edit, id=stored.credential_id)
    await refused(vault, ada, stored)
    _, broken = await vault.verify_all()
    assert len(broken) == 1


async def test_an_edited_expiry_is_refused(db: Database, vault: Vault) -> None:
    ada = await person(db)
    stored = await put(db, vault, ada)
    await run(
        db,
        "UPDATE credentials SET expires_at = '2099-01-01 00:00:00+00:00' WHERE id = :id",
        id=stored.credential_id,
    )
    await refused(vault, ada, stored)


@pytest.mark.parametrize("column", ["wrapped_key", "ciphertext"])
async def test_an_edited_or_swapped_part_is_refused(
    db: Database, vault: Vault, column: str
) -> None:
    ada = await person(db)
    mine, other = await put(db, vault, ada), await put(db, vault, ada, 2, "gemini_cli")
    await run(
        db,
        f"UPDATE credential_versions SET {column} = (SELECT {column} FROM credential_versions "
        "WHERE credential_id = :other) WHERE credential_id = :id",
        id=mine.credential_id,
        other=other.credential_id,
    )
    await refused(vault, ada, mine)
    await run(
        db,
        f"UPDATE credential_versions SET {column} = :junk WHERE credential_id = :id",
        id=mine.credential_id,
        junk=os.urandom(60),
    )
    await refused(vault, ada, mine)
    assert await vault.get(ada, other.credential_id) == bundle(2)


async def test_a_credential_moved_to_another_person_is_refused(db: Database, vault: Vault) -> None:
    ada, eve = await person(db), await person(db, "eve")
    stored = await put(db, vault, ada)
    await run(
        db, "UPDATE credentials SET user_id = :eve WHERE id = :id", eve=eve, id=stored.credential_id
    )
    await refused(vault, eve, stored)


async def test_a_whole_version_moved_under_another_credential_is_refused(
    db: Database, vault: Vault
) -> None:
    ada, eve = await person(db), await person(db, "eve")
    hers, mine = await put(db, vault, ada, 1), await put(db, vault, eve, 2)
    await run(
        db, "DELETE FROM credential_versions WHERE credential_id = :id", id=mine.credential_id
    )
    await run(
        db,
        "UPDATE credential_versions SET credential_id = :mine WHERE credential_id = :hers",
        mine=mine.credential_id,
        hers=hers.credential_id,
    )
    await run(
        db,
        "UPDATE credentials SET version_tag = (SELECT version_tag FROM credentials "
        "WHERE id = :hers) WHERE id = :mine",
        mine=mine.credential_id,
        hers=hers.credential_id,
    )
    await refused(vault, eve, mine)


async def test_a_database_rolled_back_as_a_whole_is_refused_after_a_restart_too(
    db: Database, vault: Vault, reopen: Callable[..., Vault]
) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)
    backup = await snapshot(db)
    stored = await put(db, vault, ada, 2)
    newest = await snapshot(db)
    await restore(db, backup)
    await refused(vault, ada, stored)
    await refused(reopen(), ada, stored)
    await restore(db, newest)
    assert await vault.get(ada, stored.credential_id) == bundle(2)


async def test_a_revoked_credential_does_not_come_back_with_an_old_database(
    db: Database, vault: Vault
) -> None:
    ada = await person(db)
    stored = await put(db, vault, ada)
    backup = await snapshot(db)
    await revoke(db, vault, ada, stored.credential_id)
    await restore(db, backup)
    await refused(vault, ada, stored)


async def test_signing_in_again_mends_a_rolled_back_credential(db: Database, vault: Vault) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)
    backup = await snapshot(db)
    for number in (2, 3):
        await put(db, vault, ada, number)
    await restore(db, backup)
    stored = await put(db, vault, ada, 4)
    assert await vault.get(ada, stored.credential_id) == bundle(4)


async def test_another_installations_key_opens_nothing(
    db: Database, vault: Vault, reopen: Callable[..., Vault]
) -> None:
    ada = await person(db)
    stored = await put(db, vault, ada)
    await refused(reopen("elsewhere", bytes(32)), ada, stored)


# Revoking


async def test_revoking_erases_every_version_and_lets_the_person_start_anew(
    db: Database, vault: Vault
) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)
    stored = await put(db, vault, ada, 2)
    await revoke(db, vault, ada, stored.credential_id)
    async with db.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(CredentialVersionRow)) == 0
        assert await credentials.list_of(tx, ada) == []
    with pytest.raises(NotFound):
        await vault.get(ada, stored.credential_id)
    again = await put(db, vault, ada, 3)
    assert again.credential_id != stored.credential_id
    assert await vault.get(ada, again.credential_id) == bundle(3)


async def test_a_revoked_ciphertext_is_overwritten_in_the_sqlite_file(
    sqlite_template: Path, tmp_path: Path
) -> None:
    file = tmp_path / "only.db"
    file.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{file}")
    Marks.begin(tmp_path, Keyring(ROOT))
    vault = Vault(db, Keyring(ROOT), tmp_path)
    ada = await person(db)
    stored = await put(db, vault, ada)
    _, versions = await snapshot(db)
    ciphertext: bytes = versions[0]["ciphertext"]
    await revoke(db, vault, ada, stored.credential_id)
    await db.close()  # the last connection folds the write-ahead log in and removes it
    assert not file.with_name(file.name + "-wal").exists()
    assert ciphertext[:32] not in file.read_bytes()


# Without decrypting


@pytest.mark.parametrize("edit", _EDITS.values(), ids=_EDITS.keys())
async def test_a_check_refuses_what_reading_refuses_and_decrypts_nothing(
    db: Database, vault: Vault, edit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await person(db)
    await put(db, vault, ada, 1)
    stored = await put(db, vault, ada, 2)

    def decrypting(*_: object) -> bytes:
        raise AssertionError("this decrypts")

    monkeypatch.setattr("polydev.vault.service.unseal", decrypting)
    await vault.check(ada, stored.credential_id)
    await run(db, edit, id=stored.credential_id)
    with pytest.raises(VaultError):
        await vault.check(ada, stored.credential_id)


async def test_a_check_sees_a_rollback_too_and_nobody_elses_credential(
    db: Database, vault: Vault
) -> None:
    ada, eve = await person(db), await person(db, "eve")
    stored = await put(db, vault, ada, 1)
    backup = await snapshot(db)
    await put(db, vault, ada, 2)
    await restore(db, backup)
    with pytest.raises(CredentialRolledBack):
        await vault.check(ada, stored.credential_id)
    with pytest.raises(NotFound):
        await vault.check(eve, stored.credential_id)


async def test_where_the_files_lie_is_told_without_what_is_in_them(
    db: Database, vault: Vault
) -> None:
    ada = await person(db)
    merged = CapturedFile(".tool/settings.json", 0o600, b'{"auth": {"key": "x"}, "b": 1}', True)
    whole = CapturedFile(".tool/auth.json", 0o600, b"x")
    async with db.transaction() as tx:
        stored = await vault.put(tx, ada, "codex", Bundle((whole, merged)), ADA)
    assert await vault.files(ada, stored.credential_id) == (
        StoredFile(".tool/auth.json"),
        StoredFile(".tool/settings.json", ("auth", "b")),
    )
