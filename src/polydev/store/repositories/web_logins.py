"""One-time sign-in links, and the cookie sessions that they become."""

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.ids import new_id
from polydev.domain.secret import Secret
from polydev.store.models import UserRow, WebLoginRow
from polydev.store.records import LoginKind, UserRecord, WebLoginRecord
from polydev.store.repositories.keys import hash_secret

_PREFIX: dict[LoginKind, str] = {"link": "pdl_", "cookie": "pdc_"}


async def create(
    tx: AsyncSession,
    user_id: str,
    kind: LoginKind,
    lifetime: timedelta,
    *,
    session_id: str | None = None,
) -> tuple[WebLoginRecord, Secret]:
    """``session_id``: this login may look at that one session only."""
    secret = _PREFIX[kind] + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    row = WebLoginRow(
        id=new_id("key"),
        user_id=user_id,
        kind=kind,
        secret_hash=hash_secret(secret),
        session_id=session_id,
        created_at=now,
        expires_at=now + lifetime,
    )
    tx.add(row)
    await tx.flush()
    return WebLoginRecord.of(row), Secret(secret)


async def redeem_link(tx: AsyncSession, secret: str) -> WebLoginRecord | None:
    """Use a link up. Of two who try at once, one gets it: the update names its own condition."""
    now = datetime.now(UTC)
    used = await tx.execute(
        update(WebLoginRow)
        .where(
            WebLoginRow.secret_hash == hash_secret(secret),
            WebLoginRow.kind == "link",
            WebLoginRow.used_at.is_(None),
            WebLoginRow.revoked_at.is_(None),
            WebLoginRow.expires_at > now,
        )
        .values(used_at=now)
        .returning(WebLoginRow)
    )
    row = used.scalar_one_or_none()
    return WebLoginRecord.of(row) if row else None


async def authenticate_cookie(
    tx: AsyncSession, secret: str
) -> tuple[WebLoginRecord, UserRecord] | None:
    found = (
        await tx.execute(
            select(WebLoginRow, UserRow)
            .join(UserRow, UserRow.id == WebLoginRow.user_id)
            .where(
                WebLoginRow.secret_hash == hash_secret(secret),
                WebLoginRow.kind == "cookie",
                WebLoginRow.revoked_at.is_(None),
                WebLoginRow.expires_at > datetime.now(UTC),
                UserRow.disabled_at.is_(None),
            )
        )
    ).one_or_none()
    if found is None:
        return None
    return WebLoginRecord.of(found[0]), UserRecord.of(found[1])


async def stands(tx: AsyncSession, login_id: str) -> bool:
    """Whether `authenticate_cookie` would still take the cookie with this id."""
    found = await tx.scalar(
        select(WebLoginRow.id)
        .join(UserRow, UserRow.id == WebLoginRow.user_id)
        .where(
            WebLoginRow.id == login_id,
            WebLoginRow.kind == "cookie",
            WebLoginRow.revoked_at.is_(None),
            WebLoginRow.expires_at > datetime.now(UTC),
            UserRow.disabled_at.is_(None),
        )
    )
    return found is not None


async def revoke(tx: AsyncSession, login_id: str) -> None:
    await tx.execute(
        update(WebLoginRow).where(WebLoginRow.id == login_id).values(revoked_at=datetime.now(UTC))
    )


async def revoke_all(tx: AsyncSession, user_id: str) -> None:
    await tx.execute(
        update(WebLoginRow)
        .where(WebLoginRow.user_id == user_id, WebLoginRow.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
    )
