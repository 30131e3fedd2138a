"""The scripts are sound, and a failing step is told in words."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def test_a_package_that_cannot_be_installed_is_told_with_the_logs_lines(checkout: Path):
    done = setup(
        checkout,
        {
            "dpkg-query": "exit 1",
            "apt-get": "echo 'E: the mirror is away' >&2; exit 100",
            "sudo": 'shift; exec "$@"',
        },
    )
    assert done.returncode == 1
    assert "Set-up failed at: Debian packages" in done.stderr
    assert "    E: the mirror is away" in done.stderr
    assert "Is the package mirror reachable?" in done.stderr


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
