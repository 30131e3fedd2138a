"""Installing tools: atomic, idempotent, readable by machines. npm is played by a script."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from polydev.errors import InstallFailed, InvalidInput
from polydev.providers import install as module
from polydev.providers.catalog import Entry, installed_version
from polydev.providers.check import parse_provider
from polydev.providers.install import install_tools, up_to_date
from tests.unit.providers.conftest import GOOD

NPM_TOOL = GOOD.replace(
    'kind = "script"\nfile = "made-up"', 'kind = "npm"\npackage = "@x/made-up"\nlock = "lock"'
)

FAKE_NPM = """
import json, os, pathlib, sys
log = pathlib.Path(os.environ["FAKE_NPM_LOG"])
with log.open("a") as out:
    out.write(" ".join(sys.argv[1:]) + "\\n")
if os.environ.get("FAKE_NPM_FAILS"):
    print("npm error E503 the registry is \\x1b[31maway")
    sys.exit(7)
if sys.argv[1] == "ci":
    package = pathlib.Path("node_modules/@x/made-up")
    package.mkdir(parents=True)
    version = json.loads(pathlib.Path("package.json").read_text())["dependencies"]["@x/made-up"]
    (package / "package.json").write_text(
        json.dumps({"version": version, "bin": {"made-up": "cli.js"}}))
    (package / "cli.js").write_text(os.environ.get("FAKE_NPM_PROGRAM", "#!/usr/bin/env node\\n"))
    (package / "cli.js").chmod(0o755)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def small_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel whose node is a script that prints its arguments."""
    wheel = tmp_path / "wheel"
    (wheel / "bin").mkdir(parents=True)
    node = wheel / "bin" / "node"
    node.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    node.chmod(0o755)
    monkeypatch.setattr("polydev.providers.node.wheel_dir", lambda: wheel)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plays npm; returns its log of calls."""
    script = tmp_path / "npm.py"
    script.write_text(FAKE_NPM)
    monkeypatch.setattr(module, "npm_command", lambda: (sys.executable, str(script)))
    log = tmp_path / "npm.log"
    log.touch()
    monkeypatch.setenv("FAKE_NPM_LOG", str(log))
    return log


def script_tool(tmp_path: Path, body: str = "#!/bin/sh\necho hello\n") -> Entry:
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    (folder / "made-up").write_text(body)
    return Entry(parse_provider(GOOD, "x"), folder / "made-up.toml", built_in=False)


def npm_tool(tmp_path: Path, version: str = "1.0.0") -> Entry:
    lock = tmp_path / "own" / "lock"
    lock.mkdir(parents=True, exist_ok=True)
    (lock / "package.json").write_text(json.dumps({"dependencies": {"@x/made-up": version}}))
    (lock / "package-lock.json").write_text("{}")
    return Entry(parse_provider(NPM_TOOL, "x"), tmp_path / "own" / "x.toml", built_in=False)


def test_a_script_is_copied_and_runs(tmp_path: Path, state: Path, lines: list[str]):
    entry = script_tool(tmp_path)
    assert install_tools([entry], state, lines.append)
    launcher = state / "tools" / "bin" / "made-up"
    assert subprocess.check_output([launcher]) == b"hello\n"
    assert installed_version(state / "tools", entry.provider) == "1"
    assert lines[-1] == "Made Up 1: installed"


def test_a_second_time_does_nothing(tmp_path: Path, state: Path, lines: list[str], npm: Path):
    entries = [npm_tool(tmp_path)]
    assert install_tools(entries, state, lines.append)
    calls = npm.read_text()
    assert calls == "ci --ignore-scripts\nrebuild @x/made-up\n"
    assert not install_tools(entries, state, lines.append)
    assert npm.read_text() == calls
    assert lines[-1] == "Made Up 1.0.0: already installed"


def test_a_changed_script_is_installed_again(tmp_path: Path, state: Path, lines: list[str]):
    install_tools([script_tool(tmp_path)], state, lines.append)
    entry = script_tool(tmp_path, "#!/bin/sh\necho new\n")
    assert not up_to_date(entry, state / "tools")
    assert install_tools([entry], state, lines.append)
    assert subprocess.check_output([state / "tools" / "bin" / "made-up"]) == b"new\n"


def test_a_launcher_works_wherever_tools_and_node_lie_beside_each_other(
    tmp_path: Path, state: Path, lines: list[str], npm: Path
):
    install_tools([npm_tool(tmp_path)], state, lines.append)
    moved = tmp_path / "opt"
    state.rename(moved)
    out = subprocess.check_output([moved / "tools" / "bin" / "made-up", "a b", "$c"], env={})
    program, *arguments = out.decode().rstrip("|").split("|")
    assert program.endswith("/node_modules/@x/made-up/cli.js")
    assert Path(program).exists()
    assert arguments == ["a b", "$c"]


def test_a_native_program_is_linked_relatively(
    tmp_path: Path, state: Path, lines: list[str], npm: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FAKE_NPM_PROGRAM", "#!/bin/sh\necho native\n")
    install_tools([npm_tool(tmp_path)], state, lines.append)
    launcher = state / "tools" / "bin" / "made-up"
    assert not launcher.readlink().is_absolute()
    assert subprocess.check_output([launcher]) == b"native\n"


def test_an_upgrade_keeps_the_old_files_for_what_still_runs(
    tmp_path: Path, state: Path, lines: list[str], npm: Path
):
    sets = state / "tools" / "sets"
    install_tools([npm_tool(tmp_path)], state, lines.append)
    (first,) = sets.iterdir()
    entry = npm_tool(tmp_path, "2.0.0")
    install_tools([entry], state, lines.append)
    assert installed_version(state / "tools", entry.provider) == "2.0.0"
    assert first in set(sets.iterdir())
    install_tools([npm_tool(tmp_path, "3.0.0")], state, lines.append)
    assert first not in set(sets.iterdir())
    assert len(list(sets.iterdir())) == 2


def test_machines_users_can_read_everything(
    tmp_path: Path, state: Path, lines: list[str], npm: Path
):
    before = os.umask(0o077)
    try:
        install_tools([npm_tool(tmp_path)], state, lines.append)
    finally:
        os.umask(before)
    for place in (state / "tools", state / "node"):
        for path in (place, *place.rglob("*")):
            mode = path.stat().st_mode
            if path.name not in {".lock"}:
                assert mode & stat.S_IROTH, path
            if path.is_dir():
                assert mode & stat.S_IXOTH, path


def test_a_failed_install_says_why_and_leaves_the_old_one(
    tmp_path: Path, state: Path, lines: list[str], npm: Path, monkeypatch: pytest.MonkeyPatch
):
    entry = npm_tool(tmp_path)
    install_tools([entry], state, lines.append)
    monkeypatch.setenv("FAKE_NPM_FAILS", "1")
    with pytest.raises(InstallFailed) as caught:
        install_tools([npm_tool(tmp_path, "2.0.0")], state, lines.append)
    assert "`npm ci` failed (exit code 7)" in caught.value.person
    assert "E503 the registry is away" in caught.value.person
    assert "Check the connection to the npm registry" in caught.value.person
    assert installed_version(state / "tools", entry.provider) == "1.0.0"
    assert (state / "tools" / "bin" / "made-up").exists()


def test_a_missing_file_is_named(tmp_path: Path, state: Path, lines: list[str], npm: Path):
    entry = script_tool(tmp_path)
    (tmp_path / "own" / "made-up").unlink()
    with pytest.raises(InvalidInput, match=r"Correct `install\.file`"):
        install_tools([entry], state, lines.append)
    entry = npm_tool(tmp_path)
    (tmp_path / "own" / "lock" / "package-lock.json").unlink()
    with pytest.raises(InvalidInput, match=r"package-lock\.json cannot be read"):
        install_tools([entry], state, lines.append)


def test_a_broken_record_means_not_installed(tmp_path: Path, state: Path, lines: list[str]):
    entry = script_tool(tmp_path)
    install_tools([entry], state, lines.append)
    for broken in (b"", b"[]", b'{"made-up": 1}', b'{"made-up": {"from": "else", "version": "1"}}'):
        (state / "tools" / "installed.json").write_bytes(broken)
        assert installed_version(state / "tools", entry.provider) is None
    assert install_tools([entry], state, lines.append)
    assert installed_version(state / "tools", entry.provider) == "1"
