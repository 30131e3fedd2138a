"""Reasons that are true: what went wrong with a credential that is already stored."""

import pytest
from sqlalchemy import update

from polydev.domain.machine import MachineKind
from polydev.domain.session import Reason, SessionState
from polydev.errors import AgentError, InvalidInput, NotFound, TooMany, VaultError
from polydev.guest.client import AgentClient, AgentUnreachable
from polydev.store.models import CredentialVersionRow
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


async def test_a_credential_that_the_vault_cannot_store_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise VaultError("the disk is full")

    monkeypatch.setattr(world.server.vault, "put", fails)
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.VAULT_FAILED)
    assert session.detail == "the disk is full"
    assert (session.credential_id, world.host.guests) == (None, {})


async def test_a_stored_credential_that_was_changed_is_neither_delivered_nor_said_to_be_safe(
    world: World,
) -> None:
    world.host.hangs.add("ready cli")
    session_id = await world.start()
    await world.host.hangs.reached("ready cli")
    async with world.server.db.transaction() as tx:
        await tx.execute(update(CredentialVersionRow).values(ciphertext=b"changed" * 8))
    world.host.hangs.release("ready cli")
    session = await world.over(session_id)
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.VAULT_FAILED)
    assert "is stored" not in (session.detail or "")
    assert world.host.the(MachineKind.CLI).deliveries == 0


async def test_an_agent_that_is_gone_at_capture_is_not_a_spoilt_credential(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise AgentUnreachable("nobody answers")

    monkeypatch.setattr(AgentClient, "capture", fails)
    session = await world.over(await world.start())
    assert (session.state, session.reason) == (SessionState.FAILED, Reason.CAPTURE_UNANSWERED)
