"""The command line as a whole: help, start-up time, completion, exit codes, profile, settings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from polydev.cli.exits import MEANING, Exit
from polydev.cli.failures import explain
from polydev.cli.main import app
from polydev.errors import PolydevError
from polydev.settings import load_settings
from polydev.settings_page import settings_page
from tests.unit.cli.conftest import Polydev
from tests.unit.cli.fake_api import KEY, FakeApi

ROOT = Path(__file__).parents[3]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""

    def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path, command
        else:
            for name, child in inner.items():
                yield from walk(child, f"{path} {name}".strip())

    yield from walk(typer.main.get_command(app), "")


COMMANDS = dict(commands())


def test_every_command_of_the_design_is_there():
    wanted = (
        "up init login sessions credentials receipts machines run shell providers users keys vault"
    )
    assert {name.split()[0] for name in COMMANDS} == {*wanted.split(), "dashboard", "doctor"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_json_is_everywhere(name: str, polydev: Polydev):
    result = polydev(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    # The three that have no answer to print: a server, a terminal, and JSON anyway.
    assert ("--json" in result.stdout) == (name not in {"up", "shell", "providers schema"})


def test_help_starts_quickly_because_nothing_heavy_is_imported():
    code = "import sys, polydev.cli.main; print(*sorted(sys.modules))"
    out = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    heavy = {"httpx", "pydantic", "rich", "sqlalchemy", "fastapi", "websockets", "dbos", "asyncpg"}
    assert not heavy & set(out)


def test_completion_is_offered(polydev: Polydev):
    assert "--install-completion" in polydev("--help").stdout


@pytest.mark.parametrize("words", ["login", "run", "shell", "providers install"])
def test_the_shell_completes_the_names_of_providers(
    words: str, polydev: Polydev, monkeypatch: pytest.MonkeyPatch
):
    def completed(incomplete: str) -> list[str]:
        line = f"polydev {words} {incomplete}"
        monkeypatch.setenv("_POLYDEV_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) + 1))
        return CliRunner().invoke(app, [], prog_name="polydev").stdout.split()

    assert completed("") == ["claude_code", "codex", "gemini_cli"]
    assert completed("co") == ["codex"]
    monkeypatch.setenv("POLYDEV_API__PORT", "many")
    assert completed("") == []


def test_every_exit_code_is_documented():
    page = (ROOT / "docs" / "cli.md").read_text()
    for code in Exit:
        assert f"| {code.value} | {MEANING[code]} |" in page


def test_every_command_is_documented():
    page = (ROOT / "docs" / "cli.md").read_text()
    for name in COMMANDS:
        assert f"`polydev {name}" in page, name


def test_the_page_of_settings_is_what_the_settings_say():
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings_page(), "run: python -m polydev.settings > docs/settings.md"


def _subclasses(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(_subclasses(child) for child in kind.__subclasses__()))


def _errors() -> list[type[Any]]:
    """Those the command line can meet itself; the API's own reach it as problem documents."""
    found = (kind for kind in _subclasses(PolydevError) if "polydev.api" not in kind.__module__)
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", _errors())
def test_every_error_becomes_a_sentence_and_a_code(kind: type[PolydevError]):
    error = kind.__new__(kind)
    Exception.__init__(error, "It is so.")
    error.person = "It is so."
    error.http_status, error.problem_code, error.fields = 500, "x", ()
    failure = explain(error)
    assert failure.exit in Exit
    assert failure.text.startswith("It is so.")


def test_a_fault_of_our_own_is_a_sentence_too(polydev: Polydev, monkeypatch: pytest.MonkeyPatch):
    def broken(**_: object) -> None:
        raise RuntimeError("sk-secret-abcdefghijklmnop went wrong")

    monkeypatch.setattr("polydev.settings.load_settings", broken)
    result = polydev("providers", "list")
    assert result.exit_code == 70
    assert "fault of its own (RuntimeError" in result.stderr
    assert "sk-secret" not in result.stderr


def test_a_misspelt_command_is_a_usage_error(polydev: Polydev):
    result = polydev("sesions")
    assert result.exit_code == 2


# --- profile -------------------------------------------------------------------------------------


def stored(home: Path, server: str, *, mode: int = 0o600, key: str = KEY) -> Path:
    file = home / "config" / "polydev" / "client.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"server": server, "api_key": key}))
    file.chmod(mode)
    return file


def test_the_stored_profile_is_used(
    polydev: Polydev, api: FakeApi, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    api.answers["GET /api/keys"] = (200, {"keys": []})
    monkeypatch.delenv("POLYDEV_SERVER")
    monkeypatch.delenv("POLYDEV_API_KEY")
    stored(own_home, api.url)
    assert polydev("keys", "list").exit_code == 0


def test_a_stored_key_is_never_sent_to_another_server(
    polydev: Polydev, api: FakeApi, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("POLYDEV_API_KEY")
    stored(own_home, "http://127.0.0.1:9")
    assert polydev("keys", "list").exit_code == 77
    assert api.asked == []


def test_a_profile_that_others_can_read_is_refused(polydev: Polydev, own_home: Path):
    file = stored(own_home, "http://127.0.0.1:9", mode=0o640)
    result = polydev("keys", "list")
    assert result.exit_code == 78
    assert f"chmod 600 {file}" in result.stderr
    assert KEY not in result.stderr


@pytest.mark.parametrize(
    "server",
    [
        "nonsense",
        "ftp://x.test",
        "http://u:p@x.test",
        "http://x.test/?key=1",
        "http://",
        "http://127.0.0.1:notaport",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_is_refused(
    server: str, polydev: Polydev, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_SERVER", server)
    monkeypatch.setenv("POLYDEV_API_KEY", KEY)
    result = polydev("keys", "list")
    assert result.exit_code == 78
    assert "POLYDEV_SERVER: must look like https://" in result.stderr


def test_a_key_with_a_line_break_is_refused(polydev: Polydev, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYDEV_API_KEY", "pdk_x\r\nEvil: 1")
    assert polydev("keys", "list").exit_code == 78


def test_the_clients_settings_in_a_dotenv_file_do_not_disturb_the_server(own_home: Path):
    (own_home / ".env").write_text(
        "POLYDEV_SERVER=http://x\nPOLYDEV_API_KEY=y\nOTHER=1\nPOLYDEV_API__PORT=4321\n"
    )
    assert load_settings().api.port == 4321


def test_a_misspelt_setting_in_a_dotenv_file_is_still_refused(polydev: Polydev, own_home: Path):
    (own_home / ".env").write_text("POLYDEV_LOG_LEVL=info\n")
    result = polydev("providers", "list")
    assert result.exit_code == 78
    assert "POLYDEV_LOG_LEVL" in result.stderr
    assert "did you mean POLYDEV_LOG_LEVEL?" in result.stderr
