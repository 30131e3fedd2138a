"""What runs without a server: init, providers, doctor."""

import json
import stat
from pathlib import Path

import pytest

from polydev.cli import checks
from polydev.machines.driver import Finding
from tests.unit.cli.conftest import Polydev

ACME = Path(__file__).parents[2] / "standins" / "acme" / "acme.toml"


def key_in(text: str) -> str:
    return next(line.strip() for line in text.splitlines() if line.strip().startswith("pdk_"))


# --- init ----------------------------------------------------------------------------------------


def test_init_makes_database_key_file_admin_and_profile(polydev: Polydev, own_home: Path):
    result = polydev("init", "--name", "ada")
    assert result.exit_code == 0, result.output
    key = key_in(result.stdout)
    for file in ("state/keys/root.key", "state/polydev.db", "config/polydev/client.json"):
        assert stat.S_IMODE((own_home / file).stat().st_mode) == 0o600, file
    profile = json.loads((own_home / "config/polydev/client.json").read_text())
    assert profile == {"server": "http://127.0.0.1:4000", "api_key": key}
    assert key.encode() not in (own_home / "state/polydev.db").read_bytes()


def test_init_again_changes_nothing_and_shows_no_key(polydev: Polydev, own_home: Path):
    polydev("init", "--name", "ada")
    profile = (own_home / "config/polydev/client.json").read_bytes()
    root_key = (own_home / "state/keys/root.key").read_bytes()
    result = polydev("init", "--name", "ada")
    assert result.exit_code == 0
    assert "pdk_" not in result.output
    assert "nothing was changed" in result.stdout
    assert (own_home / "config/polydev/client.json").read_bytes() == profile
    assert (own_home / "state/keys/root.key").read_bytes() == root_key


def test_a_lost_key_is_replaced_on_demand(polydev: Polydev):
    first = key_in(polydev("init", "--name", "ada").stdout)
    second = json.loads(polydev("init", "--name", "ada", "--new-key", "--json").stdout)
    assert second["key"].startswith("pdk_")
    assert second["key"] != first
    assert not second["created"]
    assert polydev("init", "--name", "bob", "--new-key").exit_code == 66


def test_init_leaves_the_profile_of_another_server_alone(polydev: Polydev, own_home: Path):
    file = own_home / "config" / "polydev" / "client.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"server": "https://far.example.test", "api_key": "pdk_other"}')
    file.chmod(0o600)
    result = polydev("init")
    assert "set up for another server already" in " ".join(result.stdout.split())
    assert "far.example.test" in file.read_text()


def test_a_key_file_that_a_group_can_read_stops_init(polydev: Polydev, own_home: Path):
    key_file = own_home / "state" / "keys" / "root.key"
    key_file.parent.mkdir(parents=True, mode=0o700)
    key_file.write_text("ab" * 32)
    key_file.chmod(0o640)
    result = polydev("init")
    assert result.exit_code != 0
    assert "root.key" in result.stderr
    assert "ab" * 32 not in result.output


# --- providers -----------------------------------------------------------------------------------


def test_a_file_that_is_fine_is_said_to_be(polydev: Polydev):
    result = polydev("providers", "check", str(ACME))
    assert result.exit_code == 0
    assert "Acme is fine" in result.stdout


def test_faults_are_printed_with_their_place(polydev: Polydev, own_home: Path):
    wrong = own_home / "wrong.toml"
    wrong.write_text(ACME.read_text().replace("vendor", "vender"))
    result = polydev("providers", "check", str(wrong), str(ACME))
    assert result.exit_code == 1
    assert "wrong.toml:5:1: vender: is not a known field" in result.stderr
    document = json.loads(polydev("providers", "check", str(wrong), "--json").stdout)
    assert document["ok"] is False
    assert {"line", "column", "field", "message", "file"} == set(document["faults"][0])


def test_a_tool_of_ones_own_is_listed_and_installed(polydev: Polydev, own_home: Path):
    folder = own_home / "state" / "providers"
    folder.mkdir(parents=True)
    for name in ("acme.toml", "acme-login"):
        (folder / name).write_bytes((ACME.parent / name).read_bytes())
    assert json.loads(polydev("providers", "list", "--json").stdout)["providers"][0] == {
        "provider": "acme",
        "title": "Acme",
        "vendor": "Acme Example Works",
        "installed": None,
        "file": str(folder / "acme.toml"),
    }
    done = json.loads(polydev("providers", "install", "acme", "--json").stdout)
    assert done == {"changed": True, "installed": {"acme": "1.0"}}
    assert "already installed" in polydev("providers", "install", "acme").stdout


def test_an_unknown_tool_cannot_be_installed(polydev: Polydev):
    result = polydev("providers", "install", "nope")
    assert result.exit_code == 65
    assert "Known: claude_code, codex, gemini_cli" in result.stderr


def test_the_schema_is_printed(polydev: Polydev):
    assert json.loads(polydev("providers", "schema").stdout)["title"] == "Polydev provider"


# --- doctor --------------------------------------------------------------------------------------


def played(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    async def check(_: object) -> list[Finding]:
        return list(findings)

    monkeypatch.setattr(checks, "CHECKS", (check,))


def test_a_missing_requirement_is_told_with_its_fix_and_exit_code_1(
    polydev: Polydev, monkeypatch: pytest.MonkeyPatch
):
    played(monkeypatch, Finding("bwrap", False, "missing", "apt-get install bubblewrap"))
    result = polydev("doctor")
    assert result.exit_code == 1
    assert "FAIL  bwrap" in result.stdout
    assert "-> apt-get install bubblewrap" in result.stdout
    document = json.loads(polydev("doctor", "--json").stdout)
    assert document["ok"] is False


def test_what_is_not_required_is_a_note(polydev: Polydev, monkeypatch: pytest.MonkeyPatch):
    played(monkeypatch, Finding("limits", False, "rlimits only", "be root", required=False))
    result = polydev("doctor")
    assert result.exit_code == 0
    assert "note  limits" in result.stdout


def test_a_check_that_breaks_is_a_finding(polydev: Polydev, monkeypatch: pytest.MonkeyPatch):
    async def strange_thing(_: object) -> list[Finding]:
        raise RuntimeError("boom")

    monkeypatch.setattr(checks, "CHECKS", (strange_thing,))
    result = polydev("doctor")
    assert "strange thing" in result.stdout
    assert "boom" in result.stdout


def test_wrong_settings_are_a_finding(polydev: Polydev, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYDEV_API__PORT", "many")
    result = polydev("doctor")
    assert result.exit_code == 1
    assert "api.port" in result.stdout


def test_doctor_on_this_machine_changes_nothing(polydev: Polydev, own_home: Path):
    before = sorted(own_home.rglob("*"))
    findings = json.loads(polydev("doctor", "--json").stdout)["findings"]
    assert sorted(own_home.rglob("*")) == before
    names = {finding["check"] for finding in findings}
    assert {"python", "bwrap", "chromium", "disk", "clock", "node", "codex", "port"} <= names
    assert all(finding["fix"] for finding in findings if not finding["ok"])


async def test_a_key_file_that_others_can_read_is_found(own_home: Path):
    from polydev.cli.checks.state import key_file
    from polydev.settings import load_settings

    settings = load_settings(state_dir=own_home)
    settings.key_file.parent.mkdir()
    settings.key_file.write_text("x")
    settings.key_file.chmod(0o644)
    (finding,) = await key_file(settings)
    assert not finding.ok
    assert "chmod 600" in finding.fix


async def test_a_port_of_another_program_is_told_from_one_that_is_ours():
    import asyncio

    from polydev.cli.checks.state import port
    from polydev.settings import Api, load_settings

    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing-for-us\r\n")
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        number = server.sockets[0].getsockname()[1]
        (finding,) = await port(load_settings(api=Api(port=number)))
    assert not finding.ok
    assert "another program" in finding.detail
