"""A login from its start to its files, with a made-up tool and a real Chromium."""

import asyncio
import dataclasses
import re

import pytest

from polydev.domain.session import Reason
from polydev.errors import AgentError, SessionFailed
from polydev.guest.agent.browser.assist import IDLE_S
from polydev.guest.protocol import (
    AssistStep,
    EventKind,
    LoginPlan,
    ManifestEntry,
    PlannedFile,
    Prompt,
)
from tests.integration.guest import tools
from tests.integration.guest.machine import READY_S, Boot, Machine

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
AUTHORIZE = AssistStep(HOST, "button", "Authorize")
CONSENT = AssistStep(HOST, "button", "Yes")
PLAN = LoginPlan(
    provider="acme",
    argv=("acme",),
    env={},
    files=(PlannedFile(".acme/settings.json", "{}"),),
    prompts=(Prompt("open", r"\[Y/n\]:", "Y\r"),),
    url_hosts=("signin.example",),
    manifest=(
        ManifestEntry(".acme/deep/auth.json", required_keys=("tokens.refresh",)),
        ManifestEntry(".acme/deep/state.json", only_keys=("account",)),
        ManifestEntry(".acme/extra.json", required=False),
    ),
    assist=(AUTHORIZE, CONSENT),
    denied_pattern="access_denied",
)


async def _ready(boot: Boot, tool: str) -> Machine:
    machine = await boot("browser", tools={"acme": tool})
    await machine.client.wait_ready(READY_S)
    return machine


async def test_a_login_goes_from_prompt_to_captured_files(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)

    await machine.client.start_login(PLAN)
    await machine.event(EventKind.LOGIN_EXITED)
    # The browser's pipe and the terminal are two ways: the click may be told after what it did.
    while [event.kind for event in machine.seen].count(EventKind.ASSIST_CLICKED) < 2:
        await machine.event(EventKind.ASSIST_CLICKED)
    kinds = [event.kind for event in machine.seen if event.kind is not EventKind.UNIT]

    assert kinds[:2] == [EventKind.LOGIN_STARTED, EventKind.PROMPT_ANSWERED]
    assert set(kinds[2:4]) == {EventKind.URL_OPENED, EventKind.PAGE_SHOWN}
    rest = [kind for kind in kinds[4:] if kind is not EventKind.ASSIST_CLICKED]
    assert rest == [EventKind.MANIFEST_SATISFIED, EventKind.LOGIN_EXITED]
    assert kinds[4] is EventKind.ASSIST_CLICKED
    status = await machine.client.login_status()
    assert (status.state, status.exit, status.url_opened) == ("exited", 0, True)
    bundle = await machine.client.capture(PLAN.manifest)
    files = {file.path: file for file in bundle.files}
    assert files.keys() == {".acme/deep/auth.json", ".acme/deep/state.json"}
    assert files[".acme/deep/auth.json"].content == b'{"tokens": {"refresh": "t0ken-of-a-test"}}'
    assert files[".acme/deep/state.json"].content == b'{"account": {"name": "ada"}}'
    assert files[".acme/deep/state.json"].merge_json


async def test_neither_console_nor_events_hold_a_code_state_or_token(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)

    await machine.client.start_login(PLAN)
    await machine.event(EventKind.LOGIN_EXITED)

    console = await machine.console.until("login: ended with exit code 0")
    told = console + repr(machine.seen) + await machine.client.logs("agent")
    assert "Go to http://127.0.0.1:" in told
    assert "Signed in" in told
    assert not re.search("s3cret-state|c0de-of|t0ken-of|eyJlbWFpbCI6", told)


async def test_nothing_is_clicked_while_the_person_is_at_work(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)
    clock = asyncio.get_running_loop().time
    sent: list[float] = []
    answered: list[float] = []

    async def work() -> None:
        while True:
            sent.append(clock())
            await machine.client.activity()
            answered.append(clock())
            await asyncio.sleep(0.2)

    def longest_pause() -> float:
        """Each is told at some time between these two."""
        ends = (*answered[1:], clock())
        return max(end - start for start, end in zip(sent, ends, strict=False))

    for _ in range(5):
        sent.clear()
        answered.clear()
        await machine.client.start_login(PLAN)
        working = asyncio.create_task(work())
        await machine.event(EventKind.PAGE_SHOWN)
        try:
            await machine.event(EventKind.ASSIST_CLICKED, within_s=3.5)
        except TimeoutError:
            break
        finally:
            pause_s = longest_pause()
            working.cancel()
        # A host so busy that it held us up for that long was right to click: again.
        assert pause_s >= IDLE_S
        await machine.client.end_login()
    else:
        pytest.fail("this host is too busy for a person to be at work")

    await machine.event(EventKind.ASSIST_CLICKED)


async def test_steps_of_another_host_are_not_done(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)
    other = dataclasses.replace(AUTHORIZE, host="localhost")

    await machine.client.start_login(dataclasses.replace(PLAN, assist=(other,)))
    await machine.event(EventKind.PAGE_SHOWN)

    with pytest.raises(TimeoutError):
        await machine.event(EventKind.ASSIST_CLICKED, within_s=2)


async def test_a_chromium_that_is_killed_comes_back_on_the_login_page(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)
    await machine.client.start_login(dataclasses.replace(PLAN, assist=()))
    await machine.event(EventKind.PAGE_SHOWN)

    await machine.kill("/usr/lib/chromium/chromium")

    event = await machine.event(EventKind.BROWSER_RESTARTED)
    assert event.data == {"restored": True}
    health = await machine.client.wait_ready(READY_S)
    assert {u.name: u.restarts for u in health.units}["chromium"] == 1
    # The login itself has not noticed.
    assert (await machine.client.login_status()).state == "running"


async def test_an_agent_that_is_killed_drives_the_same_chromium_again(boot: Boot) -> None:
    machine = await _ready(boot, tools.LOGIN)
    browser = await machine.pid_of("/usr/lib/chromium/chromium")

    await machine.kill("/usr/bin/python3 -IS /opt/polydev/agent/bin/agent")
    await machine.client.wait_ready(READY_S)
    await machine.client.start_login(PLAN)

    await machine.event(EventKind.LOGIN_EXITED, exit=0)
    assert await machine.pid_of("/usr/lib/chromium/chromium") == browser


async def test_a_tool_that_exits_early_is_told_with_its_last_lines(boot: Boot) -> None:
    machine = await _ready(boot, tools.EXITS_EARLY)

    await machine.client.start_login(PLAN)

    event = await machine.event(EventKind.LOGIN_EXITED)
    assert event.data == {"exit": 4, "tail": ["the service is closed today"]}
    await machine.console.until("login: the service is closed today")
    status = await machine.client.login_status()
    assert (status.manifest_satisfied, status.denied) == (False, False)


async def test_a_denied_sign_in_is_recognised(boot: Boot) -> None:
    machine = await _ready(boot, tools.DENIED)

    await machine.client.start_login(PLAN)
    await machine.event(EventKind.LOGIN_EXITED)

    assert (await machine.client.login_status()).denied


async def test_a_tool_that_is_not_installed_is_a_reason(boot: Boot) -> None:
    machine = await boot("browser")
    await machine.client.wait_ready(READY_S)

    with pytest.raises(SessionFailed) as failed:
        await machine.client.start_login(PLAN)

    assert failed.value.reason is Reason.CLI_MISSING
    assert (await machine.client.login_status()).state == "idle"


async def test_only_pages_that_the_plan_allows_are_opened(boot: Boot) -> None:
    machine = await _ready(boot, tools.OPENS)
    refused = (
        "https://elsewhere.example/",
        "http://signin.example/",
        "file:///etc/passwd",
        "https://ada@signin.example/",
        "https://signin.example/" + "a" * 9000,
    )

    await machine.client.start_login(dataclasses.replace(PLAN, argv=("acme", *refused)))
    async with asyncio.timeout(60):
        while "asked" not in (await machine.client.login_status()).tail:
            await asyncio.sleep(0.05)

    status = await machine.client.login_status()
    assert status.tail.count("refused 1") == len(refused)
    assert not status.url_opened


async def test_a_second_login_waits_for_the_end_of_the_first(boot: Boot) -> None:
    machine = await _ready(boot, tools.OPENS)
    await machine.client.start_login(PLAN)

    with pytest.raises(AgentError, match="runs already"):
        await machine.client.start_login(PLAN)

    await machine.client.end_login()
    await machine.until_gone("sleep")
    await machine.client.start_login(PLAN)


async def test_a_cli_machine_has_no_browser_to_sign_in_with(cli: Machine) -> None:
    with pytest.raises(AgentError, match="no browser"):
        await cli.client.start_login(PLAN)


async def test_a_login_that_is_lost_with_its_agent_is_told(boot: Boot) -> None:
    machine = await _ready(boot, tools.OPENS)
    await machine.client.start_login(PLAN)

    await machine.kill("/usr/bin/python3 -IS /opt/polydev/agent/bin/agent")
    await machine.client.wait_ready(READY_S)

    event = await machine.event(EventKind.LOGIN_EXITED)
    assert event.data["exit"] == -1
    status = await machine.client.login_status()
    assert (status.state, status.manifest_satisfied) == ("exited", False)
    # The tool has ended with its terminal, so another login can have the same callback port.
    await machine.until_gone("sleep")
    await machine.client.start_login(PLAN)
