"""Records as they go over the wire."""

from typing import Any

from polydev.api import schemas
from polydev.domain.session import REASON_TEXT
from polydev.store.records import (
    ApiKeyRecord,
    CredentialRecord,
    MachineRecord,
    ReceiptRecord,
    SessionEventRecord,
    SessionRecord,
    UserRecord,
)


def view_page(public_url: str, session_id: str) -> str:
    """Address of a session's live view in the dashboard."""
    return f"{public_url}/view/{session_id}"


def session(record: SessionRecord, public_url: str) -> schemas.SessionView:
    return schemas.SessionView(
        session_id=record.id,
        provider=record.provider,
        state=record.state,
        reason=record.reason,
        message=REASON_TEXT[record.reason] if record.reason else None,
        detail=record.detail,
        novncURL=None if record.ended_at else view_page(public_url, record.id),
        browserIP=None,
        machine_id=record.machine_id,
        cli_machine_id=record.cli_machine_id,
        credential_id=record.credential_id,
        account=record.account,
        plan=record.plan,
        receipt_id=record.receipt_id,
        created_at=record.created_at,
        ended_at=record.ended_at,
        machine_gone_at=record.machine_gone_at,
    )


def event(record: SessionEventRecord) -> schemas.SessionEvent:
    return schemas.SessionEvent(
        seq=record.seq, at=record.at, kind=record.kind, data=dict(record.data)
    )


def credential(record: CredentialRecord) -> schemas.CredentialView:
    return schemas.CredentialView(
        credential_id=record.id,
        provider=record.provider,
        account=record.account,
        plan=record.plan,
        expires_at=record.expires_at,
        version=record.current_version,
        machine_id=record.machine_id,
        created_at=record.created_at,
        verified_at=record.verified_at,
        verified_ok=record.verified_ok,
        status_output=record.status_output,
    )


def receipt(record: ReceiptRecord) -> schemas.ReceiptView:
    # The body was written with the wire's own (snake case) names; the rest are columns.
    body: dict[str, Any] = {
        **record.body,
        "receipt_id": record.id,
        "session_id": record.session_id,
        "credential_id": record.credential_id,
        "created_at": record.created_at,
    }
    return schemas.ReceiptView.model_validate(body, by_name=True)


def machine(
    record: MachineRecord, *, user_name: str | None = None, session_id: str | None = None
) -> schemas.MachineView:
    return schemas.MachineView(
        machine_id=record.id,
        kind=record.kind,
        state=record.state,
        driver=record.driver,
        user_id=record.user_id,
        executor_id=record.executor_id,
        created_at=record.created_at,
        ready_at=record.ready_at,
        destroyed_at=record.destroyed_at,
        detail=record.detail,
        user_name=user_name,
        session_id=session_id,
    )


def user(record: UserRecord) -> schemas.UserView:
    return schemas.UserView(
        user_id=record.id,
        name=record.name,
        role=record.role,
        created_at=record.created_at,
        disabled_at=record.disabled_at,
    )


def api_key(record: ApiKeyRecord) -> schemas.ApiKeyView:
    return schemas.ApiKeyView(
        key_id=record.id,
        label=record.label,
        created_at=record.created_at,
        last_used_at=record.last_used_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )
