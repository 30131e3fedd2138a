"""The durable workflow: runs the steps in order, ends the session, and undoes what was acquired.

DBOS records each step's outcome; after a crash it goes on with the first step that has none. Only
ids and outcomes pass through it, never a credential: the record is in the database, in clear.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog
from dbos import DBOS, StepOptions

from polydev.domain.session import Reason, SessionState
from polydev.errors import PolydevError, SessionFailed
from polydev.sessions.journey import Journey
from polydev.sessions.steps import RELEASE, STEPS, Step

log = structlog.get_logger("polydev.workflow")

APPLICATION_VERSION: Final = "1"
"""Raised only when a newer server can no longer continue an older one's workflows."""

Outcome = dict[str, str | None]
"""{} to go on; {"state", "reason", "detail"} to end the session. JSON, holds no secret."""


@dataclass(slots=True)
class _Current:
    journey: Journey | None = None
    running: set[asyncio.Task[object]] = field(default_factory=set[asyncio.Task[object]])


_current = _Current()


def use_journey(journey: Journey | None) -> None:
    """Give the workflow its services. DBOS calls functions by name, so they cannot be passed."""
    _current.journey = journey


async def leave_running() -> None:
    """Let go of every workflow of this process where it stands, without an outcome.

    DBOS records nothing for a cancelled task, so the next process goes on with it; closing the
    database under a step would look like a fault of the step instead.
    """
    tasks = set(_current.running)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _journey() -> Journey:
    if _current.journey is None:
        raise RuntimeError("the engine was started before its services")
    return _current.journey


@DBOS.workflow(name="sign_in")
async def sign_in(session_id: str) -> str:
    """The whole journey of one session; returns its last state. Workflow id: the session's."""
    task = asyncio.current_task()
    if task is not None:
        _current.running.add(task)
        task.add_done_callback(_current.running.discard)
    outcome: Outcome = {}
    for step in STEPS:
        outcome = await DBOS.run_step_async({"name": step.name}, _run, step, session_id)
        if outcome:
            break
    ended: str = await DBOS.run_step_async(_again("end"), _end, session_id, outcome)
    await DBOS.run_step_async(_again(RELEASE), _release, session_id)
    return ended


async def _run(step: Step, session_id: str) -> Outcome:
    """One step, raced against cancellation, its own time and the session's. Never raises."""
    journey = _journey()
    structlog.contextvars.bind_contextvars(session_id=session_id, step=step.name)
    try:
        if await journey.cancel_requested(session_id):
            return _ending(SessionState.CANCELLED, Reason.CANCELLED_BY_USER, None)
        await journey.enter(session_id, step.state)
        return await _raced(journey, step, session_id)
    except SessionFailed as failure:
        log.warning("session.failed", reason=failure.reason.value, detail=failure.detail)
        state = (
            SessionState.EXPIRED
            if failure.reason in (Reason.PERSON_ABSENT, Reason.SESSION_TOO_LONG)
            else SessionState.FAILED
        )
        detail = failure.detail if failure.detail != failure.reason.value else None
        return _ending(state, failure.reason, detail)
    except PolydevError as error:
        log.exception("session.fault", detail=error.detail)
        return _ending(SessionState.FAILED, Reason.SERVER_ERROR, error.person)
    except Exception:
        # A fault of ours. Its text may hold anything, so only the log gets it.
        log.exception("session.fault")
        return _ending(SessionState.FAILED, Reason.SERVER_ERROR, None)


async def _raced(journey: Journey, step: Step, session_id: str) -> Outcome:
    left = await journey.deadlines.of_session(session_id)
    limit = step.timeout(journey)
    whole = limit is None or left < limit
    work = asyncio.create_task(_as_coroutine(step, journey, session_id))
    cancel = asyncio.create_task(journey.wait_for_cancel(session_id))
    try:
        done, _ = await asyncio.wait(
            {work, cancel},
            timeout=max(0.0, left if whole else limit or 0.0),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if work in done:
            work.result()
            return {}
        if cancel in done:
            cancel.result()  # a database that failed under it is no wish of the person's
            return _ending(SessionState.CANCELLED, Reason.CANCELLED_BY_USER, None)
        raise SessionFailed(Reason.SESSION_TOO_LONG if whole else step.timeout_reason)
    finally:
        for task in (work, cancel):
            task.cancel()
        await asyncio.gather(work, cancel, return_exceptions=True)


async def _as_coroutine(step: Step, journey: Journey, session_id: str) -> None:
    await step.run(journey, session_id)


def _again(name: str) -> StepOptions:
    """The last two steps must succeed, or the session would never end: tried for half an hour."""
    return {
        "name": name,
        "retries_allowed": True,
        "max_attempts": 12,
        "interval_seconds": 0.5,
        "backoff_rate": 2.0,
    }


def _ending(state: SessionState, reason: Reason, detail: str | None) -> Outcome:
    return {"state": state.value, "reason": reason.value, "detail": detail}


async def _end(session_id: str, outcome: Outcome) -> str:
    """Write the session's last state. Runs again after a crash: then it is already written."""
    state = SessionState(outcome.get("state") or SessionState.COMPLETED)
    reason = Reason(outcome["reason"]) if outcome.get("reason") else None
    return await _journey().ending.end(session_id, state, reason, outcome.get("detail"))


async def _release(session_id: str) -> None:
    """Destroy the browser machine; tried until it succeeds, since nothing may remain."""
    structlog.contextvars.bind_contextvars(session_id=session_id, step=RELEASE)
    journey = _journey()
    await journey.ending.release(session_id)
    journey.deadlines.forget(session_id)
