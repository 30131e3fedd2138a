"""The directory that is bound into machines."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from polydev.errors import MachineError
from polydev.guest import ship


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ship.build_agent_tree(tmp_path_factory.mktemp("state"))


def test_it_is_found_again_and_named_by_its_content(tree: Path) -> None:
    before = tree.stat().st_mtime_ns

    assert ship.build_agent_tree(tree.parent) == tree
    assert tree.stat().st_mtime_ns == before
    assert re.fullmatch(r"agent-[0-9a-f]{20}", tree.name)
    assert [path.name for path in tree.parent.iterdir()] == [tree.name]


def test_it_holds_python_only_and_of_us_only_the_guests_part(tree: Path) -> None:
    suffixes = {path.suffix for path in (tree / "lib").rglob("*") if path.is_file()}
    assert suffixes <= {".py", ".pyc", ".xml", ".html"}

    ours = tree / "lib" / "polydev"
    assert {path.name for path in ours.iterdir()} - {"__pycache__"} == {
        "__init__.py",
        "domain",
        "guest",
    }
    assert not (ours / "guest" / "client.py").exists()


def test_everybody_may_read_it_and_nobody_else_write_it(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        programs = path.resolve().parent == tree / "bin"
        wanted = 0o755 if path.is_dir() or programs else 0o644
        assert mode == wanted, path


def test_it_names_no_path_of_this_machine(tree: Path) -> None:
    place = str(tree.parent).encode()
    for path in tree.rglob("*.pyc"):
        assert place not in path.read_bytes(), path


def test_the_guests_own_python_imports_the_agent_from_it_alone(tree: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import polydev.guest.agent.main, "
    code += "polydev.guest.agent.supervisor.main, uvicorn.protocols.http.h11_impl, "
    code += "uvicorn.protocols.websockets.websockets_sansio_impl"
    command = [ship.GUEST_PYTHON, "-IS", "-c", code, str(tree / "lib")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_browser_shim_says_when_no_sign_in_runs(tree: Path) -> None:
    command = [str(tree / "bin" / "open-url"), "https://a.example/"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})

    assert (done.returncode, done.stderr) == (1, "open-url: no sign-in is running\n")


def test_a_missing_guest_python_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "GUEST_PYTHON", "/nonexistent/python3")

    with pytest.raises(MachineError, match="install the package python3"):
        ship.build_agent_tree(tmp_path)
    assert list(tmp_path.iterdir()) == []
