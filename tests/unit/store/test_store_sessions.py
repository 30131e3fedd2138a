"""Sessions: one live one per person and provider, states by the table, a timeline without gaps."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from polydev.domain.machine import MachineKind
from polydev.domain.session import TRANSITIONS, Reason, SessionState, TransitionRefused
from polydev.errors import Conflict, NotFound
from polydev.store.database import Database
from polydev.store.records import SessionRecord
from polydev.store.repositories import machines, sessions, users
from tests.races import until_done_or_waiting

S = SessionState
_ON_THE_WAY = [S.PROVISIONING, S.STARTING_LOGIN, S.AWAITING_USER, S.CAPTURING, S.DELIVERING]


async def person(db: Database, name: str = "ada") -> str:
    async with db.transaction() as tx:
        return (await users.create(tx, name, "member")).id


async def begin(
    db: Database, user_id: str, provider: str = "codex", key: str | None = None
) -> tuple[SessionRecord, bool]:
    async with db.transaction() as tx:
        return await sessions.start(tx, user_id=user_id, provider=provider, idempotency_key=key)


async def move(
    db: Database, session_id: str, state: SessionState, reason: Reason | None = None
) -> SessionRecord:
    async with db.transaction() as tx:
        return await sessions.transition(tx, session_id, state, reason=reason)


async def test_fifty_starts_at_once_make_one_live_session(db: Database) -> None:
    ada = await person(db)
    answers = await asyncio.gather(*(begin(db, ada) for _ in range(50)))
    assert len({record.id for record, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    async with db.reading() as tx:
        assert len(await sessions.events(tx, ada, answers[0][0].id)) == 1


async def test_people_and_providers_do_not_share_a_session(db: Database) -> None:
    ada, bob = await person(db), await person(db, "bob")
    starts = [(ada, "codex"), (bob, "codex"), (ada, "gemini_cli")]
    answers = [await begin(db, user, provider) for user, provider in starts]
    assert all(created for _, created in answers)


async def test_a_session_that_ended_makes_room_for_the_next(db: Database) -> None:
    ada = await person(db)
    first, _ = await begin(db, ada)
    await move(db, first.id, S.CANCELLED, Reason.CANCELLED_BY_USER)
    second, created = await begin(db, ada)
    assert created
    assert second.id != first.id


async def test_an_idempotency_key_is_answered_with_the_same_session_even_after_it_ended(
    db: Database,
) -> None:
    ada = await person(db)
    first, _ = await begin(db, ada, key="k1")
    await move(db, first.id, S.FAILED, Reason.NO_ROOM)
    again, created = await begin(db, ada, key="k1")
    assert (again.id, created) == (first.id, False)


async def test_a_key_that_joined_anothers_session_keeps_that_answer(db: Database) -> None:
    ada = await person(db)
    first, _ = await begin(db, ada, key="k1")
    joined, _ = await begin(db, ada, key="k2")
    await move(db, first.id, S.CANCELLED, Reason.CANCELLED_BY_USER)
    retried, created = await begin(db, ada, key="k2")
    assert (joined.id, retried.id, created) == (first.id, first.id, False)


async def test_two_people_may_choose_the_same_idempotency_key(db: Database) -> None:
    ada, bob = await person(db), await person(db, "bob")
    assert (await begin(db, ada, key="k"))[0].id != (await begin(db, bob, key="k"))[0].id


async def test_an_idempotency_key_cannot_change_its_provider(db: Database) -> None:
    ada = await person(db)
    await begin(db, ada, key="k")
    with pytest.raises(Conflict):
        await begin(db, ada, "gemini_cli", key="k")


async def test_the_same_idempotency_key_twice_at_once_is_one_session(
    db: Database, request: pytest.FixtureRequest
) -> None:
    ada = await person(db)
    async with db.transaction() as tx:
        first, _ = await sessions.start(tx, user_id=ada, provider="codex", idempotency_key="k")
        second = asyncio.create_task(begin(db, ada, key="k"))
        if not db.sqlite:
            await until_done_or_waiting(db, second)
    again, created = await second
    assert (again.id, created) == (first.id, False)


@pytest.mark.parametrize("old", list(S))
@pytest.mark.parametrize("new", list(S))
async def test_every_change_of_state_is_the_tables_to_allow(
    sqlite_db: Database, old: SessionState, new: SessionState
) -> None:
    ada = await person(sqlite_db)
    session, _ = await begin(sqlite_db, ada)
    for state in path_to(old):
        await move(sqlite_db, session.id, state, Reason.SERVER_ERROR)
    if new in TRANSITIONS[old]:
        moved = await move(sqlite_db, session.id, new, Reason.SERVER_ERROR)
        assert moved.state is new
        assert (moved.ended_at is not None) is new.terminal
    else:
        with pytest.raises(TransitionRefused):
            await move(sqlite_db, session.id, new, Reason.SERVER_ERROR)
        async with sqlite_db.reading() as tx:
            kept = await sessions.any_get(tx, session.id)
        assert kept is not None
        assert kept.state is old


def path_to(state: SessionState) -> list[SessionState]:
    chain = [*_ON_THE_WAY, S.VERIFYING, S.COMPLETED]
    if state is S.PENDING:
        return []
    return chain[: chain.index(state) + 1] if state in chain else [state]


async def test_of_two_ends_at_once_one_wins_and_is_told_once(db: Database) -> None:
    ada = await person(db)
    session, _ = await begin(db, ada)
    outcomes = await asyncio.gather(
        move(db, session.id, S.CANCELLED, Reason.CANCELLED_BY_USER),
        move(db, session.id, S.FAILED, Reason.MACHINE_DIED),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, SessionRecord) for outcome in outcomes) == 1
    async with db.reading() as tx:
        told = [event.data["state"] for event in await sessions.events(tx, ada, session.id)]
    assert len(told) == 2


async def test_a_rolled_back_change_leaves_no_event(db: Database) -> None:
    ada = await person(db)
    session, _ = await begin(db, ada)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await sessions.transition(tx, session.id, S.PROVISIONING)
            raise ZeroDivisionError
    async with db.reading() as tx:
        assert len(await sessions.events(tx, ada, session.id)) == 1


async def test_anothers_session_is_not_there_on_any_way_in(db: Database) -> None:
    ada, eve = await person(db), await person(db, "eve")
    session, _ = await begin(db, ada)
    async with db.transaction() as tx:
        assert await sessions.get(tx, eve, session.id) is None
        assert await sessions.list_of(tx, eve) == []
        assert await sessions.live_of_provider(tx, eve, "codex") is None
        for refused in (
            sessions.events(tx, eve, session.id),
            sessions.request_cancel(tx, eve, session.id),
            sessions.viewer_seen(tx, eve, session.id),
            sessions.list_of(tx, eve, after=session.id),
        ):
            with pytest.raises(NotFound):
                await refused
        kept = await sessions.any_get(tx, session.id)
    assert kept == session


async def test_cancel_is_asked_once_and_remembered(db: Database) -> None:
    ada = await person(db)
    session, _ = await begin(db, ada)
    async with db.transaction() as tx:
        first = await sessions.request_cancel(tx, ada, session.id)
        second = await sessions.request_cancel(tx, ada, session.id)
    assert first.cancel_requested_at is not None
    assert second.cancel_requested_at == first.cancel_requested_at


async def test_pages_meet_every_session_once_newest_first(db: Database) -> None:
    ada = await person(db)
    made = [(await begin(db, ada, f"tool{number}"))[0].id for number in range(7)]
    seen: list[str] = []
    async with db.reading() as tx:
        while page := await sessions.list_of(tx, ada, limit=3, after=seen[-1] if seen else None):
            seen += [record.id for record in page]
    assert seen == made[::-1]


async def test_events_come_in_order_and_after_the_one_named(db: Database) -> None:
    ada = await person(db)
    session, _ = await begin(db, ada)
    for state in _ON_THE_WAY:
        await move(db, session.id, state)
    async with db.reading() as tx:
        events = await sessions.events(tx, ada, session.id)
        rest = await sessions.events(tx, ada, session.id, after=events[2].seq)
    assert [event.data["state"] for event in events] == [S.PENDING, *_ON_THE_WAY]
    assert rest == events[3:]


async def test_a_watcher_misses_no_event_when_a_slower_writer_commits_last(
    db: Database, request: pytest.FixtureRequest
) -> None:
    """A sequence number is given at the insert, but is seen at the commit."""
    if db.sqlite:
        pytest.skip("SQLite has one writer at a time")
    ada = await person(db)
    session, _ = await begin(db, ada)
    async with AsyncExitStack() as slow:
        tx = await slow.enter_async_context(db.transaction())
        await sessions.add_event(tx, session.id, "slow", {})
        quick = asyncio.create_task(_tell(db, session.id, "quick"))
        await until_done_or_waiting(db, quick)
        async with db.reading() as reader:
            seen = await sessions.events(reader, ada, session.id)
    await quick
    async with db.reading() as reader:
        later = await sessions.events(reader, ada, session.id, after=seen[-1].seq)
    assert {event.kind for event in (*seen, *later)} == {"state", "slow", "quick"}


async def _tell(db: Database, session_id: str, kind: str) -> None:
    async with db.transaction() as tx:
        await sessions.add_event(tx, session_id, kind, {})


async def test_an_ended_session_is_unfinished_until_its_machine_is_gone(db: Database) -> None:
    user = await person(db)
    async with db.transaction() as tx:
        made, _ = await sessions.start(tx, user_id=user, provider="codex", idempotency_key=None)
        machine = await machines.insert(
            tx,
            user_id=user,
            session_id=made.id,
            executor_id="host1",
            kind=MachineKind.BROWSER,
            driver="sandbox",
            incarnation="inc_1",
        )
        await sessions.transition(tx, made.id, SessionState.CANCELLED)
        never, _ = await sessions.start(tx, user_id=user, provider="acme", idempotency_key=None)
        await sessions.transition(tx, never.id, SessionState.CANCELLED)
        live, _ = await sessions.start(tx, user_id=user, provider="codex", idempotency_key=None)
        assert [one.id for one in await sessions.any_unfinished(tx)] == [made.id, live.id]
        await machines.mark_destroyed(tx, machine.id, detail="by a test")
        await sessions.set_machine_gone(tx, made.id)
        assert [one.id for one in await sessions.any_unfinished(tx)] == [live.id]
