"""API keys: ``pdk_`` and 256 random bits. Only a hash is stored; a key is shown once."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.ids import new_id
from polydev.domain.secret import Secret
from polydev.store.models import ApiKeyRow, UserRow
from polydev.store.records import ApiKeyRecord, UserRecord

PREFIX = "pdk_"
_TOUCH_EVERY = timedelta(minutes=1)


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. The secret is 256 random bits, so a slow hash would add nothing; looking
    a row up by the hash leaks no timing that helps to guess the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def create(
    tx: AsyncSession, user_id: str, label: str, *, expires_at: datetime | None = None
) -> tuple[ApiKeyRecord, Secret]:
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiKeyRow(
        id=new_id("key"),
        user_id=user_id,
        label=label,
        secret_hash=hash_secret(secret),
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    tx.add(row)
    await tx.flush()
    return ApiKeyRecord.of(row), Secret(secret)


async def authenticate(tx: AsyncSession, secret: str) -> tuple[ApiKeyRecord, UserRecord] | None:
    """The key and its person, if the key is known, not expired, not revoked, and the person is
    not disabled."""
    if not secret.startswith(PREFIX):
        return None
    found = (
        await tx.execute(
            select(ApiKeyRow, UserRow)
            .join(UserRow, UserRow.id == ApiKeyRow.user_id)
            .where(ApiKeyRow.secret_hash == hash_secret(secret))
        )
    ).one_or_none()
    if found is None:
        return None
    key, user = found
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    if expired or key.revoked_at is not None or user.disabled_at is not None:
        return None
    return ApiKeyRecord.of(key), UserRecord.of(user)


async def stands(tx: AsyncSession, key_id: str) -> bool:
    """Whether `authenticate` would still take the key with this id."""
    found = await tx.scalar(
        select(ApiKeyRow.id)
        .join(UserRow, UserRow.id == ApiKeyRow.user_id)
        .where(
            ApiKeyRow.id == key_id,
            ApiKeyRow.revoked_at.is_(None),
            ApiKeyRow.expires_at.is_(None) | (ApiKeyRow.expires_at > datetime.now(UTC)),
            UserRow.disabled_at.is_(None),
        )
    )
    return found is not None


def wants_touch(record: ApiKeyRecord) -> bool:
    """Whether ``last_used_at`` is old enough to be worth a write."""
    return record.last_used_at is None or datetime.now(UTC) - record.last_used_at > _TOUCH_EVERY


async def touch(tx: AsyncSession, key_id: str) -> None:
    await tx.execute(
        update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=datetime.now(UTC))
    )


async def list_of(tx: AsyncSession, user_id: str) -> list[ApiKeyRecord]:
    rows = await tx.scalars(
        select(ApiKeyRow).where(ApiKeyRow.user_id == user_id).order_by(ApiKeyRow.created_at)
    )
    return [ApiKeyRecord.of(row) for row in rows]


async def revoke(tx: AsyncSession, user_id: str, key_id: str) -> ApiKeyRecord | None:
    """None when there is no such key of this person. Idempotent."""
    row = await tx.scalar(
        select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.user_id == user_id)
    )
    if row is None:
        return None
    row.revoked_at = row.revoked_at or datetime.now(UTC)
    await tx.flush()
    return ApiKeyRecord.of(row)


async def revoke_all(tx: AsyncSession, user_id: str) -> None:
    await tx.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.user_id == user_id, ApiKeyRow.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
    )
