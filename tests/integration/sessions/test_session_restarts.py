"""What becomes of a sign-in when its server is killed: before and after the effect of each step."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS

from polydev.domain.ids import new_id
from polydev.domain.machine import Limits, MachineKind, MachineSpec, MachineState
from polydev.domain.secret import Secret
from polydev.domain.session import Reason, SessionState
from polydev.sessions import workflow
from polydev.sessions.steps import STEPS
from polydev.store.repositories import credentials, machines, receipts, sessions
from tests.fake_machines import TOKEN_FILE, token_file
from tests.session_world import PATIENCE_S, PROVIDER, MakeWorld, World

AT_ONCE_S = 30.0
"""Half of the shortest time after which a step that was told nothing would end by itself."""
OUTDATED = "Polydev was updated during the sign-in. Start again."


class Halt:
    """Stops the workflow before or after the body of one step, as a kill there would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, when: str) -> None:
        self._here = asyncio.Event()
        self._monkeypatch = monkeypatch
        steps = []
        for step in STEPS:

            async def run(journey: Any, session_id: str, body: Any = step.run) -> None:
                if when == "after":
                    await body(journey, session_id)
                self._here.set()
                await asyncio.Event().wait()

            steps.append(replace(step, run=run) if step.name == name else step)
        monkeypatch.setattr(workflow, "STEPS", tuple(steps))

    async def reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._here.wait()
        self._monkeypatch.setattr(workflow, "STEPS", STEPS)


async def stored_versions(world: World) -> list[int]:
    async with world.server.db.reading() as tx:
        found = await credentials.list_of(tx, world.user_id)
    return [credential.current_version for credential in found]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [step.name for step in STEPS])
async def test_a_session_completes_once_although_its_server_was_killed(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    halt = Halt(monkeypatch, step, when)
    session_id = await world.start()
    await halt.reached()
    machine_id = (await world.session(session_id)).machine_id
    await world.restart()
    session = await world.over(session_id)
    assert (session.state, session.reason, session.detail) == (SessionState.COMPLETED, None, None)
    assert machine_id in (None, session.machine_id)  # the same machine goes on
    browsers = [guest for guest in world.host.made if guest.spec.kind is MachineKind.BROWSER]
    assert [guest.logins for guest in browsers] == [1]
    assert world.host.of(MachineKind.BROWSER) == []
    assert world.host.the(MachineKind.CLI).home[TOKEN_FILE] == token_file().content
    assert await stored_versions(world) == [1]
    async with world.server.db.reading() as tx:
        (receipt,) = await receipts.list_of(tx, world.user_id)
    assert receipt.id == session.receipt_id


async def test_a_machine_killed_while_it_booted_is_adopted_and_can_be_looked_at(
    world: World,
) -> None:
    """As a kill between "it is up" and "its row says so" leaves it."""
    session_id, machine_id = await booting(world)
    world.host.auto = False
    await world.server.engine.run(session_id)
    await world.until(session_id, SessionState.AWAITING_USER)
    machine = await world.server.machines.get(machine_id)
    assert machine.state is MachineState.READY
    assert machine.ready_at is not None
    (await world.server.sessions.open_display(world.user_id, session_id)).close()


async def booting(world: World) -> tuple[str, str]:
    """A session whose browser machine runs although its row says that it is starting."""
    driver = world.server.driver
    async with world.server.db.transaction() as tx:
        record, _ = await sessions.start(
            tx, user_id=world.user_id, provider=PROVIDER, idempotency_key=None
        )
        machine = await machines.insert(
            tx,
            user_id=world.user_id,
            session_id=record.id,
            executor_id="local",
            kind=MachineKind.BROWSER,
            driver=driver.name,
            incarnation=new_id("inc"),
        )
    assert machine.incarnation is not None
    limits = Limits(memory_mib=1, cpus=1, processes=1, scratch_mib=1)
    state = await driver.start(
        MachineSpec(machine.id, machine.incarnation, MachineKind.BROWSER, Secret("x"), limits)
    )
    async with world.server.db.transaction() as tx:
        await machines.set_driver_state(tx, machine.id, machine.incarnation, state)
    return record.id, machine.id


async def test_a_tool_that_quit_before_its_page_is_told_at_once_after_a_kill(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit is in the timeline already, so it is not told a second time."""
    world.host.quits = "this version is out of date"
    session_id = await killed_after_the_exit_was_told(world, monkeypatch, "start_login")
    session = await world.over(session_id, timeout_s=AT_ONCE_S)
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.CLI_EXITED_EARLY)
    assert session.detail == "this version is out of date"


@pytest.mark.parametrize(
    ("denied", "reason"), [(True, Reason.LOGIN_REFUSED), (False, Reason.LOGIN_FAILED)]
)
async def test_a_login_that_was_turned_down_is_told_at_once_after_a_kill(
    world: World, monkeypatch: pytest.MonkeyPatch, denied: bool, reason: Reason
) -> None:
    world.host.auto = False
    session_id = await killed_after_the_exit_was_told(
        world, monkeypatch, "await_person", denied=denied
    )
    session = await world.over(session_id, timeout_s=AT_ONCE_S)
    assert (session.state, session.reason) == (SessionState.FAILED, reason)
    assert session.detail == "no entry"


async def killed_after_the_exit_was_told(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, *, denied: bool = False
) -> str:
    """A kill between writing the exit into the timeline and the step's own outcome."""
    from polydev.sessions import journey, login_watch

    told = asyncio.Event()

    def no_more(tail: object) -> str:
        told.set()
        raise asyncio.CancelledError  # the process is gone, here

    with monkeypatch.context() as patch:
        patch.setattr(journey, "last_words", no_more)
        patch.setattr(login_watch, "last_words", no_more)
        session_id = await world.start()
        if step == "await_person":
            await world.until(session_id, SessionState.AWAITING_USER)
            world.host.the(MachineKind.BROWSER).end(3, "no entry", denied=denied)
        async with asyncio.timeout(PATIENCE_S):
            await told.wait()
        await world.kill()
    await world.up()
    return session_id


async def test_a_captured_credential_outlives_its_browser_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    halt = Halt(monkeypatch, "capture", "after")
    session_id = await world.start()
    await halt.reached()
    await world.kill()
    world.host.guests.clear()
    await world.up()
    assert (await world.over(session_id)).state is SessionState.COMPLETED


# A server that cannot continue what an older one began


@pytest.mark.parametrize("step", ["await_person", "verify"])
async def test_a_session_of_an_older_version_ends_with_a_word_about_the_update(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    halt = Halt(monkeypatch, step, "before")
    session_id = await world.start()
    await halt.reached()
    await world.kill()
    monkeypatch.setattr(workflow, "APPLICATION_VERSION", "2")
    await world.up()
    await ended_as_outdated(world, session_id, stored=step == "verify")
    assert (await world.over(await world.start())).state is SessionState.COMPLETED


@pytest.mark.parametrize("step", ["provision", "await_person"])
async def test_a_session_of_this_hosts_former_executor_id_ends_with_a_word(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    halt = Halt(monkeypatch, step, "before")
    session_id = await world.start()
    await halt.reached()
    await world.restart(executor_id="renamed")
    await ended_as_outdated(world, session_id, stored=False)
    assert (await world.over(await world.start())).state is SessionState.COMPLETED


async def ended_as_outdated(world: World, session_id: str, *, stored: bool) -> None:
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.SERVER_ERROR)
    said, _, rest = (session.detail or "").partition("\n")
    assert said == OUTDATED
    assert ("polydev credentials deliver" in rest) is stored
    assert world.host.of(MachineKind.BROWSER) == []
    status = await DBOS.get_workflow_status_async(session_id)
    assert status is not None
    assert status.status == "CANCELLED"


async def test_an_ended_session_of_an_older_version_still_loses_its_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between `end` and `release`."""
    released = asyncio.Event()

    async def never(session_id: str) -> None:
        released.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(world.server.journey.ending, "release", never)
    session_id = await world.start()
    async with asyncio.timeout(PATIENCE_S):
        await released.wait()
    await world.kill()
    monkeypatch.setattr(workflow, "APPLICATION_VERSION", "2")
    await world.up()
    session = await world.over(session_id)
    assert session.state is SessionState.COMPLETED
    assert session.machine_gone_at is not None
    assert world.host.of(MachineKind.BROWSER) == []


async def test_a_session_on_another_host_is_left_to_it(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two hosts share a database: one that starts must not end what the other one runs."""
    world = await make_world()
    halt = Halt(monkeypatch, "await_person", "before")
    session_id = await world.start()
    await halt.reached()
    await world.kill()
    elsewhere = world.host
    world.host = type(elsewhere)()
    # SQLite has one host; only the question where the machine lies is asked here.
    monkeypatch.setattr("polydev.store.database.Database.sqlite", False)
    await world.up(executor_id="other")
    assert (await world.session(session_id)).state is SessionState.AWAITING_USER
    status = await DBOS.get_workflow_status_async(session_id)
    assert status is not None
    assert status.status == "PENDING"
