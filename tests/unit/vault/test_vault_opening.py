"""A start finds key and marks, or makes them where nothing depends on them; never in between."""

from pathlib import Path

import pytest

from polydev.errors import CredentialRolledBack, SettingsError, VaultError, VaultKeyMissing
from polydev.store import migrate
from polydev.store.database import Database
from polydev.vault.accept import Lowered, accept, survey
from polydev.vault.keyring import Keyring
from polydev.vault.opening import open_keyring
from polydev.vault.service import Vault
from tests.vault_rows import bundle, person, put, refused, restore, revoke, run, snapshot


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "root.key"


def opened(key_file: Path, db: Database, database_url: str) -> Vault:
    """The vault as a start makes it."""
    return Vault(db, open_keyring(key_file, database_url), key_file.parent)


def marks_of(key_file: Path) -> Path:
    return key_file.parent / "versions.json"


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder but those that a database makes while it is open."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }


async def test_the_first_start_makes_key_and_marks_and_later_ones_find_them(
    key_file: Path, db: Database, database_url: str
) -> None:
    ada = await person(db)
    first = opened(key_file, db, database_url)
    made = everything(key_file.parent)
    assert made.keys() >= {"root.key", "versions.json"}
    stored = await put(db, first, ada)
    assert await opened(key_file, db, database_url).get(ada, stored.credential_id) == bundle()
    assert key_file.read_bytes() == made["root.key"]
    assert marks_of(key_file).stat().st_mode & 0o077 == 0


def test_a_first_start_makes_no_database_and_no_schema(key_file: Path, empty_url: str) -> None:
    open_keyring(key_file, empty_url)
    assert not list(key_file.parents[1].glob("*.db"))
    open_keyring(key_file, empty_url)


def test_a_first_start_that_ended_between_key_and_marks_is_repeated(
    key_file: Path, empty_url: str
) -> None:
    one = open_keyring(key_file, empty_url)
    marks_of(key_file).unlink()
    assert open_keyring(key_file, empty_url).key_id == one.key_id
    assert marks_of(key_file).exists()


async def test_a_missing_key_beside_credentials_ends_the_start_and_nothing_is_written(
    tmp_path: Path, key_file: Path, db: Database, database_url: str
) -> None:
    await put(db, opened(key_file, db, database_url), await person(db))
    for file in key_file.parent.iterdir():
        file.unlink()
    key_file.parent.rmdir()
    before = everything(tmp_path)
    with pytest.raises(VaultError, match="Restore it") as caught:
        open_keyring(key_file, database_url)
    assert str(key_file) in caught.value.person
    assert everything(tmp_path) == before
    assert not key_file.parent.exists()


def test_a_missing_key_beside_marks_ends_the_start_and_nothing_is_written(
    tmp_path: Path, key_file: Path, empty_url: str
) -> None:
    open_keyring(key_file, empty_url)
    key_file.unlink()
    before = everything(tmp_path)
    with pytest.raises(VaultError, match=r"root\.key is missing.*Restore it"):
        open_keyring(key_file, empty_url)
    assert everything(tmp_path) == before


async def test_another_databases_key_ends_the_start_and_nothing_is_written(
    tmp_path: Path, key_file: Path, db: Database, database_url: str
) -> None:
    vault = opened(key_file, db, database_url)
    stored = await put(db, vault, await person(db))
    key_file.write_text("ab" * 32 + "\n")
    marks_of(key_file).unlink()
    before = everything(tmp_path)
    with pytest.raises(VaultKeyMissing) as caught:
        open_keyring(key_file, database_url)
    assert str(key_file) in caught.value.person
    assert stored.key_id in caught.value.person
    assert "ab" * 32 not in f"{caught.value!r}{caught.value.detail}"
    assert everything(tmp_path) == before


async def test_an_installation_without_credentials_may_begin_with_another_key(
    key_file: Path, db: Database, database_url: str
) -> None:
    await person(db)
    one = open_keyring(key_file, database_url)
    for file in key_file.parent.iterdir():
        file.unlink()
    assert open_keyring(key_file, database_url).key_id != one.key_id


@pytest.mark.parametrize("still_there", [True, False], ids=["stored", "all revoked"])
async def test_missing_marks_end_the_start_while_credentials_are_or_were_there(
    tmp_path: Path, key_file: Path, db: Database, database_url: str, still_there: bool
) -> None:
    ada = await person(db)
    vault = opened(key_file, db, database_url)
    stored = await put(db, vault, ada)
    if not still_there:
        await revoke(db, vault, ada, stored.credential_id)
    marks_of(key_file).unlink()
    before = everything(tmp_path)
    with pytest.raises(VaultError, match=r"versions\.json is missing.*accept-current"):
        open_keyring(key_file, database_url)
    assert everything(tmp_path) == before


async def test_marks_that_vanish_while_the_server_runs_are_not_begun_anew(
    key_file: Path, db: Database, database_url: str
) -> None:
    ada = await person(db)
    vault = opened(key_file, db, database_url)
    stored = await put(db, vault, ada)
    marks_of(key_file).unlink()
    await refused(vault, ada, stored)
    with pytest.raises(VaultError, match=r"versions\.json is missing"):
        await put(db, vault, ada, 2)
    with pytest.raises(VaultError, match=r"versions\.json is missing"):
        await put(db, vault, ada, 2, "gemini_cli")
    assert not marks_of(key_file).exists()


async def test_a_database_that_is_gone_ends_the_start_before_anything_is_made_in_its_place(
    tmp_path: Path, key_file: Path, db: Database, database_url: str
) -> None:
    """A server on an empty database would take every machine on the host for a leftover."""
    ada = await person(db)
    stored = await put(db, opened(key_file, db, database_url), ada)
    empty = f"sqlite:///{tmp_path / 'another.db'}"
    with pytest.raises(VaultError, match="holds no credential, but"):
        open_keyring(key_file, empty)
    assert not (tmp_path / "another.db").exists()
    migrate.upgrade(empty)
    another = Database(empty)
    keyring = Keyring(bytes.fromhex(key_file.read_text()))
    found = await survey(another, keyring, key_file.parent)
    assert (found.credentials, found.missing) == (0, 1)
    await accept(another, keyring, key_file.parent, found)
    await another.close()
    open_keyring(key_file, empty)
    assert stored.credential_id not in marks_of(key_file).read_text()


def test_a_database_that_does_not_answer_ends_the_start(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is not a database, but as long as one must be" * 20)
    for url in (f"sqlite:///{tmp_path / 'no.db'}", "postgresql://u:p@127.0.0.1:1/none"):
        with pytest.raises(SettingsError, match="database_url"):
            open_keyring(key_file, url)
    assert not key_file.parent.exists()


# The way out


async def accepted(key_file: Path, db: Database) -> None:
    keyring = Keyring(bytes.fromhex(key_file.read_text()))
    await accept(db, keyring, key_file.parent, await survey(db, keyring, key_file.parent))


@pytest.mark.parametrize("spoil", [None, "", "{}", '{"marks": {}, "audit": null, "tag": "00"}'])
async def test_accepting_the_database_as_it_is_opens_it_again(
    key_file: Path, db: Database, database_url: str, spoil: str | None
) -> None:
    ada = await person(db)
    vault = opened(key_file, db, database_url)
    gone = await put(db, vault, ada, 3, "gemini_cli")
    backup = await snapshot(db)
    await put(db, vault, ada, 1)
    stored = await put(db, vault, ada, 2)
    await revoke(db, vault, ada, gone.credential_id)
    marks_of(key_file).unlink()
    if spoil is not None:
        marks_of(key_file).write_text(spoil)
    with pytest.raises(VaultError, match="accept-current"):
        open_keyring(key_file, database_url)
    await accepted(key_file, db)
    again = opened(key_file, db, database_url)
    assert await again.get(ada, stored.credential_id) == bundle(2)
    # From here on the marks do what they did: what is older, or was revoked, stays out.
    await restore(db, backup)
    await refused(again, ada, gone)


async def test_accepting_an_older_database_says_what_is_lowered_and_keeps_revocations(
    key_file: Path, db: Database, database_url: str
) -> None:
    ada = await person(db)
    vault = opened(key_file, db, database_url)
    gone = await put(db, vault, ada, 1, "gemini_cli")
    await put(db, vault, ada, 1)
    backup = await snapshot(db)
    stored = await put(db, vault, ada, 2)
    await revoke(db, vault, ada, gone.credential_id)
    await restore(db, backup)
    keyring = open_keyring(key_file, database_url)
    found = await survey(db, keyring, key_file.parent)
    assert (found.lost, found.credentials) == (None, 1)
    assert found.lowered == (Lowered(stored.credential_id, 1, 2),)
    await refused(vault, ada, stored)
    await accept(db, keyring, key_file.parent, found)
    assert await vault.get(ada, stored.credential_id) == bundle(1)
    with pytest.raises(CredentialRolledBack, match="revoked"):
        await vault.get(ada, gone.credential_id)


async def test_nobody_is_locked_out_by_a_row_that_was_set_back(
    key_file: Path, db: Database, database_url: str
) -> None:
    ada = await person(db)
    vault = opened(key_file, db, database_url)
    first = await put(db, vault, ada, 1)
    rows, _ = await snapshot(db)
    await put(db, vault, ada, 2)
    await run(
        db,
        "UPDATE credentials SET current_version = 1, version_tag = :tag WHERE id = :id",
        tag=rows[0]["version_tag"],
        id=first.credential_id,
    )
    await refused(vault, ada, first)
    marks_of(key_file).unlink()
    await accepted(key_file, db)
    # Version 2 is still among the versions: the next one is none that exists.
    third = await put(db, vault, ada, 3)
    assert third.version == 3
    assert await vault.get(ada, first.credential_id) == bundle(3)
