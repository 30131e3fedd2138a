"""Reasons that are true: what went wrong with a credential that is already stored."""

import pytest

from polydev.domain.session import Reason, SessionState
from polydev.errors import AgentError, InvalidInput, NotFound, TooMany
from tests.session_world import World

WRONG = {
    "slow": (AgentError("it did not end in its time"), Reason.VERIFICATION_UNANSWERED),
    "full": (TooMany("no room", retry_after_s=60), Reason.CLI_MACHINE_FAILED),
    "unknown provider": (InvalidInput("no acme", field="provider"), Reason.CLI_MISSING),
    "revoked": (NotFound("no credential"), Reason.CREDENTIAL_REVOKED),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_goes_wrong_in_the_proof_has_its_own_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    error, reason = WRONG[wrong]

    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(world.server.credentials, "verify", fails)
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.FAILED, reason)
    assert (session.detail or "").startswith(error.detail)
    assert "polydev credentials deliver acme" in (session.detail or "")


async def test_a_credential_revoked_meanwhile_is_not_said_to_be_stored(world: World) -> None:
    world.host.hangs.add("exec")
    session_id = await world.start()
    await world.host.hangs.reached("exec")
    credential_id = (await world.session(session_id)).credential_id
    assert credential_id is not None
    await world.server.credentials.revoke(world.user_id, credential_id)
    world.host.hangs.release("exec")
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.CREDENTIAL_REVOKED)
    assert "is stored" not in (session.detail or "")


async def test_a_status_command_that_its_time_limit_ended_is_no_refusal(world: World) -> None:
    world.host.status_ended = "timeout"
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (
        SessionState.FAILED,
        Reason.VERIFICATION_UNANSWERED,
    )
