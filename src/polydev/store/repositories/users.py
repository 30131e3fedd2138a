"""People."""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.ids import new_id
from polydev.errors import Conflict
from polydev.store.models import UserRow
from polydev.store.records import Role, UserRecord


async def create(tx: AsyncSession, name: str, role: Role) -> UserRecord:
    """Raises `Conflict` when the name is taken."""
    if await tx.scalar(select(UserRow.id).where(UserRow.name == name)):
        raise Conflict(f"There is a user {name} already.")
    row = UserRow(id=new_id("usr"), name=name, role=role, created_at=datetime.now(UTC))
    tx.add(row)
    await tx.flush()
    return UserRecord.of(row)


async def get(tx: AsyncSession, user_id: str) -> UserRecord | None:
    row = await tx.get(UserRow, user_id)
    return UserRecord.of(row) if row else None


async def by_name(tx: AsyncSession, name: str) -> UserRecord | None:
    row = await tx.scalar(select(UserRow).where(UserRow.name == name))
    return UserRecord.of(row) if row else None


async def list_all(tx: AsyncSession) -> list[UserRecord]:
    rows = await tx.scalars(select(UserRow).order_by(UserRow.created_at, UserRow.id))
    return [UserRecord.of(row) for row in rows]


async def count_admins(tx: AsyncSession) -> int:
    """Admins that can still sign in."""
    query = select(func.count()).select_from(UserRow)
    query = query.where(UserRow.role == "admin", UserRow.disabled_at.is_(None))
    return int(await tx.scalar(query) or 0)


async def disable(tx: AsyncSession, user_id: str) -> UserRecord | None:
    """The person can no longer sign in; their rows stay for the record."""
    row = await tx.get(UserRow, user_id)
    if row is None:
        return None
    row.disabled_at = row.disabled_at or datetime.now(UTC)
    await tx.flush()
    return UserRecord.of(row)
