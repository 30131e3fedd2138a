"""Credentials: what may be said about them. Their content is the vault's business."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.errors import NotFound
from polydev.store.models import CredentialRow
from polydev.store.records import CredentialRecord


async def get(tx: AsyncSession, user_id: str, credential_id: str) -> CredentialRecord | None:
    """None for another person's and for a revoked one."""
    row = await tx.get(CredentialRow, credential_id, populate_existing=True)
    if row is None or row.user_id != user_id or row.revoked_at is not None:
        return None
    return CredentialRecord.of(row)


async def of_provider(tx: AsyncSession, user_id: str, provider: str) -> CredentialRecord | None:
    row = await tx.scalar(
        select(CredentialRow).where(
            CredentialRow.user_id == user_id,
            CredentialRow.provider == provider,
            CredentialRow.revoked_at.is_(None),
        )
    )
    return CredentialRecord.of(row) if row else None


async def list_of(tx: AsyncSession, user_id: str) -> list[CredentialRecord]:
    rows = await tx.scalars(
        select(CredentialRow)
        .where(CredentialRow.user_id == user_id, CredentialRow.revoked_at.is_(None))
        .order_by(CredentialRow.provider)
    )
    return [CredentialRecord.of(row) for row in rows]


async def set_machine(
    tx: AsyncSession, user_id: str, credential_id: str, machine_id: str, *, version: int
) -> CredentialRecord:
    """Say which machine has, or is about to get, which version."""
    return await _set(tx, user_id, credential_id, machine_id=machine_id, delivered_version=version)


async def set_verified(
    tx: AsyncSession, user_id: str, credential_id: str, *, ok: bool, output: str
) -> CredentialRecord:
    """Keep the tool's own answer."""
    return await _set(
        tx,
        user_id,
        credential_id,
        verified_at=datetime.now(UTC),
        verified_ok=ok,
        status_output=output,
    )


async def _set(
    tx: AsyncSession, user_id: str, credential_id: str, **values: Any
) -> CredentialRecord:
    changed = await tx.execute(
        update(CredentialRow)
        .where(
            CredentialRow.id == credential_id,
            CredentialRow.user_id == user_id,
            CredentialRow.revoked_at.is_(None),
        )
        .values(**values)
        .returning(CredentialRow)
        .execution_options(populate_existing=True)
    )
    row = changed.scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no credential {credential_id}.")
    return CredentialRecord.of(row)
