"""Credentials' public side and receipts: each person sees their own."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from polydev.domain.machine import MachineKind
from polydev.errors import NotFound
from polydev.store.database import Database
from polydev.store.models import CredentialRow
from polydev.store.repositories import credentials, machines, receipts, sessions, users

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def person(db: Database, name: str) -> str:
    async with db.transaction() as tx:
        return (await users.create(tx, name, "member")).id


async def credential(db: Database, user_id: str) -> str:
    async with db.transaction() as tx:
        tx.add(
            CredentialRow(
                id=f"cred_{user_id}",
                user_id=user_id,
                provider="codex",
                current_version=1,
                version_tag="0" * 64,
                created_at=NOW,
                expires_at=NOW,
            )
        )
    return f"cred_{user_id}"


async def receipt(db: Database, user_id: str, credential_id: str) -> tuple[str, str]:
    async with db.transaction() as tx:
        made, _ = await sessions.start(tx, user_id=user_id, provider="codex", idempotency_key=None)
        number = await receipts.insert(
            tx,
            user_id=user_id,
            session_id=made.id,
            credential_id=credential_id,
            body={"version": 1},
        )
    return number, made.id


async def test_a_credential_is_seen_and_changed_by_its_person_only(db: Database) -> None:
    ada, eve = await person(db, "ada"), await person(db, "eve")
    cred = await credential(db, ada)
    async with db.transaction() as tx:
        assert await credentials.get(tx, eve, cred) is None
        assert await credentials.of_provider(tx, eve, "codex") is None
        assert await credentials.list_of(tx, eve) == []
        for refused in (
            credentials.set_machine(tx, eve, cred, "mac_x", version=1),
            credentials.set_verified(tx, eve, cred, ok=True, output="forged"),
        ):
            with pytest.raises(NotFound):
                await refused
        kept = await credentials.get(tx, ada, cred)
    assert kept is not None
    assert (kept.verified_ok, kept.expires_at) == (None, NOW)


async def test_a_destroyed_machine_holds_no_credential(db: Database) -> None:
    ada = await person(db, "ada")
    cred = await credential(db, ada)
    async with db.transaction() as tx:
        made = await machines.insert(
            tx,
            user_id=ada,
            session_id=None,
            executor_id="host1",
            kind=MachineKind.CLI,
            driver="sandbox",
            incarnation="inc_1",
        )
        held = await credentials.set_machine(tx, ada, cred, made.id, version=1)
        await machines.mark_destroyed(tx, made.id, detail="for the test")
        freed = await credentials.get(tx, ada, cred)
    assert freed is not None
    assert (held.machine_id, freed.machine_id) == (made.id, None)


async def test_a_receipt_is_its_persons_and_says_when_the_machine_went(db: Database) -> None:
    ada, eve = await person(db, "ada"), await person(db, "eve")
    number, session_id = await receipt(db, ada, await credential(db, ada))
    async with db.transaction() as tx:
        assert await receipts.get(tx, eve, number) is None
        assert await receipts.list_of(tx, eve) == []
        await receipts.set_machine_gone(tx, session_id, NOW)
    async with db.reading() as tx:
        kept = await receipts.get(tx, ada, number)
    assert kept is not None
    assert kept.body == {"version": 1, "machine_gone_at": NOW.isoformat()}


async def test_a_session_has_one_receipt(db: Database) -> None:
    ada = await person(db, "ada")
    cred = await credential(db, ada)
    await receipt(db, ada, cred)
    with pytest.raises(IntegrityError):
        await receipt(db, ada, cred)
