"""Makes the directory that is bound into every machine at /opt/polydev/agent.

It holds the agent, the parts of `polydev` that it imports and its pure-Python dependencies, byte
compiled for the guest's interpreter, so that a machine needs nothing but Debian's python3. Its
name is a hash of its content: a new version never changes the tree under a running machine.
"""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polydev
from polydev.errors import MachineError

GUEST_PYTHON: Final = "/usr/bin/python3"

_OURS: Final = (
    "__init__.py",
    "domain",
    "guest/__init__.py",
    "guest/protocol.py",
    "guest/homepath.py",
    "guest/codec.py",
    "guest/manifest.py",
    "guest/agent",
)
_DEPENDENCIES: Final = (
    "anyio",
    "click",
    "h11",
    "idna",
    "starlette",
    "typing_extensions",
    "uvicorn",
    "websockets",
)
_SUFFIXES: Final = (".py", ".xml", ".html")
_LAUNCHER: Final = """#!{python} -IS
import sys
sys.path.insert(0, __file__.rpartition("/bin/")[0] + "/lib")
from {module} import main
main()
"""
_LAUNCHERS: Final = {
    "supervisor": "polydev.guest.agent.supervisor.main",
    "agent": "polydev.guest.agent.main",
}


def build_agent_tree(target: Path) -> Path:
    """Return the agent's directory under ``target``, building it if this version is not there.

    Safe to call from several processes at once. Raises `MachineError` when the guest's Python is
    missing or cannot compile the tree.
    """
    files = dict(_inputs())
    tree = target / f"agent-{_digest(files)}"
    if tree.is_dir():
        return tree
    target.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".agent-", dir=target))
    try:
        _write(building, files)
        _compile(building / "lib")
        _open_to_all(building)
        try:
            building.rename(tree)
        except OSError:
            # Another process was first; its tree has the same content.
            if not tree.is_dir():
                raise
    except OSError as error:
        raise MachineError(
            f"The guest agent could not be built in {target}: {error.strerror}"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return tree


def _inputs() -> Iterator[tuple[str, Path]]:
    """All files of the tree: their place in it and where they come from."""
    package = Path(polydev.__file__).parent
    for name in _OURS:
        source = package / name
        found = sorted(source.rglob("*")) if source.is_dir() else [source]
        for path in found:
            if path.suffix in _SUFFIXES and path.is_file():
                yield f"lib/polydev/{path.relative_to(package)}", path
    for name in _DEPENDENCIES:
        for file in importlib.metadata.files(name) or ():
            if file.suffix == ".py" and ".." not in file.parts and "tests" not in file.parts:
                yield f"lib/{file.as_posix()}", Path(str(file.locate()))


def _digest(files: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    version = Path(GUEST_PYTHON).resolve().name
    digest.update(f"{version}\0".encode())
    digest.update(Path(__file__).read_bytes())  # the launchers and the tree's form
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:20]


def _write(tree: Path, files: dict[str, Path]) -> None:
    for name, source in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    bin_ = tree / "bin"
    bin_.mkdir()
    for name, module in _LAUNCHERS.items():
        (bin_ / name).write_text(_LAUNCHER.format(python=GUEST_PYTHON, module=module))
    shim = files["lib/polydev/guest/agent/open_url.py"].read_text()
    (bin_ / "open-url").write_text(f"#!{GUEST_PYTHON} -IS\n{shim}")
    shims = tree / "shims"
    shims.mkdir()
    (shims / "xdg-open").symlink_to("../bin/open-url")


def _compile(lib: Path) -> None:
    """Byte-compile with hashes that are never checked: the tree is read-only in a machine."""
    command = [GUEST_PYTHON, "-I", "-m", "compileall", "-q", "-j", "0"]
    command += [
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(lib),
        "-p",
        "/opt/polydev/agent/lib",
    ]
    try:
        done = subprocess.run([*command, str(lib)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise MachineError(
            f"{GUEST_PYTHON} is missing: install the package python3.", detail=str(error)
        ) from error
    if done.returncode != 0:
        raise MachineError(
            f"{GUEST_PYTHON} cannot compile the guest agent; it must be Python 3.11 or newer.",
            detail=(done.stdout + done.stderr)[-2000:],
        )


def _open_to_all(tree: Path) -> None:
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            path.chmod(0o755 if path.parent.name == "bin" else 0o644)
