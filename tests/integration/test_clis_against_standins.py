"""The three official tools, unmodified and pinned, sign in against the stand-in.

What is asserted here is what ``docs/providers-measured.md`` says and the providers' definitions
rely on. The tools are those that `polydev providers install` put on this host.
"""

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.standins import Fault, StandIn
from tests.standins.clis import CLAUDE, CODEX, GEMINI, Cli, Desk, callback_port, tools_directory
from tests.standins.proxy import ConnectProxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (tools_directory() / "bin" / "codex").exists(),
        reason=f"no tools in {tools_directory()}: run `polydev providers install`",
    ),
]

ALL = [CODEX, CLAUDE, GEMINI]
HOSTS = {
    "codex": {"auth.openai.com:443"},
    "claude_code": {"claude.com:443", "platform.claude.com:443", "api.anthropic.com:443"},
    "gemini_cli": {
        "accounts.google.com:443",
        "oauth2.googleapis.com:443",
        "www.googleapis.com:443",
        "cloudcode-pa.googleapis.com:443",
    },
}
TOKEN_ENDPOINT = {
    "codex": ("auth.openai.com", "/oauth/token"),
    "claude_code": ("platform.claude.com", "/v1/oauth/token"),
    "gemini_cli": ("oauth2.googleapis.com", "/token"),
}
"""Where a refresh goes."""


@pytest.fixture(params=ALL, ids=lambda cli: cli.provider)
def cli(request: pytest.FixtureRequest) -> Cli:
    return request.param


@pytest.fixture
async def desk(cli: Cli, tmp_path: Path) -> AsyncIterator[Desk]:
    with callback_port(cli):
        async with StandIn() as standin, ConnectProxy(standin.resolve_override()) as proxy:
            yield Desk.make(cli, standin, proxy, tmp_path / "home")


def forget_access_token(desk: Desk) -> None:
    """Makes the tool believe, and the provider say, that the access token has run out."""
    desk.standin.providers[desk.cli.provider].oauth.expire_access_tokens()
    content = json.loads(desk.credential.read_text())
    match desk.cli.provider:
        case "claude_code":
            content["claudeAiOauth"]["expiresAt"] = 1
        case "gemini_cli":
            content["expiry_date"] = 1
        case _:
            pass  # codex refreshes when it is answered 401
    desk.credential.write_text(json.dumps(content))


async def test_a_tool_signs_in_proves_it_and_answers_a_prompt(desk: Desk):
    ran = await desk.sign_in()
    assert ran.exit_code == 0, ran.output
    assert stat.S_IMODE(desk.credential.stat().st_mode) == 0o600
    assert set(desk.proxy.connected) == HOSTS[desk.cli.provider]

    status = await desk.status()
    assert status.exit_code == 0, status.errors
    answer = await desk.prompt("Say hello")
    assert answer.exit_code == 0, answer.errors
    assert answer.output.strip() == desk.standin.world.answer


async def test_status_says_signed_out_before_a_sign_in(desk: Desk):
    assert (await desk.status()).exit_code in {1, 41}


@pytest.mark.parametrize("how", ["denied", "wrong password"])
async def test_a_refused_person_ends_the_tool_without_a_credential(desk: Desk, how: str):
    person = desk.person("deny") if how == "denied" else desk.person(password="wrong")
    ran = await desk.tool.run(desk.cli.login, person, timeout=180)
    assert ran.exit_code != 0
    assert not desk.credential.exists()


async def test_an_expired_code_ends_the_tool_without_a_credential(desk: Desk):
    desk.standin.providers[desk.cli.provider].oauth.code_seconds = 0
    ran = await desk.tool.run(desk.cli.login, desk.person(), timeout=180)
    assert ran.exit_code != 0
    assert not desk.credential.exists()


async def test_a_tool_refreshes_and_rewrites_its_credential(desk: Desk):
    await desk.sign_in()
    oauth = desk.standin.providers[desk.cli.provider].oauth
    before = desk.credential.read_bytes()
    for _ in range(2):
        forget_access_token(desk)
        answer = await desk.prompt("Say hello")
        assert answer.exit_code == 0, answer.errors
    family = oauth.families[0]
    assert family.refreshed == 2
    assert family.revoked is None
    assert desk.credential.read_bytes() != before
    assert family.refresh in desk.credential.read_text()
    assert stat.S_IMODE(desk.credential.stat().st_mode) == 0o600


@pytest.mark.parametrize("cli", [GEMINI], ids=lambda cli: cli.provider, indirect=True)
async def test_gemini_does_not_follow_a_rotation(desk: Desk):
    """Why its stand-in does not rotate (`tests.standins.google`), unlike the others."""
    await desk.sign_in()
    oauth = desk.standin.providers[desk.cli.provider].oauth
    assert not oauth.rotate
    oauth.rotate = True
    forget_access_token(desk)
    assert (await desk.prompt("Say hello")).exit_code == 0
    assert oauth.families[0].refresh not in desk.credential.read_text()
    forget_access_token(desk)
    assert (await desk.prompt("Say hello")).exit_code == 41
    assert oauth.families[0].revoked == "a refresh token was replayed"


# Gemini's copies do not disturb each other: its provider does not rotate, see the test before.
@pytest.mark.parametrize("cli", [CODEX, CLAUDE], ids=lambda cli: cli.provider, indirect=True)
async def test_a_second_copy_of_a_credential_signs_both_out(desk: Desk, tmp_path: Path):
    oauth = desk.standin.providers[desk.cli.provider].oauth
    assert oauth.rotate
    await desk.sign_in()
    copy = Desk.make(desk.cli, desk.standin, desk.proxy, tmp_path / "copy")
    copy.credential.parent.mkdir(parents=True)
    forget_access_token(desk)
    copy.credential.write_bytes(desk.credential.read_bytes())
    assert (await desk.prompt("Say hello")).exit_code == 0
    forget_access_token(copy)
    assert (await copy.prompt("Say hello")).exit_code != 0
    assert oauth.families[0].revoked


async def test_a_revoked_credential_fails_the_prompt_and_ends(desk: Desk):
    await desk.sign_in()
    desk.standin.providers[desk.cli.provider].oauth.revoke_all()
    forget_access_token(desk)
    assert (await desk.prompt("Say hello")).exit_code in {1, 41}


@pytest.mark.parametrize("desk_cli", [CODEX, CLAUDE], ids=lambda cli: cli.provider)
async def test_a_token_endpoint_that_fails_ends_the_tool(desk_cli: Cli, tmp_path: Path):
    with callback_port(desk_cli):
        async with StandIn() as standin, ConnectProxy(standin.resolve_override()) as proxy:
            desk = Desk.make(desk_cli, standin, proxy, tmp_path / "home")
            host, path = TOKEN_ENDPOINT[desk_cli.provider]
            standin.faults.add(Fault(host, path, status=500))
            ran = await desk.tool.run(desk_cli.login, desk.person(), timeout=180)
            assert ran.exit_code != 0
            assert not desk.credential.exists()
