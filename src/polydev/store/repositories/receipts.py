"""Receipts: what was captured, where it went, when the machine was gone."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.ids import new_id
from polydev.store.models import ReceiptRow
from polydev.store.records import ReceiptRecord


async def insert(
    tx: AsyncSession, *, user_id: str, session_id: str, credential_id: str, body: dict[str, Any]
) -> str:
    row = ReceiptRow(
        id=new_id("rcpt"),
        user_id=user_id,
        session_id=session_id,
        credential_id=credential_id,
        created_at=datetime.now(UTC),
        body=body,
    )
    tx.add(row)
    await tx.flush()
    return row.id


async def get(tx: AsyncSession, user_id: str, receipt_id: str) -> ReceiptRecord | None:
    row = await tx.get(ReceiptRow, receipt_id)
    return ReceiptRecord.of(row) if row is not None and row.user_id == user_id else None


async def list_of(tx: AsyncSession, user_id: str) -> list[ReceiptRecord]:
    rows = await tx.scalars(
        select(ReceiptRow)
        .where(ReceiptRow.user_id == user_id)
        .order_by(ReceiptRow.created_at.desc(), ReceiptRow.id)
    )
    return [ReceiptRecord.of(row) for row in rows]


async def set_machine_gone(tx: AsyncSession, session_id: str, at: datetime) -> None:
    """Nothing happens for a session without a receipt (it did not complete)."""
    row = await tx.scalar(select(ReceiptRow).where(ReceiptRow.session_id == session_id))
    if row is not None:
        row.body = {**row.body, "machine_gone_at": at.isoformat()}
        await tx.flush()
