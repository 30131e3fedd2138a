"""The scripts are sound, and a failing step is told in words."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from demo.__main__ import PROVIDERS
from demo.__main__ import parser as demo_parser

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    *(ROOT / "scripts" / name for name in ("setup.sh", "test", "demo", "lint")),
    ROOT / ".ci" / "run",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_executable_strict_bash(script: Path):
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_is_clean():
    subprocess.run(["shellcheck", *SCRIPTS], check=True)


def test_ci_runs_the_test_script_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == 'exec scripts/test "$@"'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the set-up script alone."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts" / "setup.sh")
    return tmp_path


def setup(checkout: Path, tools: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run it with these programs in front of the system's."""
    fakes = checkout / "fakes"
    fakes.mkdir(exist_ok=True)
    for name, body in tools.items():
        (fakes / name).write_text(f"#!/bin/sh\n{body}\n")
        (fakes / name).chmod(0o755)
    return subprocess.run(
        ["bash", checkout / "scripts" / "setup.sh"],
        env={"PATH": f"{fakes}:{os.environ['PATH']}", "HOME": str(checkout), **env},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def prepared(checkout: Path, *, polydev: str) -> None:
    """Everything is set up but for the tools, which this `polydev` is to install."""
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, body in {"python": "exit 0", "polydev": polydev}.items():
        (binaries / name).write_text(f"#!/bin/sh\n{body}\n")
        (binaries / name).chmod(0o755)
    for file in ("requirements/dev.txt", "pyproject.toml", "web/a", "src/polydev/api/static/x"):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text("")
    (checkout / "src/polydev/api/static/index.html").write_text("")
    script = checkout / "scripts" / "setup.sh"
    # Whatever a step is made from: it is up to date.
    script.write_text(script.read_text().replace("stamp_is() { [[", "stamp_is() { true || [["))


def test_a_package_that_cannot_be_installed_is_told_with_the_logs_lines(checkout: Path):
    done = setup(
        checkout,
        {
            "dpkg-query": "exit 1",
            "apt-get": "echo 'E: Could not resolve the mirror' >&2; exit 100",
            "sudo": 'shift; exec "$@"',
        },
    )
    assert done.returncode == 1
    assert "Set-up failed at: Debian packages" in done.stderr
    assert "    E: Could not resolve the mirror" in done.stderr
    assert "Is the package mirror reachable?" in done.stderr


@pytest.mark.parametrize(
    "said", ["E: dpkg was interrupted", "No space left on device", "Unable to locate package x"]
)
def test_what_is_not_the_networks_fault_is_not_blamed_on_it(said: str, checkout: Path):
    done = setup(
        checkout,
        {
            "dpkg-query": "exit 1",
            "apt-get": f"echo '{said}' >&2; exit 100",
            "sudo": 'shift; exec "$@"',
        },
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "reachable" not in done.stderr


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("npm error code EAI_AGAIN", True),
        ("npm error code E503", True),
        ("npm error code EACCES", False),
        ("Polydev: A provider file is wrong", False),
    ],
)
def test_the_npm_registry_is_named_only_for_an_error_of_the_network(
    said: str, blamed: bool, checkout: Path
):
    prepared(checkout, polydev=f"echo '{said}' >&2; exit 70")
    done = setup(checkout, {"dpkg-query": "printf installed"})
    assert done.returncode == 1
    assert "Set-up failed at: Command-line tools" in done.stderr
    assert said in done.stderr
    assert ("Is the npm registry reachable?" in done.stderr) == blamed


def test_a_checkout_that_cannot_be_written_to_is_said_so(checkout: Path):
    (checkout / ".setup").write_text("in the way, as a read-only checkout would be")
    done = setup(checkout, {})
    assert done.returncode == 1
    assert f"this user may not write to {checkout}" in done.stderr
    assert "clone it into a folder of your own" in done.stderr


# --- scripts/demo --------------------------------------------------------------------------------


def run_demo(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a checkout whose set-up leaves a mark instead of doing anything."""
    shutil.copy(ROOT / "scripts" / "demo", checkout / "scripts" / "demo")
    (checkout / "scripts" / "setup.sh").write_text('#!/bin/sh\n>"$(dirname "$0")/../was-set-up"\n')
    (checkout / "scripts" / "setup.sh").chmod(0o755)
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    return subprocess.run(
        [checkout / "scripts" / "demo", *words], capture_output=True, text=True, check=False
    )


def test_the_demos_help_needs_no_set_up_and_names_every_option(checkout: Path):
    done = run_demo(checkout, "--help")
    assert done.returncode == 0
    assert not (checkout / "was-set-up").exists()
    for action in demo_parser()._actions:
        for name in action.option_strings:
            assert name in {"-h", "--help"} or name in done.stdout
    for provider in PROVIDERS:
        assert provider in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--provider", "nope"], "there is no provider 'nope'; choose codex"),
        (["--provider=nope"], "there is no provider 'nope'"),
        (["--provider"], "--provider needs a value"),
        (["--port", "many"], "--port needs a number"),
        (["--hodl"], "there is no option '--hodl'"),
    ],
)
def test_a_wrong_word_to_the_demo_is_told_before_any_set_up(
    words: list[str], said: str, checkout: Path
):
    done = run_demo(checkout, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (checkout / "was-set-up").exists()


@pytest.mark.parametrize(
    "words",
    [[], ["--hold"], ["--provider", "gemini_cli", "--hold", "--port=4001", "--state-dir", "a b"]],
)
def test_the_demo_is_given_its_words_after_the_set_up(words: list[str], checkout: Path):
    done = run_demo(checkout, *words)
    assert done.returncode == 0, done.stderr
    assert (checkout / "was-set-up").exists()
    assert done.stdout == " ".join(["-m", "demo", *words]) + "\n"


def test_an_old_python_is_told_before_anything_is_made(checkout: Path):
    done = setup(
        checkout,
        {"dpkg-query": "printf installed", "old-python": "exit 1"},
        POLYDEV_SETUP_PYTHON="old-python",
    )
    assert done.returncode == 1
    assert "must be Python 3.11 or newer" in done.stderr
    assert not (checkout / ".venv").exists()


def test_another_system_is_told_what_it_needs(checkout: Path, tmp_path: Path):
    # A PATH of chosen programs, without apt-get.
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("bash", "dirname", "mkdir", "flock", "date", "awk", "sed", "cat"):
        found = shutil.which(name)
        assert found
        (bare / name).symlink_to(found)
    done = subprocess.run(
        ["bash", checkout / "scripts" / "setup.sh"],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "This is not Debian" in done.stderr
    assert "bubblewrap" in done.stderr
