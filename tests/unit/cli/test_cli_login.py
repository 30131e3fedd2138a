"""`polydev login`: the timeline, its end, breaks and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.unit.cli.conftest import Polydev
from tests.unit.cli.fake_api import JOURNEY, KEY, RECEIPT, FakeApi, credential, event, session

STARTED = {
    "success": True,
    "sessionId": "ses_1",
    "provider": "codex",
    "novncURL": "http://127.0.0.1:9/view/ses_1#token=one-time",
    "browserIP": None,
}


@pytest.fixture
def sign_in(api: FakeApi) -> FakeApi:
    api.answers["POST /api/auth/start"] = (200, STARTED)
    api.answers["GET /api/auth/session/ses_1"] = (200, session())
    api.answers["GET /api/credentials/cred_1"] = (200, credential())
    api.answers["GET /api/receipts/rcpt_1"] = (200, RECEIPT)
    return api


def test_the_link_the_timeline_and_the_receipt_are_shown(polydev: Polydev, sign_in: FakeApi):
    result = polydev("login", "codex")
    assert result.exit_code == 0, result.output
    out = result.stdout
    assert "http://127.0.0.1:9/view/ses_1#token=one-time" in out
    assert "   0.0s  Asked for" in out
    assert "   1.0s  The tool opened auth.openai.com" in out
    assert "   3.0s  Signed in" in out
    assert "ada@example.test" in out
    assert "rcpt_1" in out
    assert sign_in.bodies[0] == {"provider": "codex"}
    assert sign_in.headers[0]["idempotency-key"]
    assert sign_in.timelines == ["text/event-stream"]


def test_with_json_every_line_is_an_object(polydev: Polydev, sign_in: FakeApi):
    result = polydev("login", "codex", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0] == STARTED
    assert lines[1:-1] == JOURNEY
    assert lines[-1]["session"]["state"] == "completed"
    assert lines[-1]["receipt"]["receiptId"] == "rcpt_1"


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_an_end_without_success_says_why_and_exits_with_1(
    state: str, polydev: Polydev, sign_in: FakeApi
):
    sign_in.events = [event(1, "state", state="pending"), event(2, "state", state=state)]
    sign_in.answers["GET /api/auth/session/ses_1"] = (
        200,
        session(
            state=state,
            reason="cli_missing",
            message="The tool is not installed.",
            detail="bin/codex",
            credentialId=None,
            receiptId=None,
        ),
    )
    result = polydev("login", "codex")
    assert result.exit_code == 1
    assert "Not signed in: The tool is not installed." in result.stderr
    assert "bin/codex" in result.stderr
    assert "polydev sessions show ses_1 --console" in result.stderr


def test_a_timeline_that_breaks_is_taken_up_where_it_was(polydev: Polydev, sign_in: FakeApi):
    sign_in.break_after = 2
    result = polydev("login", "codex", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()[1:-1]] == [1, 2, 3, 4]
    assert [a for a in sign_in.asked if "events" in a] == [
        "GET /api/auth/session/ses_1/events?after=0",
        "GET /api/auth/session/ses_1/events?after=2",
    ]


def test_events_of_a_newer_server_are_shown_by_their_name(polydev: Polydev, sign_in: FakeApi):
    sign_in.events = [event(1, "moon_rose")]
    assert "moon rose" in polydev("login", "codex").stdout


def test_what_a_guest_says_is_cleaned(polydev: Polydev, sign_in: FakeApi):
    sign_in.events = [event(1, "url_opened", host="x\x1b]0;evil\x07\n\n.test")]
    out = polydev("login", "codex").stdout
    assert "The tool opened x .test" in out
    assert "\x1b" not in out


def interrupted(api: FakeApi, on_cancel: Any) -> subprocess.CompletedProcess[str]:
    """Run `polydev login` as its own process and press Ctrl-C during the timeline."""
    api.hold_events = threading.Event()
    api.answers["POST /api/auth/session/ses_1/cancel"] = on_cancel
    process = subprocess.Popen(
        [sys.executable, "-m", "polydev.cli.main", "login", "codex", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "POLYDEV_SERVER": api.url, "POLYDEV_API_KEY": KEY},
    )
    assert process.stdout is not None
    lines = ""
    while '"seq": 3' not in lines:
        line = process.stdout.readline()
        assert line, process.communicate()
        lines += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess((), process.returncode, lines + out, err)


def test_ctrl_c_without_a_terminal_cancels_and_waits_for_the_end(sign_in: FakeApi):
    def cancel(_: Request) -> Response:
        state = session(state="cancelled", reason="cancelled_by_user", message="You cancelled.")
        sign_in.answers["GET /api/auth/session/ses_1"] = (200, state)
        assert sign_in.hold_events is not None
        sign_in.hold_events.set()
        return JSONResponse(state)

    done = interrupted(sign_in, cancel)
    assert done.returncode == 1, done.stderr
    assert "POST /api/auth/session/ses_1/cancel" in sign_in.asked
    assert json.loads(done.stdout.splitlines()[-1])["session"]["state"] == "cancelled"


def test_the_browser_is_given_a_private_file_and_no_secret_in_its_arguments(
    polydev: Polydev, sign_in: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    import webbrowser

    opened: list[str] = []
    pages: list[str] = []

    def open_(url: str) -> bool:
        opened.append(url)
        page = Path(url.removeprefix("file://"))
        pages.append(page.read_text())
        assert page.stat().st_mode & 0o077 == 0
        assert page.parent.stat().st_mode & 0o077 == 0
        return True

    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setattr(webbrowser, "open", open_)
    assert polydev("login", "codex").exit_code == 0
    assert "token" not in opened[0]
    assert "#token=one-time" in pages[0]
    assert not Path(opened[0].removeprefix("file://")).exists()


def test_no_browser_is_started_without_a_display_or_when_told_not_to(
    polydev: Polydev, sign_in: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    import webbrowser

    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("a browser was started"))
    assert polydev("login", "codex").exit_code == 0
    monkeypatch.setenv("DISPLAY", ":9")
    assert polydev("login", "codex", "--no-browser").exit_code == 0
