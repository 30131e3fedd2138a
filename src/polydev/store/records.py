"""Rows as frozen values: what leaves the store. Nothing above it touches an ORM object."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from polydev.domain.machine import MachineKind, MachineState
from polydev.domain.session import Reason, SessionState
from polydev.store import models

Role = Literal["admin", "member"]
LoginKind = Literal["link", "cookie"]


@dataclass(frozen=True, slots=True)
class UserRecord:
    id: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None

    @classmethod
    def of(cls, row: models.UserRow) -> "UserRecord":
        return cls(row.id, row.name, cast("Role", row.role), row.created_at, row.disabled_at)


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    id: str
    user_id: str
    label: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: models.ApiKeyRow) -> "ApiKeyRecord":
        return cls(
            row.id,
            row.user_id,
            row.label,
            row.created_at,
            row.last_used_at,
            row.expires_at,
            row.revoked_at,
        )


@dataclass(frozen=True, slots=True)
class WebLoginRecord:
    id: str
    user_id: str
    kind: LoginKind
    session_id: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: models.WebLoginRow) -> "WebLoginRecord":
        return cls(
            row.id,
            row.user_id,
            cast("LoginKind", row.kind),
            row.session_id,
            row.created_at,
            row.expires_at,
            row.used_at,
            row.revoked_at,
        )


@dataclass(frozen=True, slots=True)
class MachineRecord:
    id: str
    user_id: str | None
    executor_id: str
    kind: MachineKind
    driver: str
    state: MachineState
    incarnation: str | None
    driver_state: dict[str, str | int] | None
    created_at: datetime
    ready_at: datetime | None
    destroyed_at: datetime | None
    detail: str | None

    @classmethod
    def of(cls, row: models.MachineRow) -> "MachineRecord":
        return cls(
            row.id,
            row.user_id,
            row.executor_id,
            MachineKind(row.kind),
            row.driver,
            MachineState(row.state),
            row.incarnation,
            cast("dict[str, str | int] | None", row.driver_state),
            row.created_at,
            row.ready_at,
            row.destroyed_at,
            row.detail,
        )


@dataclass(frozen=True, slots=True)
class SessionRecord:
    id: str
    user_id: str
    provider: str
    state: SessionState
    reason: Reason | None
    detail: str | None
    machine_id: str | None
    cli_machine_id: str | None
    credential_id: str | None
    account: str | None
    plan: str | None
    receipt_id: str | None
    cancel_requested_at: datetime | None
    viewer_seen_at: datetime | None
    machine_gone_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: models.SessionRow) -> "SessionRecord":
        return cls(
            row.id,
            row.user_id,
            row.provider,
            SessionState(row.state),
            Reason(row.reason) if row.reason else None,
            row.detail,
            row.machine_id,
            row.cli_machine_id,
            row.credential_id,
            row.account,
            row.plan,
            row.receipt_id,
            row.cancel_requested_at,
            row.viewer_seen_at,
            row.machine_gone_at,
            row.created_at,
            row.ended_at,
        )


@dataclass(frozen=True, slots=True)
class SessionEventRecord:
    seq: int
    session_id: str
    at: datetime
    kind: str
    data: dict[str, Any]

    @classmethod
    def of(cls, row: models.SessionEventRow) -> "SessionEventRecord":
        return cls(row.seq, row.session_id, row.at, row.kind, row.data)


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    id: str
    user_id: str
    provider: str
    account: str | None
    plan: str | None
    expires_at: datetime | None
    current_version: int
    machine_id: str | None
    delivered_version: int | None
    created_at: datetime
    verified_at: datetime | None
    verified_ok: bool | None
    status_output: str | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: models.CredentialRow) -> "CredentialRecord":
        return cls(
            row.id,
            row.user_id,
            row.provider,
            row.account,
            row.plan,
            row.expires_at,
            row.current_version,
            row.machine_id,
            row.delivered_version,
            row.created_at,
            row.verified_at,
            row.verified_ok,
            row.status_output,
            row.revoked_at,
        )


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    id: str
    user_id: str
    session_id: str
    credential_id: str
    created_at: datetime
    body: dict[str, Any]

    @classmethod
    def of(cls, row: models.ReceiptRow) -> "ReceiptRecord":
        return cls(row.id, row.user_id, row.session_id, row.credential_id, row.created_at, row.body)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    seq: int
    at: datetime
    actor: str
    action: str
    target: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, row: models.AuditRow) -> "AuditRecord":
        return cls(row.seq, row.at, row.actor, row.action, row.target, row.data)
