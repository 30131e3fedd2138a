"""The tables. Migrations follow these classes (Alembic), the same on SQLite and PostgreSQL.

Times are UTC, stored with their zone where the database can. Ids are `polydev.domain.ids`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone on every database: SQLite forgets it, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own class-level form
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


Id = String(40)


class UserRow(Base):
    __tablename__ = "users"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    """``admin`` or ``member``."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class ApiKeyRow(Base):
    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    label: Mapped[str] = mapped_column(String(64))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 in hex of the key's random part (256 bits, so no slow hash is needed)."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class WebLoginRow(Base):
    """A one-time sign-in link to the dashboard, or the cookie session that it became."""

    __tablename__ = "web_logins"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """``link`` or ``cookie``."""
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    session_id: Mapped[str | None] = mapped_column(Id)
    """A link that opens one sign-in session only."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class MachineRow(Base):
    __tablename__ = "machines"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    """None while a browser machine is warm: it has no identity yet."""
    executor_id: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    driver: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), index=True)
    incarnation: Mapped[str | None] = mapped_column(Id)
    driver_state: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    destroyed_at: Mapped[datetime | None]
    detail: Mapped[str | None] = mapped_column(Text)
    """Why it failed or was destroyed, for the operator."""

    __table_args__ = (
        Index(
            "uq_machines_one_cli_per_user",
            "user_id",
            unique=True,
            sqlite_where=text("kind = 'cli' AND state != 'destroyed'"),
            postgresql_where=text("kind = 'cli' AND state != 'destroyed'"),
        ),
    )


class SessionRow(Base):
    __tablename__ = "auth_sessions"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    provider: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None] = mapped_column(Text)
    """For the person and the operator beside the reason; no secret."""
    machine_id: Mapped[str | None] = mapped_column(ForeignKey("machines.id"))
    cli_machine_id: Mapped[str | None] = mapped_column(ForeignKey("machines.id"))
    credential_id: Mapped[str | None] = mapped_column(ForeignKey("credentials.id"))
    account: Mapped[str | None] = mapped_column(String(320))
    plan: Mapped[str | None] = mapped_column(String(64))
    """Who signed in, as the captured files said then."""
    receipt_id: Mapped[str | None] = mapped_column(Id)
    cancel_requested_at: Mapped[datetime | None]
    viewer_seen_at: Mapped[datetime | None]
    """Last sign of life of an open viewer: the person's time counts from it."""
    machine_gone_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_auth_sessions_one_live",
            "user_id",
            "provider",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )


class StartKeyRow(Base):
    """What an Idempotency-Key was answered with.

    A table of its own, because a start may be answered with a session that another key made (one
    live session per person and provider), and must be answered with that one ever after.
    """

    __tablename__ = "start_keys"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider: Mapped[str] = mapped_column(String(32))
    session_id: Mapped[str] = mapped_column(ForeignKey("auth_sessions.id"), index=True)
    created_at: Mapped[datetime]


class SessionEventRow(Base):
    """The timeline of a session: every change of state and what the agent told."""

    __tablename__ = "session_events"
    seq: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    session_id: Mapped[str] = mapped_column(ForeignKey("auth_sessions.id"), index=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    """``state`` for a change of state, else the agent's event kind."""
    data: Mapped[dict[str, Any]]


class CredentialRow(Base):
    __tablename__ = "credentials"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    provider: Mapped[str] = mapped_column(String(32))
    account: Mapped[str | None] = mapped_column(String(320))
    plan: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]
    current_version: Mapped[int]
    version_tag: Mapped[str] = mapped_column(String(64))
    """HMAC over whose it is, its identity, current_version and that version's ciphertext: a row
    edited, moved or made of parts of others is refused. (A whole row set rolled back is refused by
    the high-water marks beside the key file, docs/decisions/0004-vault.md.)"""
    machine_id: Mapped[str | None] = mapped_column(ForeignKey("machines.id"))
    """The one CLI machine that holds it."""
    delivered_version: Mapped[int | None]
    """The version that was last written into that machine, by intent: the row says so first."""
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    verified_ok: Mapped[bool | None]
    status_output: Mapped[str | None] = mapped_column(Text)
    """The CLI's own answer, control characters removed."""
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_credentials_one_per_provider",
            "user_id",
            "provider",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )


class CredentialVersionRow(Base):
    __tablename__ = "credential_versions"
    credential_id: Mapped[str] = mapped_column(ForeignKey("credentials.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(String(40))
    """Names the key-encryption key."""
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    """nonce (12) + AES-256-GCM(KEK, data key); additional data as for the ciphertext, but for the
    purpose that stands in it."""
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    """nonce (12) + AES-256-GCM(data key, bundle)."""
    created_at: Mapped[datetime]


class ReceiptRow(Base):
    __tablename__ = "receipts"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("auth_sessions.id"), unique=True)
    credential_id: Mapped[str] = mapped_column(ForeignKey("credentials.id"), index=True)
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class AuditRow(Base):
    """Hash-chained: ``hash`` covers the row and ``previous``."""

    __tablename__ = "audit_log"
    seq: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str | None] = mapped_column(String(64))
    data: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
