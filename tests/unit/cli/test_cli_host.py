"""What runs without a server: init, providers, doctor."""

import json
import socket
import stat
from pathlib import Path

import pytest

from polydev.cli import checks
from polydev.machines.driver import Finding
from polydev.providers.catalog import BUILT_IN
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
    assert result.exit_code == 78
    assert "root.key" in result.stderr
    assert "ab" * 32 not in result.output


@pytest.mark.parametrize("command", ["init", "up"])
def test_a_key_file_that_is_none_is_a_wrong_setting(
    command: str, polydev: Polydev, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_API__PORT", "0")
    key_file = own_home / "state" / "keys" / "root.key"
    key_file.parent.mkdir(parents=True, mode=0o700)
    key_file.touch(mode=0o600)
    key_file.write_text("ab")
    assert polydev(command).exit_code == 78
    key_file.unlink()
    key_file.symlink_to(own_home / "elsewhere")
    assert polydev(command).exit_code == 78


@pytest.mark.parametrize("line", ["init", "up", "providers install codex"])
def test_a_state_directory_that_is_a_file_is_a_wrong_setting(
    line: str, polydev: Polydev, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_API__PORT", "0")
    (own_home / "state").write_text("")
    result = polydev(*line.split())
    assert result.exit_code == 78
    assert f"state_dir: {own_home / 'state'} is a file" in result.stderr


# --- up ------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_before_anything_is_touched(
    polydev: Polydev, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("POLYDEV_API__PORT", str(port))
        result = polydev("up")
    assert result.exit_code == 78
    assert f"api.port: Port {port} is taken at 127.0.0.1 by another program" in result.stderr
    assert "listening" not in result.output
    assert not (own_home / "state").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "nonsense..", "::zz"])
def test_an_address_that_is_not_ours_is_told_before_anything_is_touched(
    host: str, polydev: Polydev, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_API__HOST", host)
    monkeypatch.setenv("POLYDEV_API__PORT", "0")
    result = polydev("up")
    assert result.exit_code == 78
    assert f"api.host: '{host}' is not an address of this machine" in result.stderr
    assert not (own_home / "state").exists()


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("ALLOW", '["http://x/"]', "egress.allow: 'http://x/' is not a host pattern"),
        ("DENY", '["exa mple.com"]', "egress.deny: 'exa mple.com' is not a host pattern"),
        ("TESTING_RESOLVE_OVERRIDE", '{"a": "b"}', "egress.testing_resolve_override: "),
    ],
)
def test_a_wrong_way_out_names_its_setting_before_anything_is_touched(
    name: str,
    value: str,
    field: str,
    polydev: Polydev,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("POLYDEV_TESTING", "true")
    monkeypatch.setenv("POLYDEV_API__PORT", "0")
    monkeypatch.setenv(f"POLYDEV_EGRESS__{name}", value)
    result = polydev("up")
    assert result.exit_code == 78
    assert field in result.stderr
    assert not (own_home / "state").exists()
    assert field in polydev("doctor").stdout


def test_a_host_without_bubblewrap_is_told_before_anything_is_touched(
    polydev: Polydev, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_API__PORT", "0")
    monkeypatch.setattr("polydev.machines.sandbox.nesting.PATH", str(own_home))
    result = polydev("up")
    assert result.exit_code == 78
    assert "apt-get install bubblewrap" in result.stderr
    assert not (own_home / "state").exists()


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


def test_what_a_file_needs_beside_it_and_among_the_others_is_checked(
    polydev: Polydev, own_home: Path
):
    def check(text: str) -> str:
        (own_home / "my.toml").write_text(text)
        result = polydev("providers", "check", str(own_home / "my.toml"))
        assert result.exit_code == 1
        return result.stderr

    acme = ACME.read_text()
    assert "install.file: there is no file acme-login beside this one" in check(acme)
    (own_home / "acme-login").write_text("")
    assert polydev("providers", "check", str(own_home / "my.toml")).exit_code == 0
    assert "my.toml:3:1: name: 'codex' is built in; say `replaces = true`" in check(
        acme.replace('name = "acme"', 'name = "codex"', 1)
    )
    assert "install.command: 'codex' is already codex's" in check(
        acme.replace('command = "acme-login"', 'command = "codex"')
    )
    for file in BUILT_IN.glob("*.toml"):
        assert polydev("providers", "check", str(file)).exit_code == 0
    codex = (
        (BUILT_IN / "codex.toml").read_text().replace("format = 1", "format = 1\nreplaces = true")
    )
    assert "install.lock: there is no tools/codex/package.json beside it" in check(codex)


@pytest.mark.parametrize("command", ["check", "list"])
def test_a_file_that_is_too_deep_is_named(command: str, polydev: Polydev, own_home: Path):
    file = own_home / "state" / "providers" / "deep.toml"
    file.parent.mkdir(parents=True)
    file.write_text("a = " + "[" * 5000 + "]" * 5000)
    result = polydev("providers", command, *([str(file)] if command == "check" else []))
    assert result.exit_code == (1 if command == "check" else 78)
    assert f"{file}:1:1: is nested too deeply" in result.stderr


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


def test_a_tool_whose_script_is_missing_is_bad_input(polydev: Polydev, own_home: Path):
    folder = own_home / "state" / "providers"
    folder.mkdir(parents=True)
    (folder / "acme.toml").write_bytes(ACME.read_bytes())
    result = polydev("providers", "install", "acme")
    assert result.exit_code == 65
    assert f"{folder / 'acme-login'} is not a file" in result.stderr


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
    assert "browser's sandbox" in names
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
