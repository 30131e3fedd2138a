"""Sign-in sessions and their timelines. The one place that writes a session's state."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.credential import Identity
from polydev.domain.ids import new_id
from polydev.domain.session import Reason, SessionState, check_transition
from polydev.errors import Conflict, NotFound, PolydevError
from polydev.store.models import SessionEventRow, SessionRow, StartKeyRow
from polydev.store.records import SessionEventRecord, SessionRecord


async def start(
    tx: AsyncSession, *, user_id: str, provider: str, idempotency_key: str | None
) -> tuple[SessionRecord, bool]:
    """A new session (True), or the one that is meant (False).

    The same Idempotency-Key gives the first session again, even an ended one; without it, a live
    session of this person and provider is given again. Two starts at once meet at the unique
    indexes: one inserts, the other finds.
    """
    if idempotency_key is not None:
        answered = await tx.get(StartKeyRow, (user_id, idempotency_key))
        if answered is not None:
            if answered.provider != provider:
                raise Conflict(
                    "This Idempotency-Key was used before, for another provider. Use a new one."
                )
            record = await any_get(tx, answered.session_id)
            if record is not None:
                return record, False
    row, created = await _live_or_new(tx, user_id, provider)
    if idempotency_key is not None:
        key = StartKeyRow(
            user_id=user_id,
            key=idempotency_key,
            provider=provider,
            session_id=row.id,
            created_at=datetime.now(UTC),
        )
        try:
            async with tx.begin_nested():
                tx.add(key)
        except IntegrityError:
            # The same key at the same moment: the other start was first, and its answer counts.
            answered = await tx.get(StartKeyRow, (user_id, idempotency_key), populate_existing=True)
            if created or answered is None or answered.provider != provider:
                raise Conflict("This Idempotency-Key is being used right now. Try again.") from None
            return await any_get(tx, answered.session_id) or SessionRecord.of(row), False
    return SessionRecord.of(row), created


async def _live_or_new(tx: AsyncSession, user_id: str, provider: str) -> tuple[SessionRow, bool]:
    row = await _live(tx, user_id, provider)
    if row is not None:
        return row, False
    row = SessionRow(
        id=new_id("ses"),
        user_id=user_id,
        provider=provider,
        state=SessionState.PENDING.value,
        created_at=datetime.now(UTC),
    )
    try:
        async with tx.begin_nested():
            tx.add(row)
    except IntegrityError:
        first = await _live(tx, user_id, provider)
        if first is None:
            raise
        return first, False
    await add_event(tx, row.id, "state", {"state": row.state})
    return row, True


async def _live(tx: AsyncSession, user_id: str, provider: str) -> SessionRow | None:
    return await tx.scalar(
        select(SessionRow).where(
            SessionRow.user_id == user_id,
            SessionRow.provider == provider,
            SessionRow.ended_at.is_(None),
        )
    )


async def get(tx: AsyncSession, user_id: str, session_id: str) -> SessionRecord | None:
    record = await any_get(tx, session_id)
    return record if record is not None and record.user_id == user_id else None


async def any_get(tx: AsyncSession, session_id: str) -> SessionRecord | None:
    row = await tx.get(SessionRow, session_id, populate_existing=True)
    return SessionRecord.of(row) if row else None


async def any_unfinished(tx: AsyncSession) -> list[SessionRecord]:
    """All that have not ended, and those whose machine has not yet been written down as gone."""
    rows = await tx.scalars(
        select(SessionRow)
        .where(
            SessionRow.ended_at.is_(None)
            | (SessionRow.machine_id.is_not(None) & SessionRow.machine_gone_at.is_(None))
        )
        .order_by(SessionRow.created_at)
    )
    return [SessionRecord.of(row) for row in rows]


async def list_of(
    tx: AsyncSession,
    user_id: str,
    *,
    provider: str | None = None,
    state: SessionState | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[SessionRecord]:
    """Newest first; ``after`` is the id of the last one seen."""
    query = select(SessionRow).where(SessionRow.user_id == user_id)
    if provider is not None:
        query = query.where(SessionRow.provider == provider)
    if state is not None:
        query = query.where(SessionRow.state == state.value)
    if after is not None:
        last = await get(tx, user_id, after)
        if last is None:
            raise NotFound(f"There is no session {after}.")
        query = query.where(
            (SessionRow.created_at < last.created_at)
            | ((SessionRow.created_at == last.created_at) & (SessionRow.id < last.id))
        )
    query = query.order_by(SessionRow.created_at.desc(), SessionRow.id.desc()).limit(limit)
    return [SessionRecord.of(row) for row in await tx.scalars(query)]


async def live_of_provider(tx: AsyncSession, user_id: str, provider: str) -> SessionRecord | None:
    row = await _live(tx, user_id, provider)
    return SessionRecord.of(row) if row else None


async def transition(
    tx: AsyncSession,
    session_id: str,
    state: SessionState,
    *,
    reason: Reason | None = None,
    detail: str | None = None,
) -> SessionRecord:
    """Change the state, with its event in the same transaction.

    Raises:
        TransitionRefused: the table of `polydev.domain.session` does not allow it.
        PolydevError: somebody else changed it meanwhile.
    """
    record = await any_get(tx, session_id)
    if record is None:
        raise PolydevError(f"There is no session {session_id}.")
    check_transition(record.state, state)
    values: dict[str, Any] = {"state": state.value}
    if state.terminal:
        values |= {
            "ended_at": datetime.now(UTC),
            "reason": reason.value if reason else None,
            "detail": detail,
        }
    changed = await tx.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.state == record.state.value)
        .values(**values)
        .returning(SessionRow)
        .execution_options(populate_existing=True)
    )
    row = changed.scalar_one_or_none()
    if row is None:
        raise PolydevError(f"Session {session_id} changed under our hands.")
    data: dict[str, Any] = {"state": state.value}
    if reason is not None:
        data["reason"] = reason.value
    await add_event(tx, session_id, "state", data)
    return SessionRecord.of(row)


async def request_cancel(tx: AsyncSession, user_id: str, session_id: str) -> SessionRecord:
    record = await get(tx, user_id, session_id)
    if record is None:
        raise NotFound(f"There is no session {session_id}.")
    if record.cancel_requested_at is None:
        return await _set(tx, session_id, cancel_requested_at=datetime.now(UTC))
    return record


async def viewer_seen(tx: AsyncSession, user_id: str, session_id: str) -> None:
    """A live viewer's sign of life. Raises `NotFound` for another person's session."""
    seen = await tx.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.user_id == user_id)
        .values(viewer_seen_at=datetime.now(UTC))
        .returning(SessionRow.id)
    )
    if seen.scalar_one_or_none() is None:
        raise NotFound(f"There is no session {session_id}.")


async def set_credential(
    tx: AsyncSession, session_id: str, credential_id: str, identity: Identity
) -> None:
    await _set(
        tx,
        session_id,
        credential_id=credential_id,
        account=identity.account,
        plan=identity.plan,
    )


async def set_cli_machine(tx: AsyncSession, session_id: str, machine_id: str) -> None:
    await _set(tx, session_id, cli_machine_id=machine_id)


async def set_receipt(tx: AsyncSession, session_id: str, receipt_id: str) -> None:
    await _set(tx, session_id, receipt_id=receipt_id)


async def set_machine_gone(tx: AsyncSession, session_id: str) -> datetime:
    now = datetime.now(UTC)
    await _set(tx, session_id, machine_gone_at=now)
    return now


async def _set(tx: AsyncSession, session_id: str, **values: Any) -> SessionRecord:
    changed = await tx.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id)
        .values(**values)
        .returning(SessionRow)
        .execution_options(populate_existing=True)
    )
    return SessionRecord.of(changed.scalar_one())


# The timeline


async def add_event(tx: AsyncSession, session_id: str, kind: str, data: dict[str, Any]) -> None:
    """Append to the timeline. The session's row is locked first: else, of two writers at once,
    the later number could be seen before the earlier one, and a watcher would skip it."""
    await tx.execute(select(SessionRow.id).where(SessionRow.id == session_id).with_for_update())
    tx.add(SessionEventRow(session_id=session_id, at=datetime.now(UTC), kind=kind, data=data))
    await tx.flush()


async def events(
    tx: AsyncSession, user_id: str, session_id: str, *, after: int = 0, limit: int = 1000
) -> list[SessionEventRecord]:
    if await get(tx, user_id, session_id) is None:
        raise NotFound(f"There is no session {session_id}.")
    rows = await tx.scalars(
        select(SessionEventRow)
        .where(SessionEventRow.session_id == session_id, SessionEventRow.seq > after)
        .order_by(SessionEventRow.seq)
        .limit(limit)
    )
    return [SessionEventRecord.of(row) for row in rows]


async def count_events(tx: AsyncSession, session_id: str) -> int:
    query = select(func.count()).select_from(SessionEventRow)
    return int(await tx.scalar(query.where(SessionEventRow.session_id == session_id)) or 0)


async def last_agent_seq(tx: AsyncSession, session_id: str) -> int:
    """The newest of the agent's own sequence numbers in the timeline; 0 if there is none."""
    rows = await tx.scalars(
        select(SessionEventRow.data).where(SessionEventRow.session_id == session_id)
    )
    return max((int(data.get("agentSeq", 0)) for data in rows), default=0)


async def last_event(tx: AsyncSession, session_id: str, kind: str) -> SessionEventRecord | None:
    """The newest entry of a kind."""
    row = await tx.scalar(
        select(SessionEventRow)
        .where(SessionEventRow.session_id == session_id, SessionEventRow.kind == kind)
        .order_by(SessionEventRow.seq.desc())
        .limit(1)
    )
    return SessionEventRecord.of(row) if row else None


async def entered_at(tx: AsyncSession, session_id: str, state: SessionState) -> datetime:
    """When the session went into a state that it has been in."""
    rows = await tx.scalars(
        select(SessionEventRow)
        .where(SessionEventRow.session_id == session_id, SessionEventRow.kind == "state")
        .order_by(SessionEventRow.seq.desc())
    )
    for row in rows:
        if row.data.get("state") == state.value:
            return row.at
    raise PolydevError(f"Session {session_id} was never {state.value}.")


async def count_by_state(tx: AsyncSession) -> dict[tuple[str, str], int]:
    """(state, reason or "") -> number of sessions, for the metrics."""
    rows = await tx.execute(
        select(SessionRow.state, SessionRow.reason, func.count()).group_by(
            SessionRow.state, SessionRow.reason
        )
    )
    return {(state, reason or ""): count for state, reason, count in rows}
