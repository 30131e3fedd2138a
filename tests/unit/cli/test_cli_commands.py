"""What the commands ask of the API and what they print."""

import io
import json

import pytest
from rich.console import Console

from tests.unit.cli.conftest import Polydev
from tests.unit.cli.fake_api import RECEIPT, TIME, FakeApi, credential, problem, session

MACHINE = {
    "machineId": "mac_2",
    "kind": "cli",
    "state": "ready",
    "driver": "sandbox",
    "userId": "usr_1",
    "executorId": "local",
    "createdAt": TIME,
    "readyAt": TIME,
    "destroyedAt": None,
    "detail": None,
    "userName": None,
    "sessionId": None,
}
KEY_VIEW = {
    "keyId": "key_1",
    "label": "laptop",
    "createdAt": TIME,
    "lastUsedAt": None,
    "expiresAt": None,
    "revokedAt": None,
}
USER = {"userId": "usr_2", "name": "bob", "role": "member", "createdAt": TIME, "disabledAt": None}

# command line -> request, answer, something that is shown
CASES = {
    "sessions list --provider codex --limit 5": (
        "GET /api/auth/sessions?provider=codex&limit=5",
        {"sessions": [session()], "next": None},
        "ses_1",
    ),
    "sessions show ses_1": ("GET /api/auth/session/ses_1", session(), "rcpt_1"),
    "sessions show ses_1 --console": (
        "GET /api/auth/session/ses_1/console",
        {"machineId": "mac_1", "text": "booting\nready"},
        "booting",
    ),
    "sessions cancel ses_1": (
        "POST /api/auth/session/ses_1/cancel",
        session(state="cancelled", reason="cancelled_by_user"),
        "cancelled_by_user",
    ),
    "credentials list": ("GET /api/credentials", {"credentials": [credential()]}, "ada@"),
    "credentials show cred_1": ("GET /api/credentials/cred_1", credential(), "as ada"),
    "credentials verify cred_1": (
        "POST /api/credentials/cred_1/verify",
        {"ok": True, "statusOutput": "Logged in", "verifiedAt": TIME},
        "Logged in",
    ),
    "credentials deliver cred_1": ("POST /api/credentials/cred_1/deliver", credential(), "mac_2"),
    "credentials revoke cred_1 --yes": ("DELETE /api/credentials/cred_1", None, "Erased"),
    "receipts list": ("GET /api/receipts", {"receipts": [RECEIPT]}, "rcpt_1"),
    "receipts show rcpt_1": ("GET /api/receipts/rcpt_1", RECEIPT, ".codex/auth.json"),
    "machines list --all": ("GET /api/machines?scope=all", {"machines": [MACHINE]}, "mac_2"),
    "machines show mac_2": ("GET /api/machines/mac_2", MACHINE, "sandbox"),
    "machines console mac_2": (
        "GET /api/machines/mac_2/console",
        {"machineId": "mac_2", "text": "hello"},
        "hello",
    ),
    "machines hibernate mac_2": ("POST /api/machines/mac_2/hibernate", MACHINE, "mac_2"),
    "machines resume mac_2": ("POST /api/machines/mac_2/resume", MACHINE, "mac_2"),
    "machines destroy mac_2 --yes": ("DELETE /api/machines/mac_2", None, "is gone"),
    "users list": ("GET /api/users", {"users": [USER]}, "bob"),
    "users create bob": ("POST /api/users", {**USER, "key": "pdk_shown-once"}, "pdk_shown-once"),
    "users remove usr_2 --yes": ("DELETE /api/users/usr_2", None, "usr_2"),
    "keys list": ("GET /api/keys", {"keys": [KEY_VIEW]}, "laptop"),
    "keys create laptop --days 9": (
        "POST /api/keys",
        {**KEY_VIEW, "key": "pdk_shown-once"},
        "pdk_shown-once",
    ),
    "keys revoke key_1 --yes": ("DELETE /api/keys/key_1", None, "key_1"),
    "dashboard": (
        "POST /api/login/link",
        {"url": "http://127.0.0.1:1/login#token=once", "expiresAt": TIME},
        "#token=once",
    ),
}


@pytest.mark.parametrize("line", CASES)
def test_a_command_asks_and_prints(line: str, polydev: Polydev, api: FakeApi):
    request, answer, shown = CASES[line]
    api.answers[request.partition("?")[0]] = (200 if answer is not None else 204, answer)
    result = polydev(*line.split())
    assert result.exit_code == 0, result.output
    assert shown in result.stdout
    asked = api.asked[0].split("?")
    assert asked[0] == request.split("?")[0]
    if "?" in request:
        assert set(request.split("?")[1].split("&")) <= set(asked[1].split("&"))


@pytest.mark.parametrize("line", CASES)
def test_json_is_the_servers_own_answer(line: str, polydev: Polydev, api: FakeApi):
    request, answer, _ = CASES[line]
    api.answers[request.partition("?")[0]] = (200 if answer is not None else 204, answer)
    result = polydev(*line.split(), "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed == answer if answer is not None else len(printed) == 1


def test_a_credential_can_be_named_by_its_provider(polydev: Polydev, api: FakeApi):
    api.answers["GET /api/credentials"] = (200, {"credentials": [credential()]})
    api.answers["GET /api/credentials/cred_1"] = (200, credential())
    assert polydev("credentials", "show", "codex").exit_code == 0
    missing = polydev("credentials", "show", "claude_code")
    assert missing.exit_code == 66
    assert "polydev login claude_code" in missing.stderr


def test_a_credential_that_is_not_accepted_exits_with_1(polydev: Polydev, api: FakeApi):
    no = {"ok": False, "statusOutput": "Not logged in", "verifiedAt": TIME}
    api.answers["POST /api/credentials/cred_1/verify"] = (200, no)
    result = polydev("credentials", "verify", "cred_1")
    assert result.exit_code == 1
    assert "Not logged in" in result.stdout


@pytest.mark.parametrize(
    "line",
    ["machines destroy mac_2", "credentials revoke cred_1", "keys revoke key_1", "users remove u"],
)
def test_what_cannot_be_undone_is_asked_for_first(
    line: str, polydev: Polydev, api: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("polydev.cli.base._has_terminal", lambda: True)
    assert polydev(*line.split(), input="n\n").exit_code == 130
    assert polydev(*line.split(), input="").exit_code == 130
    assert api.asked == []


def test_without_a_terminal_nothing_is_asked_and_nothing_done(polydev: Polydev, api: FakeApi):
    result = polydev("machines", "destroy", "mac_2", input="y\n")
    assert result.exit_code == 65
    assert "needs a terminal or --yes" in result.stderr
    assert api.asked == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sessions show nope", "There is no session 'nope'. `polydev sessions list`"),
        ("sessions show nope --console", "There is no session 'nope'"),
        ("sessions cancel nope", "There is no session 'nope'"),
        ("machines show nope", "There is no machine 'nope'. `polydev machines list`"),
        ("machines console nope", "There is no machine 'nope'"),
        ("machines hibernate nope", "There is no machine 'nope'"),
        ("machines resume nope", "There is no machine 'nope'"),
        ("machines destroy nope -y", "There is no machine 'nope'"),
        ("credentials show cred_nope", "There is no credential 'cred_nope'"),
        ("receipts show nope", "There is no receipt 'nope'"),
        ("keys revoke nope -y", "There is no key 'nope'"),
        ("users remove nope -y", "There is no user 'nope'"),
    ],
)
def test_what_is_no_id_names_nothing(line: str, said: str, polydev: Polydev, api: FakeApi):
    def refuse(_: object) -> object:
        errors = [{"field": "id", "message": "Must match ^mac_[0-9a-hjkmnp-tv-z]{24}$."}]
        return problem(422, "invalid_input", "id: Must match ^mac_.", errors=errors)

    kind, _, rest = line.partition(" ")
    path = {"sessions": "auth/session"}.get(kind, kind)
    given = rest.split()[1]
    for method in ("GET", "POST", "DELETE"):
        for tail in ("", "/console", "/cancel", "/hibernate", "/resume"):
            api.answers[f"{method} /api/{path}/{given}{tail}"] = refuse
    result = polydev(*line.split())
    assert result.exit_code == 66, result.output
    assert said in result.stderr
    assert "^mac_" not in result.stderr


def test_an_id_cannot_leave_its_place_in_the_path(polydev: Polydev, api: FakeApi):
    assert polydev("machines", "show", "../users?x=1#y").exit_code == 66
    (asked,) = api.asked
    assert asked.startswith("GET /api/machines/")


def test_the_key_travels_in_a_header_only(polydev: Polydev, api: FakeApi):
    api.answers["GET /api/keys"] = (200, {"keys": []})
    result = polydev("keys", "list")
    assert api.headers[0]["authorization"].startswith("Bearer pdk_")
    assert "pdk_" not in api.asked[0]
    assert "pdk_" not in result.output


def test_text_of_a_guest_reaches_the_terminal_without_escape_sequences(
    polydev: Polydev, api: FakeApi
):
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2Jok\u202e"
    api.answers["GET /api/machines/m/console"] = (200, {"machineId": "m", "text": evil})
    assert polydev("machines", "console", "m").stdout == "ok\n"
    assert "\x1b" not in polydev("machines", "console", "m", "--json").stdout
    api.answers["GET /api/machines"] = (200, {"machines": [{**MACHINE, "detail": evil}]})
    assert "\x1b" not in polydev("machines", "list").stdout


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 77), (403, 77), (404, 66), (409, 65), (422, 65), (503, 75), (500, 70)],
)
def test_a_problem_becomes_a_sentence_and_an_exit_code(
    status: int, code: int, polydev: Polydev, api: FakeApi
):
    errors = [{"field": "label", "message": "Too long."}]
    api.answers["GET /api/keys"] = lambda _: problem(status, "a_code", "It is so.", errors=errors)
    result = polydev("keys", "list")
    assert result.exit_code == code
    assert "Error: It is so." in result.stderr
    assert "label: Too long." in result.stderr
    machine_readable = polydev("keys", "list", "--json")
    assert json.loads(machine_readable.stderr) | {"detail": ""} == {
        "code": "a_code",
        "detail": "",
        "exit": code,
    }


def test_an_answer_of_another_version_is_explained(polydev: Polydev, api: FakeApi):
    api.answers["GET /api/keys"] = (200, {"keys": [{"keyId": "key_1"}]})
    result = polydev("keys", "list")
    assert result.exit_code == 70
    assert "same version of Polydev on both sides" in result.stderr


def test_something_that_is_not_polydev_is_said_to_be(polydev: Polydev, api: FakeApi):
    from starlette.responses import PlainTextResponse, RedirectResponse

    api.answers["GET /api/keys"] = lambda _: PlainTextResponse("Welcome", 502)
    result = polydev("keys", "list")
    assert result.exit_code == 69
    assert "is not Polydev" in result.stderr
    api.answers["GET /api/keys"] = lambda _: RedirectResponse("http://127.0.0.1:1/steal")
    assert polydev("keys", "list").exit_code == 69


def test_nobody_there_says_how_to_start_it(
    polydev: Polydev, api: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_SERVER", "http://127.0.0.1:1")
    result = polydev("keys", "list")
    assert result.exit_code == 69
    assert "polydev up" in result.stderr


NARROW = """Machine  mac_2
Kind     cli
State    ready
Driver   sandbox
Person   usr_1
Created  2026-11-23 10:00:00 UTC
Detail   -

Machine  mac_3
"""


def test_a_table_that_does_not_fit_is_printed_field_by_field(
    polydev: Polydev, api: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    other = {**MACHINE, "machineId": "mac_3"}
    api.answers["GET /api/machines"] = (200, {"machines": [MACHINE, other]})
    screen = in_a_terminal(polydev, monkeypatch, width=40)
    assert "\n".join(line.rstrip() for line in screen.splitlines()).startswith(NARROW)
    assert max(len(line) for line in screen.splitlines()) <= 40
    wide = in_a_terminal(polydev, monkeypatch, width=120)
    assert wide.split("\n")[1].split() == [
        *("Machine", "Kind", "State", "Driver", "Person", "Created", "Detail")
    ]


def in_a_terminal(polydev: Polydev, monkeypatch: pytest.MonkeyPatch, *, width: int) -> str:
    screen = io.StringIO()
    drawn = Console(
        file=screen, force_terminal=True, color_system=None, width=width, highlight=False
    )
    monkeypatch.setattr("polydev.cli.output.console", lambda **_: drawn)
    assert polydev("machines", "list").exit_code == 0
    return screen.getvalue()


def test_a_key_that_is_not_accepted_says_how_to_make_another(
    polydev: Polydev, api: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_API_KEY", "pdk_another-one")
    result = polydev("keys", "list")
    assert result.exit_code == 77
    assert "`polydev init --new-key`" in result.stderr
