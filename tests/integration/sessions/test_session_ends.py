"""How a sign-in ends otherwise than completed: time-outs and cancellation, in every step.

`HANGS` says for each step how its machine is kept from going on; a step that is added to
`polydev.sessions.steps` and not to it fails these tests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from polydev.domain.machine import MachineKind
from polydev.domain.session import LIVE_STATES, REASON_TEXT, Reason, SessionState
from polydev.sessions import deadlines, workflow
from polydev.sessions.deadlines import Age
from polydev.sessions.steps import STEPS, Step
from polydev.store.repositories import sessions
from tests.session_world import PATIENCE_S, PROVIDER, MakeWorld, World

SHORT = 0.3


@dataclass(frozen=True)
class Hang:
    """``place``: where a guest stops. The rest: which setting then runs out, and what is said."""

    place: str
    timeout: str
    state: SessionState
    reason: Reason
    prepare: Callable[[World], None] = lambda _: None


def needs_a_person(world: World) -> None:
    world.host.auto = False


HANGS = {
    "provision": Hang(
        "ready browser", "machine_ready", SessionState.FAILED, Reason.MACHINE_NOT_READY
    ),
    "start_login": Hang("url", "login_url", SessionState.FAILED, Reason.NO_LOGIN_URL),
    "await_person": Hang(
        "person", "person", SessionState.EXPIRED, Reason.PERSON_ABSENT, needs_a_person
    ),
    "capture": Hang("capture", "capture", SessionState.FAILED, Reason.CAPTURE_UNANSWERED),
    "deliver": Hang("deliver", "delivery", SessionState.FAILED, Reason.DELIVERY_FAILED),
    "verify": Hang("exec", "verify", SessionState.FAILED, Reason.VERIFICATION_UNANSWERED),
}
AFTER_CAPTURE = ("deliver", "verify")
STEP_NAMES = [step.name for step in STEPS]
STATE_OF = {step.name: step.state for step in STEPS}


def hang(world: World, step: str) -> None:
    HANGS[step].prepare(world)
    world.host.hangs.add(HANGS[step].place)


class Clock:
    """The time that sign-ins are measured by. It stands still unless a test moves it, so a slow
    machine uses nobody's time up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        self._looked = asyncio.Event()
        start = datetime.now(UTC)

        def steady() -> float:
            self._looked.set()
            return self._now

        def age() -> Age:
            return Age(lambda: start + timedelta(seconds=self._now), steady)

        monkeypatch.setattr(deadlines, "Age", age)

    def move(self, seconds: float) -> None:
        self._now += seconds

    async def looked_at(self) -> None:
        """Return once the person's time has been measured anew: two ages, the turn's and the
        viewer's, and twice, since the first measurement may have begun before."""
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(4):
                self._looked.clear()
                await self._looked.wait()


def check_what_is_left(world: World, step: str, detail: str | None) -> None:
    assert world.host.of(MachineKind.BROWSER) == []
    if step in AFTER_CAPTURE:
        assert detail is not None
        assert f"polydev credentials deliver {PROVIDER}" in detail
        assert f"polydev credentials revoke {PROVIDER}" in detail
    else:
        assert "polydev credentials" not in (detail or "")


def test_every_step_and_state_has_its_hang() -> None:
    assert set(HANGS) == set(STEP_NAMES)
    assert {*STATE_OF.values(), SessionState.PENDING} == LIVE_STATES


@pytest.mark.parametrize("step", STEP_NAMES)
async def test_a_step_that_takes_too_long_ends_the_session_with_its_own_reason(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    if step == "deliver":
        # Its time includes that of starting a machine, which must stay enough to start one.
        monkeypatch.setattr(workflow, "STEPS", tuple(map(without_the_machines_time, STEPS)))
    world = await make_world(timeouts={HANGS[step].timeout: SHORT})
    hang(world, step)
    session_id = await world.start()
    session = await world.over(session_id)
    assert (session.state, session.reason) == (HANGS[step].state, HANGS[step].reason)
    check_what_is_left(world, step, session.detail)


def without_the_machines_time(step: Step) -> Step:
    if step.name != "deliver":
        return step
    return replace(step, timeout=lambda j: (step.timeout(j) or 0.0) - j.timeouts.machine_ready)


@pytest.mark.parametrize("step", STEP_NAMES)
async def test_the_whole_sessions_time_counts_in_every_step(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    clock = Clock(monkeypatch)
    world = await make_world(timeouts={"session": 500.0})
    hang(world, step)
    enter = world.server.journey.enter

    async def late(session_id: str, state: SessionState) -> None:
        await enter(session_id, state)
        if state is STATE_OF[step]:
            clock.move(500.0 - SHORT)

    monkeypatch.setattr(world.server.journey, "enter", late)
    session_id = await world.start()
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.EXPIRED, Reason.SESSION_TOO_LONG)
    check_what_is_left(world, step, session.detail)


@pytest.mark.parametrize("step", STEP_NAMES)
async def test_a_session_can_be_cancelled_in_every_step(world: World, step: str) -> None:
    hang(world, step)
    session_id = await world.start()
    await world.until(session_id, STATE_OF[step])
    if step not in ("start_login", "await_person"):  # there a guest waits for its tool or person
        await world.host.hangs.reached(HANGS[step].place)
    await world.cancel(session_id)
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.CANCELLED, Reason.CANCELLED_BY_USER)
    check_what_is_left(world, step, session.detail)


async def test_a_pending_session_can_be_cancelled_before_its_workflow_runs(world: World) -> None:
    async with world.server.db.transaction() as tx:
        record, _ = await sessions.start(
            tx, user_id=world.user_id, provider=PROVIDER, idempotency_key=None
        )
    await world.cancel(record.id)
    await world.server.engine.run(record.id)
    session = await world.over(record.id)
    assert (session.state, session.machine_id) == (SessionState.CANCELLED, None)
    assert world.host.made == []


async def test_a_cancelled_boot_says_so_in_words(world: World) -> None:
    hang(world, "provision")
    session_id = await world.start()
    await world.host.hangs.reached("ready browser")
    await world.cancel(session_id)
    session = await world.over(session_id)
    assert session.machine_id is not None
    machine = await world.server.machines.get(session.machine_id)
    assert machine.detail == "nobody waited any longer for it to become ready"


async def test_a_cancel_after_the_capture_says_where_the_credential_is(world: World) -> None:
    hang(world, "deliver")
    session_id = await world.start()
    await world.host.hangs.reached("deliver")
    await world.cancel(session_id)
    session = await world.over(session_id)
    world.host.hangs.clear()
    assert session.credential_id is not None
    delivered = await world.server.credentials.deliver(world.user_id, session.credential_id)
    assert delivered.verified_ok


async def test_a_viewers_heartbeat_moves_the_persons_deadline(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    world = await make_world(timeouts={"person": 0.2})
    needs_a_person(world)
    session_id = await world.start()
    await world.until(session_id, SessionState.AWAITING_USER)
    for _ in range(3):
        await world.server.sessions.heartbeat(world.user_id, session_id)
        await clock.looked_at()
        clock.move(0.15)
        await clock.looked_at()
        record = await world.session(session_id)
        assert record.state is SessionState.AWAITING_USER
        assert record.viewer_seen_at is not None
    clock.move(0.1)
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.EXPIRED, Reason.PERSON_ABSENT)


def test_every_reason_has_its_sentence() -> None:
    assert set(REASON_TEXT) == set(Reason)
