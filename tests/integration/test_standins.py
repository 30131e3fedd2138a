"""The stand-in keeps the protocol: what a real provider refuses, it refuses too."""

import base64
import hashlib
import os
import secrets
import ssl
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.standins import Fault, Person, StandIn, Wrong
from tests.standins.colours import AUTHORIZE_BUTTON, DENY_BUTTON, SUBMIT_BUTTON, Stage, css, near
from tests.standins.proxy import ConnectProxy
from tests.standins.robot import PATIENCE_S, Robot, stage_of
from tests.standins.tool import Tool

CALLBACK = "http://127.0.0.1:4567/callback"
ACME = "https://login.acme.test"
ENDPOINTS = {
    "acme": (f"{ACME}/authorize", f"{ACME}/token"),
    "codex": ("https://auth.openai.com/oauth/authorize", "https://auth.openai.com/oauth/token"),
    "claude_code": (
        "https://claude.com/cai/oauth/authorize",
        "https://platform.claude.com/v1/oauth/token",
    ),
    "gemini_cli": (
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
    ),
}


@dataclass
class Scene:
    """A stand-in, a proxy in front of it, and a client that can reach nothing else."""

    standin: StandIn
    proxy: ConnectProxy
    client: httpx.AsyncClient

    @property
    def robot(self) -> Robot:
        return Robot(self.client, self.standin.person.user, self.standin.person.password)


@dataclass(frozen=True)
class Asked:
    """One authorization request and what is needed to redeem its code."""

    url: str
    state: str
    verifier: str


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with (
        StandIn() as standin,
        ConnectProxy(standin.resolve_override()) as proxy,
        httpx.AsyncClient(
            proxy=proxy.url,
            verify=ssl.create_default_context(cafile=standin.ca_pem),
            trust_env=False,
            timeout=PATIENCE_S,
        ) as client,
    ):
        yield Scene(standin, proxy, client)


def ask(provider: str = "acme", **changes: str | None) -> Asked:
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    state = secrets.token_urlsafe(12)
    query: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "a-client",
        "redirect_uri": CALLBACK,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "scope": "use",
        **changes,
    }
    kept = {name: value for name, value in query.items() if value is not None}
    return Asked(f"{ENDPOINTS[provider][0]}?{urlencode(kept)}", state, verifier)


def answer_of(location: str) -> dict[str, str]:
    assert location.startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def code_for(scene: Scene, asked: Asked) -> str:
    return answer_of(await scene.robot.sign_in(asked.url))["code"]


async def redeem(
    scene: Scene, asked: Asked, code: str, provider: str = "acme", **changes: str
) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": "a-client",
        "code_verifier": asked.verifier,
        **changes,
    }
    return await scene.client.post(ENDPOINTS[provider][1], data=form)


async def refresh(scene: Scene, token: str, provider: str = "acme") -> httpx.Response:
    return await scene.client.post(
        ENDPOINTS[provider][1],
        data={"grant_type": "refresh_token", "refresh_token": token, "client_id": "a-client"},
    )


async def tokens_for(scene: Scene, provider: str = "acme") -> dict[str, str]:
    asked = ask(provider)
    answer = await redeem(scene, asked, await code_for(scene, asked), provider)
    assert answer.status_code == 200
    return answer.json()


async def whoami(scene: Scene, token: str) -> int:
    answer = await scene.client.get(f"{ACME}/whoami", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


@pytest.mark.parametrize("provider", ENDPOINTS)
async def test_every_provider_turns_a_consent_into_tokens(scene: Scene, provider: str):
    tokens = await tokens_for(scene, provider)
    assert tokens["access_token"]
    assert tokens["refresh_token"]
    family = scene.standin.providers[provider].oauth.families[0]
    assert family.person is scene.standin.person


async def test_the_callback_carries_the_state_of_the_request(scene: Scene):
    asked = ask()
    assert answer_of(await scene.robot.sign_in(asked.url))["state"] == asked.state


async def test_stages_are_login_then_consent(scene: Scene):
    page = await scene.robot.open(ask().url)
    assert stage_of(page) == "login"
    assert 'name="user" type="text" autofocus' in page.text
    consent = await scene.robot.submit_login(page)
    assert stage_of(consent) == "consent"
    assert "autofocus" not in consent.text


async def test_a_wrong_password_is_told_on_the_form(scene: Scene):
    page = await scene.robot.open(ask().url)
    page = await scene.robot.submit_login(page, password="wrong")
    assert stage_of(page) == "login_error"
    assert "Wrong user name or password" in page.text
    assert stage_of(await scene.robot.submit_login(page)) == "consent"


async def test_three_wrong_passwords_end_the_flow_with_access_denied(scene: Scene):
    robot = Robot(scene.client, scene.standin.person.user, "wrong")
    asked = ask()
    answer = answer_of(await robot.sign_in(asked.url))
    assert answer["error"] == "access_denied"
    assert answer["state"] == asked.state
    assert "code" not in answer


async def test_a_refused_flow_cannot_be_gone_on_with(scene: Scene):
    page = await scene.robot.open(ask().url)
    for _ in range(3):
        await scene.robot.submit_login(page, password="wrong")
    assert stage_of(await scene.robot.submit_login(page)) == "error"


async def test_denied_consent_goes_back_with_access_denied(scene: Scene):
    answer = answer_of(await scene.robot.sign_in(ask().url, "deny"))
    assert answer["error"] == "access_denied"


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"client_id": None},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"response_type": "token"},
        {"redirect_uri": "https://elsewhere.example.test/callback"},
        {"redirect_uri": "http://127.0.0.1.example.test/callback"},
    ],
    ids=lambda change: "-".join(map(str, *change.items())),
)
async def test_a_bad_authorization_request_is_shown_and_not_redirected(
    scene: Scene, change: dict[str, str | None]
):
    page = await scene.robot.open(ask(provider="acme", **change).url)
    assert page.status_code == 400
    assert stage_of(page) == "error"


async def test_a_code_works_once_and_its_replay_revokes_what_it_gave(scene: Scene):
    asked = ask()
    code = await code_for(scene, asked)
    tokens = (await redeem(scene, asked, code)).json()
    assert (await redeem(scene, asked, code)).json()["error"] == "invalid_grant"
    assert await whoami(scene, tokens["access_token"]) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "another"},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"client_id": "another-client"},
        {"state": "another-state"},
        {"code": "invented"},
    ],
    ids=lambda change: "-".join(map(str, *change.items())),
)
async def test_a_code_is_bound_to_its_request(scene: Scene, change: dict[str, str]):
    asked = ask()
    code = await code_for(scene, asked)
    answer = await redeem(scene, asked, **{"code": code, **change})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert scene.standin.providers["acme"].oauth.families == []


async def test_a_code_expires(scene: Scene):
    asked = ask()
    code = await code_for(scene, asked)
    scene.standin.world.clock.advance(61)
    assert (await redeem(scene, asked, code)).json()["error"] == "invalid_grant"


async def test_a_test_can_make_every_code_arrive_expired(scene: Scene):
    scene.standin.providers["acme"].oauth.code_seconds = 0
    asked = ask()
    assert (await redeem(scene, asked, await code_for(scene, asked))).status_code == 400


async def test_an_access_token_expires_and_a_refresh_mends_it(scene: Scene):
    tokens = await tokens_for(scene)
    assert await whoami(scene, tokens["access_token"]) == 200
    scene.standin.world.clock.advance(3601)
    assert await whoami(scene, tokens["access_token"]) == 401
    renewed = (await refresh(scene, tokens["refresh_token"])).json()
    assert await whoami(scene, renewed["access_token"]) == 200


@pytest.mark.parametrize("provider", ["acme", "codex", "claude_code"])
async def test_a_refresh_rotates_and_a_replay_revokes_the_family(scene: Scene, provider: str):
    first = await tokens_for(scene, provider)
    second = (await refresh(scene, first["refresh_token"], provider)).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await refresh(scene, first["refresh_token"], provider)).status_code >= 400
    assert (await refresh(scene, second["refresh_token"], provider)).status_code >= 400
    assert scene.standin.providers[provider].oauth.families[0].revoked


async def test_google_keeps_its_refresh_token_unless_told_to_rotate(scene: Scene):
    first = await tokens_for(scene, "gemini_cli")
    renewed = await refresh(scene, first["refresh_token"], "gemini_cli")
    assert renewed.status_code == 200
    assert "refresh_token" not in renewed.json()
    scene.standin.providers["gemini_cli"].oauth.rotate = True
    rotated = (await refresh(scene, first["refresh_token"], "gemini_cli")).json()
    assert rotated["refresh_token"] != first["refresh_token"]


async def test_codex_exchanges_only_an_id_token_that_was_issued(scene: Scene):
    tokens = await tokens_for(scene, "codex")
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token": "openai-api-key",
        "subject_token": tokens["id_token"],
    }
    url = ENDPOINTS["codex"][1]
    assert (await scene.client.post(url, data=form)).status_code == 200
    form["subject_token"] = "invented"
    assert (await scene.client.post(url, data=form)).status_code == 400


async def test_two_people_get_their_own_accounts():
    ada, ben = Person(), Person(user="ben@example.test", plan="max")
    async with (
        StandIn(people=[ada, ben]) as standin,
        ConnectProxy(standin.resolve_override()) as proxy,
        httpx.AsyncClient(
            proxy=proxy.url,
            verify=ssl.create_default_context(cafile=standin.ca_pem),
            trust_env=False,
            timeout=PATIENCE_S,
        ) as client,
    ):
        scene = Scene(standin, proxy, client)
        asked = ask()
        location = await Robot(client, ben.user, ben.password).sign_in(asked.url)
        tokens = (await redeem(scene, asked, answer_of(location)["code"])).json()
        assert tokens["account"] == "ben@example.test"


@pytest.mark.parametrize("status", [500, 429])
async def test_a_fault_answers_wrongly_once_and_then_is_gone(scene: Scene, status: int):
    asked = ask()
    code = await code_for(scene, asked)
    scene.standin.faults.add(Fault("login.acme.test", "/token", status=status))
    assert (await redeem(scene, asked, code)).status_code == status
    assert (await redeem(scene, asked, code)).status_code == 200


async def test_a_fault_can_break_off_in_the_middle_of_an_answer(scene: Scene):
    scene.standin.faults.add(Fault("login.acme.test", "/done", Wrong.HALF))
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.client.get(f"{ACME}/done")
    assert (await scene.client.get(f"{ACME}/done")).status_code == 200


async def test_a_fault_can_let_the_client_wait_for_ever(scene: Scene):
    # Connected first: the time below is for the answer alone.
    await scene.client.get(f"{ACME}/done")
    scene.standin.faults.add(Fault("login.acme.test", "/done", Wrong.HANG))
    with pytest.raises(httpx.ReadTimeout):
        await scene.client.get(f"{ACME}/done", timeout=httpx.Timeout(PATIENCE_S, read=0.2))


async def test_what_was_asked_is_recorded_without_its_secrets(scene: Scene):
    asked = ask()
    await redeem(scene, asked, await code_for(scene, asked))
    assert scene.standin.paths("login.acme.test") == [
        "/authorize",
        "/standin/login",
        "/standin/consent",
        "/token",
    ]
    assert asked.state not in repr(scene.standin.seen)
    assert scene.standin.person.password not in repr(scene.standin.person)


async def test_the_proxy_refuses_and_names_what_is_not_played(scene: Scene):
    with pytest.raises(httpx.ProxyError):
        await scene.client.get("https://elsewhere.example.test/")
    assert scene.proxy.refused == ["elsewhere.example.test:443"]


async def test_certificates_are_made_anew_and_their_key_is_private(tmp_path: Path):
    async with StandIn(tmp_path / "a") as one, StandIn(tmp_path / "b") as other:
        assert one.ca_pem.read_bytes() != other.ca_pem.read_bytes()
        assert stat.S_IMODE((tmp_path / "a" / "leaf-key.pem").stat().st_mode) == 0o600


def test_a_robot_can_tell_all_colours_apart_even_when_they_are_a_little_off():
    colours = [stage.value for stage in Stage]
    colours += [AUTHORIZE_BUTTON, DENY_BUTTON, SUBMIT_BUTTON, (255, 255, 255)]
    for index, colour in enumerate(colours):
        assert not any(near(colour, other, 40) for other in colours[index + 1 :])


async def test_each_button_colour_is_on_the_page_that_needs_it(scene: Scene):
    page = await scene.robot.submit_login(await scene.robot.open(ask().url))
    assert f"#authorize {{ background: {css(AUTHORIZE_BUTTON)}; }}" in page.text
    assert f"#deny {{ background: {css(DENY_BUTTON)}; }}" in page.text


@pytest.fixture
def acme(scene: Scene, tmp_path: Path) -> Tool:
    return Tool(
        tmp_path / "home",
        {
            "PATH": os.defpath,
            "HTTPS_PROXY": scene.proxy.url,
            "ACME_CA_FILE": str(scene.standin.ca_pem),
        },
    )


ACME_LOGIN = str(Path(__file__).parents[1] / "standins" / "acme" / "acme-login")


async def test_the_fourth_tool_signs_in_and_says_so(scene: Scene, acme: Tool):
    assert (await acme.ask([ACME_LOGIN, "status"])).exit_code == 1

    async def person(url: str) -> None:
        page = await scene.robot.return_to_tool(await scene.robot.sign_in(url))
        assert page.headers["location"] == f"{ACME}/done"

    ran = await acme.run([ACME_LOGIN, "login"], person)
    assert ran.exit_code == 0
    token = acme.home / ".config" / "acme" / "token.json"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    status = await acme.ask([ACME_LOGIN, "status"])
    assert '"loggedIn": true' in status.output
    assert scene.standin.person.user in status.output
    assert (await acme.ask([ACME_LOGIN, "ask", "hi"])).output.strip() == scene.standin.world.answer


async def test_the_fourth_tool_fails_when_the_person_denies(scene: Scene, acme: Tool):
    async def person(url: str) -> None:
        await scene.robot.return_to_tool(await scene.robot.sign_in(url, "deny"))

    ran = await acme.run([ACME_LOGIN, "login"], person)
    assert ran.exit_code == 1
    assert "access_denied" in ran.output
