"""Hands of an attacker who may write to the database, and of a test that makes people."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text

from polydev.domain.credential import Bundle, CapturedFile, Identity
from polydev.errors import VaultError
from polydev.store.database import Database
from polydev.store.models import CredentialRow, CredentialVersionRow
from polydev.store.repositories import users
from polydev.vault.service import StoredVersion, Vault

ADA = Identity(account="ada@example.test", plan="plus")
ROOT = bytes(range(32))
MARKER = "invented-content-of-a-test"

Snapshot = tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]


def bundle(number: int = 1) -> Bundle:
    content = f'{{"n": {number}, "x": "{MARKER}"}}'.encode()
    return Bundle((CapturedFile(".tool/auth.json", 0o600, content),))


async def person(db: Database, name: str = "ada") -> str:
    async with db.transaction() as tx:
        return (await users.create(tx, name, "member")).id


async def put(
    db: Database, vault: Vault, user_id: str, number: int = 1, provider: str = "codex"
) -> StoredVersion:
    async with db.transaction() as tx:
        return await vault.put(tx, user_id, provider, bundle(number), ADA)


async def revoke(db: Database, vault: Vault, user_id: str, credential_id: str) -> None:
    async with db.transaction() as tx:
        await vault.revoke(tx, user_id, credential_id)


async def run(db: Database, statement: str, **values: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(text(statement), values)


async def snapshot(db: Database) -> Snapshot:
    """A backup of all that the vault keeps in the database."""
    async with db.reading() as tx:
        credentials = (await tx.execute(select(CredentialRow.__table__))).mappings().all()
        versions = (await tx.execute(select(CredentialVersionRow.__table__))).mappings().all()
    return [dict(row) for row in credentials], [dict(row) for row in versions]


async def restore(db: Database, backup: Snapshot) -> None:
    async with db.transaction() as tx:
        await tx.execute(delete(CredentialVersionRow))
        await tx.execute(delete(CredentialRow))
        for table, rows in zip((CredentialRow, CredentialVersionRow), backup, strict=True):
            if rows:
                await tx.execute(insert(table.__table__), rows)


async def refused(vault: Vault, user_id: str, stored: StoredVersion) -> None:
    with pytest.raises(VaultError) as caught:
        await vault.get(user_id, stored.credential_id)
    assert MARKER not in f"{caught.value!r}{caught.value.detail}"
