"""Machines: a warm one is given once, another person's is not there, the dead stay dead."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.machine import MachineKind, MachineState
from polydev.domain.session import SessionState
from polydev.errors import MachineError
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines, sessions, users

HOST = "host1"


async def person(db: Database, name: str = "ada") -> str:
    async with db.transaction() as tx:
        return (await users.create(tx, name, "member")).id


async def session(db: Database, user_id: str) -> str:
    async with db.transaction() as tx:
        made, _ = await sessions.start(tx, user_id=user_id, provider="codex", idempotency_key=None)
    return made.id


async def machine(
    db: Database,
    user_id: str | None = None,
    kind: MachineKind = MachineKind.BROWSER,
    host: str = HOST,
    ready: bool = True,
) -> MachineRecord:
    async with db.transaction() as tx:
        made = await machines.insert(
            tx,
            user_id=user_id,
            session_id=None,
            executor_id=host,
            kind=kind,
            driver="sandbox",
            incarnation="inc_1",
        )
        return await machines.mark_ready(tx, made.id, made.incarnation) if ready else made


async def take(db: Database, user_id: str, session_id: str) -> MachineRecord | None:
    async with db.transaction() as tx:
        return await machines.take_warm(
            tx, executor_id=HOST, user_id=user_id, session_id=session_id
        )


async def test_each_warm_machine_is_given_to_one_session_only(db: Database) -> None:
    people = [await person(db, f"person{number}") for number in range(6)]
    wanted = [(user, await session(db, user)) for user in people]
    for _ in range(4):
        await machine(db)
    taken = await asyncio.gather(*(take(db, user, ses) for user, ses in wanted))
    given = [made for made in taken if made is not None]
    assert len({made.id for made in given}) == len(given) == 4
    async with db.reading() as tx:
        for (user, ses), made in zip(wanted, taken, strict=True):
            record = await sessions.get(tx, user, ses)
            assert record is not None
            assert record.machine_id == (made.id if made else None)
            assert made is None or made.user_id == user


@pytest.mark.parametrize("why", ["starting", "elsewhere", "cli", "owned"])
async def test_what_is_not_warm_here_is_not_given(db: Database, why: str) -> None:
    ada, bob = await person(db), await person(db, "bob")
    await machine(
        db,
        bob if why in {"cli", "owned"} else None,
        MachineKind.CLI if why == "cli" else MachineKind.BROWSER,
        "host2" if why == "elsewhere" else HOST,
        ready=why != "starting",
    )
    assert await take(db, ada, await session(db, ada)) is None


async def test_a_machine_is_retired_or_taken_but_never_both(db: Database) -> None:
    ada = await person(db)
    ses, warm = await session(db, ada), await machine(db)

    async def retire() -> bool:
        async with db.transaction() as tx:
            return await machines.retire_warm(tx, warm.id)

    taken, retired = await asyncio.gather(take(db, ada, ses), retire())
    assert (taken is not None) is not retired


async def test_another_persons_machine_is_not_there(db: Database) -> None:
    ada, eve = await person(db), await person(db, "eve")
    mine, warm = await machine(db, ada, MachineKind.CLI), await machine(db)
    async with db.reading() as tx:
        assert await machines.get(tx, eve, mine.id) is None
        assert await machines.get(tx, eve, warm.id) is None
        assert await machines.list_of(tx, eve) == []
        assert await machines.cli_machine_of(tx, eve) is None
        assert [found.id for found in await machines.list_of(tx, ada)] == [mine.id]


async def test_a_person_has_one_cli_machine_until_it_is_destroyed(db: Database) -> None:
    ada = await person(db)
    first = await machine(db, ada, MachineKind.CLI)
    with pytest.raises(IntegrityError):
        await machine(db, ada, MachineKind.CLI)
    async with db.transaction() as tx:
        await machines.mark_destroyed(tx, first.id, detail="for the test")
    assert (await machine(db, ada, MachineKind.CLI)).id != first.id


async def test_a_destroyed_machine_stays_destroyed(db: Database) -> None:
    made = await machine(db)
    async with db.transaction() as tx:
        await machines.mark_destroyed(tx, made.id, detail="for the test")

    async def told(tx: AsyncSession, machine_id: str, incarnation: str | None) -> object:
        return await machines.set_driver_state(tx, machine_id, incarnation, {"pid": 1})

    for late in (machines.mark_ready, told):
        with pytest.raises(MachineError):
            async with db.transaction() as tx:
                await late(tx, made.id, made.incarnation)
    async with db.reading() as tx:
        found = await machines.any_get(tx, made.id)
    assert found is not None
    assert found.state is MachineState.DESTROYED
    assert found.driver_state is None


async def test_the_living_are_counted_by_host(db: Database) -> None:
    await machine(db)
    await machine(db, ready=False)
    await machine(db, host="host2")
    gone = await machine(db)
    async with db.transaction() as tx:
        await machines.mark_destroyed(tx, gone.id, detail="for the test")
        assert await machines.count_alive(tx, HOST) == 2
        assert len(await machines.list_of_executor(tx, HOST)) == 2
        assert len(await machines.any_list(tx)) == 3


async def test_a_late_stop_of_an_old_incarnation_leaves_the_new_one_alone(db: Database) -> None:
    """What the supervisor of the first boot says late must not stop the second one's row."""
    ada = await person(db)
    made = await machine(db, ada, MachineKind.CLI)
    async with db.transaction() as tx:
        await machines.mark_starting(tx, made.id, incarnation="inc_2")
        await machines.mark_ready(tx, made.id, "inc_2")
        await machines.mark_stopped(tx, made.id, made.incarnation, detail="inc_1 ended")
        found = await machines.any_get(tx, made.id)
    assert found is not None
    assert found.state is MachineState.READY


async def test_live_sign_ins_need_a_place_for_each_person_without_a_cli_machine(
    db: Database,
) -> None:
    ada, bob, eve = [await person(db, name) for name in ("ada", "bob", "eve")]
    for user in (ada, bob, eve):
        await session(db, user)
    async with db.transaction() as tx:  # a second tool of the same person needs no second place
        await sessions.start(tx, user_id=ada, provider="acme", idempotency_key=None)
        over, _ = await sessions.start(tx, user_id=eve, provider="codex", idempotency_key=None)
        await sessions.transition(tx, over.id, SessionState.CANCELLED)
    await machine(db, bob, MachineKind.CLI)
    async with db.reading() as tx:
        assert await machines.places_to_come(tx, HOST) == 1


async def test_a_sign_in_on_another_host_needs_no_place_here(db: Database) -> None:
    ada = await person(db)
    session_id = await session(db, ada)
    async with db.transaction() as tx:
        await machines.insert(
            tx,
            user_id=ada,
            session_id=session_id,
            executor_id="elsewhere",
            kind=MachineKind.BROWSER,
            driver="sandbox",
            incarnation="inc_1",
        )
    async with db.reading() as tx:
        assert await machines.places_to_come(tx, HOST) == 0
        assert await machines.places_to_come(tx, "elsewhere") == 1


async def test_machines_are_moved_to_the_executor_that_they_lie_with(db: Database) -> None:
    ours, theirs = await machine(db), await machine(db, host="former")
    gone = await machine(db, host="former")
    async with db.transaction() as tx:
        await machines.mark_destroyed(tx, gone.id, detail="by a test")
        named = [ours.id, theirs.id, gone.id, "mac_unknown"]
        assert await machines.move_to_executor(tx, HOST, named) == [theirs.id]
        assert {record.id for record in await machines.list_of_executor(tx, HOST)} == {
            ours.id,
            theirs.id,
        }


async def test_the_machine_that_is_started_again_does_not_take_its_own_place(
    db: Database,
) -> None:
    one = await machine(db)
    await machine(db)
    async with db.reading() as tx:
        assert await machines.count_alive(tx, HOST) == 2
        assert await machines.count_alive(tx, HOST, besides=one.id) == 1
