"""The whole journey with the real tools: the person signs in through the dashboard's live view."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from demo.server import polydev_server
from tests.e2e.world import Json, World
from tests.standins.colours import Stage
from tests.standins.server import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PROVIDERS = ("codex", "claude_code", "gemini_cli", "acme")
JOURNEY = (
    "pending",
    "provisioning",
    "starting_login",
    "awaiting_user",
    "capturing",
    "delivering",
    "verifying",
    "completed",
)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_person_signs_a_tool_in_through_the_dashboard(world: World, provider: str) -> None:
    await world.open_dashboard()
    await world.page.get_by_test_id(f"sign-in-{provider}").click()
    await world.page.wait_for_url("**/view/*")
    session_id = world.page.url.rsplit("/", 1)[1]

    await world.viewer.sign_in(world.stand_in.person)
    await world.viewer.authorize()
    result = world.page.get_by_test_id("result")
    await expect(result).to_contain_text(world.stand_in.person.user)

    session = await world.until_gone(session_id)
    assert (session["state"], session["reason"]) == ("completed", None)
    timeline = await world.timeline(session_id)
    assert [step for step in timeline if step in JOURNEY] == list(JOURNEY)
    assert "url_opened" in timeline
    assert timeline[-1] == "machine_gone"

    receipt = (await world.client.get(f"/api/receipts/{session['receiptId']}")).json()
    assert receipt["account"] == world.stand_in.person.user
    assert receipt["machineGoneAt"] == session["machineGoneAt"]
    assert receipt["files"]
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert (await world.machine(session["cliMachineId"]))["state"] == "ready"

    verified = await world.client.post(f"/api/credentials/{session['credentialId']}/verify")
    assert verified.json()["ok"], verified.text

    answer = await world.client.post("/api/prompts", json={"provider": provider, "prompt": "Hello"})
    chunks = [json.loads(line) for line in answer.text.splitlines()]
    assert chunks[-1]["exit"] == 0, answer.text
    said = "".join(chunk["text"] for chunk in chunks if chunk.get("stream") == "out")
    assert "stand-in" in said.lower() or "hello" in said.lower()


async def test_delivering_again_keeps_what_the_tool_refreshed(world: World) -> None:
    """With rotation, writing the stored tokens over the newer ones would sign the tool out."""
    oauth = world.stand_in.providers["codex"].oauth
    started = await world.start("codex")
    await world.page.goto(started["novncURL"])
    await world.viewer.sign_in(world.stand_in.person)
    await world.viewer.authorize()
    session = await world.until_gone(started["sessionId"])
    assert session["state"] == "completed", session
    family = oauth.families[-1]
    path = f"/api/credentials/{session['credentialId']}"
    version = (await world.client.get(path)).json()["version"]

    for deliveries in (1, 2):
        before = family.refreshed
        oauth.expire_access_tokens()
        answer = await world.client.post("/api/prompts", json={"provider": "codex", "prompt": "Hi"})
        assert json.loads(answer.text.splitlines()[-1])["exit"] == 0, answer.text
        # How often is the tool's own business: it asks for several things at once.
        assert family.refreshed > before
        assert family.revoked is None
        delivered = await world.client.post(f"{path}/deliver")
        assert delivered.status_code == 200, delivered.text
        assert delivered.json()["version"] == version + deliveries


async def test_a_denied_consent_ends_the_session_with_its_reason(world: World) -> None:
    started = await world.start("codex")
    await world.page.goto(started["novncURL"])
    await world.viewer.sign_in(world.stand_in.person)
    await world.viewer.deny()
    session = await world.until_gone(started["sessionId"])
    assert (session["state"], session["reason"]) == ("failed", "login_refused")
    assert "Start again" in session["message"]
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert "login:" in await world.console_is_kept(started["sessionId"])
    await expect(world.page.get_by_test_id("result")).to_contain_text("Start again")


async def test_a_wrong_password_three_times_ends_the_session_with_its_reason(world: World) -> None:
    started = await world.start("claude_code")
    await world.page.goto(started["novncURL"])
    for stage in (Stage.LOGIN, Stage.LOGIN_ERROR, Stage.LOGIN_ERROR_AGAIN):
        await world.viewer.sign_in(world.stand_in.person, password="not it", stage=stage)
    session = await world.until_gone(started["sessionId"])
    assert (session["state"], session["reason"]) == ("failed", "login_refused")
    assert "the password was wrong too often" in session["message"]
    assert "Start again" in session["message"]
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert await world.console_is_kept(started["sessionId"])


async def test_a_code_that_has_expired_ends_the_session_with_its_reason(world: World) -> None:
    oauth = world.stand_in.providers["acme"].oauth
    started = await world.start("acme")
    await world.page.goto(started["novncURL"])
    await world.viewer.sign_in(world.stand_in.person)
    usual, oauth.code_seconds = oauth.code_seconds, 0
    try:
        await world.viewer.authorize()
        session = await world.until_gone(started["sessionId"])
    finally:
        oauth.code_seconds = usual
    assert (session["state"], session["reason"]) == ("failed", "login_failed")
    assert "ended without being signed in" in session["message"]
    assert "could not get a token" in session["detail"]
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert "could not get a token" in await world.console_is_kept(started["sessionId"])


async def test_cancelling_while_the_person_types_destroys_the_machine(world: World) -> None:
    await world.open_dashboard()
    started = await world.start("gemini_cli")
    await world.page.goto(f"{world.server.url}/view/{started['sessionId']}")
    await world.viewer.wait_for(Stage.LOGIN)
    await world.page.keyboard.type("half a na")
    await world.page.get_by_test_id("cancel").click()
    await world.page.get_by_role("dialog").get_by_role("button", name="Cancel the sign-in").click()
    session = await world.until_gone(started["sessionId"])
    assert (session["state"], session["reason"]) == ("cancelled", "cancelled_by_user")
    assert session["message"] == "You cancelled this sign-in. Start again whenever you like."
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert await world.console_is_kept(started["sessionId"])


async def test_text_goes_through_the_clipboard_both_ways(world: World) -> None:
    await world.open_dashboard()
    started = await world.start("acme")
    await world.page.goto(f"{world.server.url}/view/{started['sessionId']}")
    await world.viewer.wait_for(Stage.LOGIN)
    await world.page.get_by_test_id("clipboard-text").fill("from-the-clipboard")
    await world.page.get_by_test_id("clipboard-send").click()
    # The page's first field has the focus by itself (see `Viewer.sign_in`).
    await world.page.get_by_test_id("live-view").locator("canvas").focus()
    received = world.page.get_by_test_id("clipboard-received")
    async with asyncio.timeout(120):  # or what was copied in the machine never came out
        while True:
            # Pasted or copied too early it is nothing yet: the text is on its way to the machine.
            await world.page.keyboard.press("Control+a")
            await world.page.keyboard.press("Control+v")
            await world.page.keyboard.press("Control+a")
            await world.page.keyboard.press("Control+c")
            with contextlib.suppress(AssertionError):
                await expect(received).to_have_text("from-the-clipboard", timeout=1500)
                return


@pytest.mark.parametrize(
    ("provider", "reason", "detail"),
    [
        ("quits", "cli_exited_early", "out of date"),
        ("garbage", "capture_refused", "token.json"),
    ],
)
async def test_a_tool_that_goes_wrong_has_a_reason_and_a_kept_console_log(
    world: World, provider: str, reason: str, detail: str
) -> None:
    session = await gone_wrong(world, provider, reason)
    assert detail in session["detail"]


async def test_a_tool_that_never_opens_its_page_has_a_reason_and_a_kept_console_log(
    stand_in: StandIn, own_state_dir: Path, page: Page
) -> None:
    # A server of its own: in so short a time a real tool might not have started on a busy host.
    settings = {"POLYDEV_TIMEOUTS__LOGIN_URL": "15", "POLYDEV_MACHINES__POOL_SIZE": "0"}
    async with (
        polydev_server(stand_in, own_state_dir, settings=settings) as server,
        server.client() as client,
    ):
        await gone_wrong(World(server, stand_in, client, page), "silent", "no_login_url")


async def gone_wrong(world: World, provider: str, reason: str) -> Json:
    """Start a tool that goes wrong, and see all that is left of it."""
    started = await world.start(provider)
    session = await world.until_gone(started["sessionId"])
    assert (session["state"], session["reason"]) == ("failed", reason), session
    assert session["message"]
    assert (await world.machine(session["machineId"]))["state"] == "destroyed"
    assert "login:" in await world.console_is_kept(started["sessionId"])
    return session


async def test_a_second_start_returns_the_first_and_a_key_stays_with_its_session(
    world: World,
) -> None:
    first = await world.start("acme", **{"Idempotency-Key": "same-key"})
    assert (await world.start("acme"))["sessionId"] == first["sessionId"]
    await world.client.post(f"/api/auth/session/{first['sessionId']}/cancel")
    await world.until_gone(first["sessionId"])
    again = await world.start("acme", **{"Idempotency-Key": "same-key"})
    assert again["sessionId"] == first["sessionId"]
    assert (await world.start("acme"))["sessionId"] != first["sessionId"]
