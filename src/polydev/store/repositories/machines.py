"""Machines' rows. Every change of a warm machine's owner is a compare-and-swap."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from polydev.domain.ids import new_id
from polydev.domain.machine import MachineKind, MachineState
from polydev.errors import MachineError
from polydev.store.models import CredentialRow, MachineRow, SessionRow, UserRow
from polydev.store.records import MachineRecord

_ALIVE = (MachineState.STARTING.value, MachineState.READY.value)


async def insert(
    tx: AsyncSession,
    *,
    user_id: str | None,
    session_id: str | None,
    executor_id: str,
    kind: MachineKind,
    driver: str,
    incarnation: str,
) -> MachineRecord:
    """A machine about to be booted; ``session_id`` is the session that it is for."""
    row = MachineRow(
        id=new_id("mac"),
        user_id=user_id,
        executor_id=executor_id,
        kind=kind.value,
        driver=driver,
        state=MachineState.STARTING.value,
        incarnation=incarnation,
        created_at=datetime.now(UTC),
    )
    tx.add(row)
    await tx.flush()
    if session_id is not None:
        await _give_to_session(tx, session_id, row.id)
    return MachineRecord.of(row)


async def take_warm(
    tx: AsyncSession, *, executor_id: str, user_id: str, session_id: str
) -> MachineRecord | None:
    """Give the oldest warm machine of this host to a session; None if there is none."""
    for candidate in await list_warm(tx, executor_id=executor_id):
        taken = await tx.execute(
            update(MachineRow)
            .where(
                MachineRow.id == candidate.id,
                MachineRow.incarnation == candidate.incarnation,
                MachineRow.user_id.is_(None),
                MachineRow.state == MachineState.READY.value,
            )
            .values(user_id=user_id)
            .returning(MachineRow)
        )
        row = taken.scalar_one_or_none()
        if row is not None:
            await _give_to_session(tx, session_id, row.id)
            return MachineRecord.of(row)
    return None


async def list_warm(tx: AsyncSession, *, executor_id: str) -> list[MachineRecord]:
    rows = await tx.scalars(
        select(MachineRow)
        .where(
            MachineRow.executor_id == executor_id,
            MachineRow.kind == MachineKind.BROWSER.value,
            MachineRow.user_id.is_(None),
            MachineRow.state == MachineState.READY.value,
        )
        .order_by(MachineRow.ready_at, MachineRow.id)
    )
    return [MachineRecord.of(row) for row in rows]


async def retire_warm(tx: AsyncSession, machine_id: str) -> bool:
    """Take a machine out of the pool; False if a session was quicker."""
    retired = await tx.execute(
        update(MachineRow)
        .where(
            MachineRow.id == machine_id,
            MachineRow.user_id.is_(None),
            MachineRow.state == MachineState.READY.value,
        )
        .values(state=MachineState.FAILED.value)
        .returning(MachineRow.id)
    )
    return retired.scalar_one_or_none() is not None


async def any_get(tx: AsyncSession, machine_id: str) -> MachineRecord | None:
    row = await tx.get(MachineRow, machine_id, populate_existing=True)
    return MachineRecord.of(row) if row else None


async def get(tx: AsyncSession, user_id: str, machine_id: str) -> MachineRecord | None:
    record = await any_get(tx, machine_id)
    return record if record is not None and record.user_id == user_id else None


async def list_of(tx: AsyncSession, user_id: str) -> list[MachineRecord]:
    """The person's machines that still exist."""
    return await _list(tx, MachineRow.user_id == user_id)


async def any_list(tx: AsyncSession) -> list[MachineRecord]:
    """All machines that still exist, on every host."""
    return await _list(tx)


async def any_gone(tx: AsyncSession, *, limit: int) -> list[MachineRecord]:
    """The machines destroyed last, on every host: their console logs are kept."""
    rows = await tx.scalars(
        select(MachineRow)
        .where(MachineRow.state == MachineState.DESTROYED.value)
        .order_by(MachineRow.destroyed_at.desc(), MachineRow.id)
        .limit(limit)
    )
    return [MachineRecord.of(row) for row in rows]


async def used_by(
    tx: AsyncSession, records: Iterable[MachineRecord]
) -> dict[str, tuple[str | None, str | None]]:
    """Machine id -> (its person's name, the sign-in that it was the browser machine of)."""
    found = await tx.execute(
        select(MachineRow.id, UserRow.name, SessionRow.id)
        .outerjoin(UserRow, UserRow.id == MachineRow.user_id)
        .outerjoin(SessionRow, SessionRow.machine_id == MachineRow.id)
        .where(MachineRow.id.in_([record.id for record in records]))
    )
    return {machine: (name, session) for machine, name, session in found}


async def list_of_executor(tx: AsyncSession, executor_id: str) -> list[MachineRecord]:
    return await _list(tx, MachineRow.executor_id == executor_id)


async def _list(tx: AsyncSession, *conditions: Any) -> list[MachineRecord]:
    rows = await tx.scalars(
        select(MachineRow)
        .where(MachineRow.state != MachineState.DESTROYED.value, *conditions)
        .order_by(MachineRow.created_at, MachineRow.id)
    )
    return [MachineRecord.of(row) for row in rows]


async def count_alive(tx: AsyncSession, executor_id: str, *, besides: str | None = None) -> int:
    """Machines of this host that run or are about to, not counting ``besides``."""
    query = select(func.count()).select_from(MachineRow)
    query = query.where(MachineRow.executor_id == executor_id, MachineRow.state.in_(_ALIVE))
    if besides is not None:
        query = query.where(MachineRow.id != besides)
    return int(await tx.scalar(query) or 0)


async def places_to_come(
    tx: AsyncSession, executor_id: str, *, given_back: bool = False, besides: str | None = None
) -> int:
    """How many CLI machines the live sign-ins of this host will yet start: one for each person
    who has none running. A sign-in without a machine may become any host's.

    ``given_back``: only for sign-ins whose browser machine has made room for it. ``besides``: not
    counting this person's.
    """
    machine, cli = aliased(MachineRow), aliased(MachineRow)
    query = (
        select(func.count(SessionRow.user_id.distinct()))
        .outerjoin(machine, machine.id == SessionRow.machine_id)
        .outerjoin(
            cli,
            (cli.user_id == SessionRow.user_id)
            & (cli.kind == MachineKind.CLI.value)
            & cli.state.in_(_ALIVE),
        )
        .where(
            SessionRow.ended_at.is_(None),
            cli.id.is_(None),
            machine.id.is_(None) | (machine.executor_id == executor_id),
        )
    )
    if given_back:
        query = query.where(SessionRow.machine_gone_at.is_not(None))
    if besides is not None:
        query = query.where(SessionRow.user_id != besides)
    return int(await tx.scalar(query) or 0)


async def move_to_executor(
    tx: AsyncSession, executor_id: str, machine_ids: Iterable[str]
) -> list[str]:
    """Machines that lie on this host but say otherwise; returns the ids of those moved."""
    moved = await tx.scalars(
        update(MachineRow)
        .where(
            MachineRow.id.in_(list(machine_ids)),
            MachineRow.executor_id != executor_id,
            MachineRow.state != MachineState.DESTROYED.value,
        )
        .values(executor_id=executor_id)
        .returning(MachineRow.id)
    )
    return sorted(moved)


async def cli_machine_of(tx: AsyncSession, user_id: str) -> MachineRecord | None:
    row = await tx.scalar(
        select(MachineRow).where(
            MachineRow.user_id == user_id,
            MachineRow.kind == MachineKind.CLI.value,
            MachineRow.state != MachineState.DESTROYED.value,
        )
    )
    return MachineRecord.of(row) if row else None


async def live_session_of(tx: AsyncSession, machine_id: str) -> str | None:
    """The session, not yet ended, that this browser machine is for."""
    return await tx.scalar(
        select(SessionRow.id).where(
            SessionRow.machine_id == machine_id, SessionRow.ended_at.is_(None)
        )
    )


async def mark_starting(tx: AsyncSession, machine_id: str, *, incarnation: str) -> MachineRecord:
    return await _change(
        tx,
        machine_id,
        state=MachineState.STARTING.value,
        incarnation=incarnation,
        driver_state=None,
        ready_at=None,
        detail=None,
    )


async def set_driver_state(
    tx: AsyncSession, machine_id: str, incarnation: str | None, driver_state: dict[str, str | int]
) -> MachineRecord:
    return await _change(tx, machine_id, incarnation, driver_state=driver_state)


async def mark_ready(tx: AsyncSession, machine_id: str, incarnation: str | None) -> MachineRecord:
    return await _change(
        tx,
        machine_id,
        incarnation,
        state=MachineState.READY.value,
        ready_at=datetime.now(UTC),
        detail=None,
    )


async def mark_stopped(
    tx: AsyncSession, machine_id: str, incarnation: str | None, *, detail: str | None
) -> MachineRecord:
    """The end of one incarnation; a later one is left as it is, and returned."""
    current = await any_get(tx, machine_id)
    if current is not None and current.incarnation != incarnation:
        return current
    return await _change(
        tx,
        machine_id,
        incarnation,
        state=MachineState.STOPPED.value,
        driver_state=None,
        detail=detail,
    )


async def mark_destroyed(tx: AsyncSession, machine_id: str, *, detail: str) -> MachineRecord:
    """Also: no credential is held by it any more."""
    await tx.execute(
        update(CredentialRow).where(CredentialRow.machine_id == machine_id).values(machine_id=None)
    )
    return await _change(
        tx,
        machine_id,
        state=MachineState.DESTROYED.value,
        driver_state=None,
        destroyed_at=datetime.now(UTC),
        detail=detail,
    )


async def _change(
    tx: AsyncSession, machine_id: str, meant: str | None = None, **values: Any
) -> MachineRecord:
    """Change a machine that still exists; ``meant``: only this incarnation of it."""
    query = update(MachineRow).where(
        MachineRow.id == machine_id, MachineRow.state != MachineState.DESTROYED.value
    )
    if meant is not None:
        query = query.where(MachineRow.incarnation == meant)
    changed = await tx.execute(
        query.values(**values).returning(MachineRow).execution_options(populate_existing=True)
    )
    row = changed.scalar_one_or_none()
    if row is None:
        raise MachineError(f"Machine {machine_id} has been destroyed or started anew meanwhile.")
    return MachineRecord.of(row)


async def _give_to_session(tx: AsyncSession, session_id: str, machine_id: str) -> None:
    await tx.execute(
        update(SessionRow).where(SessionRow.id == session_id).values(machine_id=machine_id)
    )
