"""The audit log: append-only, each line's hash covering the line before it.

The hashes need no key, so they show an edit only to somebody who knows a later line's hash.
`polydev.vault.audit_seal` keeps the last one outside the database, authenticated.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.store.database import audit_line_written
from polydev.store.models import AuditRow
from polydev.store.records import AuditRecord

_GENESIS = "0" * 64
_LOCK = 0x504F4C59
"""PostgreSQL advisory lock: appends take turns. On SQLite there is one writer anyway."""


async def append(
    tx: AsyncSession, *, actor: str, action: str, target: str | None, data: dict[str, Any]
) -> None:
    """Add a line in the caller's transaction, so that what is logged and done agree."""
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = await tx.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
    row = AuditRow(
        seq=last.seq + 1 if last else 1,
        at=datetime.now(UTC),
        actor=actor,
        action=action,
        target=target,
        data=data,
        previous=last.hash if last else _GENESIS,
    )
    row.hash = _hash(row)
    tx.add(row)
    await tx.flush()
    audit_line_written(tx, row.seq, row.hash)


async def first_broken(tx: AsyncSession) -> int | None:
    """The number of the first line that was changed, removed, inserted or moved; None if whole."""
    previous, expected = _GENESIS, 1
    rows = await tx.stream_scalars(select(AuditRow).order_by(AuditRow.seq))
    async for row in rows:
        if row.seq != expected or row.previous != previous or row.hash != _hash(row):
            return expected
        previous, expected = row.hash, expected + 1
    return None


@dataclass(frozen=True, slots=True)
class Last:
    """The newest line."""

    seq: int
    hash: str


async def last(tx: AsyncSession) -> Last | None:
    row = await tx.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
    return Last(row.seq, row.hash) if row else None


async def hash_at(tx: AsyncSession, seq: int) -> str | None:
    """The hash of the line with this number; None if there is none."""
    return await tx.scalar(select(AuditRow.hash).where(AuditRow.seq == seq))


async def list_recent(tx: AsyncSession, *, limit: int = 100) -> list[AuditRecord]:
    rows = await tx.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit))
    return [AuditRecord.of(row) for row in rows]


def _hash(row: AuditRow) -> str:
    line = [
        row.seq,
        row.at.astimezone(UTC).isoformat(),
        row.actor,
        row.action,
        row.target,
        row.data,
        row.previous,
    ]
    canonical = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
