"""Places for machines: the pool's give way to those that a person waits for."""

import asyncio
from typing import Any

import pytest

from polydev.domain.machine import MachineKind
from polydev.domain.session import Reason, SessionState
from polydev.errors import TooMany
from polydev.store.records import MachineRecord
from polydev.store.repositories import receipts
from tests.session_world import MakeWorld, World


def machines(places: int, pool: int = 0) -> dict[str, Any]:
    return {"machines": {"max_machines": places, "pool_size": pool}}


async def warm_count(world: World) -> int:
    return len(await world.server.machines.warm_machines())


async def test_a_sign_in_completes_on_a_host_with_two_places_and_a_pool(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(2, pool=1))
    await world.host.hangs.reached("ready browser")
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.COMPLETED, None)


async def test_the_pool_leaves_a_place_for_the_cli_machine_of_each_live_sign_in(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(3))
    world.host.auto = False
    session_id = await world.start()
    await world.until(session_id, SessionState.AWAITING_USER)
    await world.server.machines.make_warm()
    with pytest.raises(TooMany):
        await world.server.machines.make_warm()
    assert await warm_count(world) == 1


async def test_a_person_who_has_a_cli_machine_needs_no_second_place(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(3))
    await world.server.machines.cli_machine(world.user_id)
    world.host.auto = False
    session_id = await world.start()
    await world.until(session_id, SessionState.AWAITING_USER)
    await world.server.machines.make_warm()
    assert await warm_count(world) == 1


async def test_a_warm_machine_gives_way_to_a_cli_machine(make_world: MakeWorld) -> None:
    world = await make_world(**machines(1))
    await world.server.machines.make_warm()
    machine = await world.server.machines.cli_machine(world.user_id)
    assert list(world.host.guests) == [machine.id]


async def test_a_warm_machine_gives_way_to_a_hibernated_cli_machine(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(1))
    machine = await world.server.machines.cli_machine(world.user_id)
    await world.server.machines.hibernate(world.user_id, machine.id)
    await world.server.machines.make_warm()
    await world.server.machines.resume(world.user_id, machine.id)
    assert list(world.host.guests) == [machine.id]


async def test_a_warm_machine_that_still_boots_gives_way_once_it_is_up(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(1))
    world.host.hangs.add("start")
    making = asyncio.create_task(world.server.machines.make_warm())
    await world.host.hangs.reached("start")
    waiting = asyncio.create_task(world.server.machines.cli_machine(world.user_id))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done  # it waits for the warm one instead of failing
    world.host.hangs.release("start")
    await making
    machine = await waiting
    assert list(world.host.guests) == [machine.id]


async def test_a_host_that_is_really_full_says_so(make_world: MakeWorld) -> None:
    world = await make_world(**machines(1))
    await world.server.machines.cli_machine(world.user_id)
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.NO_ROOM)
    assert session.detail == "All 1 machines of this host are in use. Try again in a minute."


async def test_the_browser_machines_place_becomes_the_cli_machines(make_world: MakeWorld) -> None:
    world = await make_world(**machines(1))
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.COMPLETED, None)
    assert world.host.of(MachineKind.BROWSER) == []
    assert len(world.host.of(MachineKind.CLI)) == 1
    async with world.server.db.reading() as tx:
        (receipt,) = await receipts.list_of(tx, world.user_id)
    assert session.machine_id is not None
    browser = await world.server.machines.get(session.machine_id)
    assert browser.detail == "its place was needed"
    assert session.machine_gone_at is not None
    assert receipt.body["machine_gone_at"] == session.machine_gone_at.isoformat()


async def test_two_people_who_start_at_once_on_two_places_are_both_signed_in(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**machines(2))
    world.host.hangs.add("capture")
    started = [await world.start(), await world.start(await world.person("bob"))]
    for session_id in started:
        await world.until(session_id, SessionState.CAPTURING)
    world.host.hangs.release("capture")
    ended = [await world.over(session_id) for session_id in started]
    assert [session.state for session in ended] == [SessionState.COMPLETED] * 2


async def test_a_place_that_another_took_meanwhile_leaves_the_credential_stored(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(**machines(1))
    with monkeypatch.context() as full:

        async def no_place(*_: object) -> None:
            raise TooMany("All machines are in use.", retry_after_s=60)

        full.setattr(world.server.machines, "cli_machine", no_place)
        session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.CLI_MACHINE_FAILED)
    assert "The credential is stored" in (session.detail or "")
    assert session.credential_id is not None
    await world.server.credentials.deliver(world.user_id, session.credential_id)
    assert len(world.host.of(MachineKind.CLI)) == 1


async def test_a_place_given_back_for_one_persons_cli_machine_is_nobody_elses(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sign-ins reach a full host's delivery, and one asks for a place just when the other has
    given its browser machine's back."""
    world = await make_world(**machines(2))
    bob = await world.person("bob")
    world.host.hangs.add("capture")
    started = [await world.start(), await world.start(bob)]
    given_back, bob_has_asked = asyncio.Event(), asyncio.Event()
    give_back = world.server.journey.ending.give_back
    cli_machine = world.server.machines.cli_machine

    async def give_back_and_wait(session_id: str, why: str) -> None:
        await give_back(session_id, why)
        if session_id == started[0]:
            given_back.set()
            await bob_has_asked.wait()

    async def ask_later(user_id: str) -> MachineRecord:
        if user_id != bob:
            return await cli_machine(user_id)
        await given_back.wait()
        try:
            return await cli_machine(user_id)
        finally:
            bob_has_asked.set()

    monkeypatch.setattr(world.server.journey.ending, "give_back", give_back_and_wait)
    monkeypatch.setattr(world.server.machines, "cli_machine", ask_later)
    for session_id in started:
        await world.until(session_id, SessionState.CAPTURING)
    world.host.hangs.release("capture")
    ended = [await world.over(session_id) for session_id in started]
    assert [session.state for session in ended] == [SessionState.COMPLETED] * 2
