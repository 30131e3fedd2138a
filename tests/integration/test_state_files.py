"""What a server keeps is its own user's: nothing of it may be read by others."""

import os
import stat
from pathlib import Path

import pytest

from polydev.server import running
from polydev.settings import Machines, load_settings

pytestmark = pytest.mark.slow

PUBLIC = {"agents", "node", "tools"}
"""Programs, which machines' own users run; nothing in them is secret."""
PASSAGE = {"", "machines"}
"""Folders that those users pass through, and cannot list."""


async def test_after_a_start_only_its_own_user_can_read_the_state(state_dir: Path):
    before = os.umask(0o022)  # what most accounts have
    try:
        async with running(load_settings(state_dir=state_dir, machines=Machines(pool_size=0))):
            open_to_others = {
                f"{path.relative_to(state_dir)} {stat.S_IMODE(path.lstat().st_mode):04o}"
                for path in [state_dir, *state_dir.rglob("*")]
                if path.relative_to(state_dir).parts[:1] not in {(name,) for name in PUBLIC}
                and path.lstat().st_mode & allowed_to_nobody(path.relative_to(state_dir))
            }
            kept = {path.name for path in state_dir.iterdir()}
    finally:
        os.umask(before)
    assert {"polydev.db", "polydev.engine.db", "keys", "server.lock"} <= kept
    assert open_to_others == set()


def allowed_to_nobody(path: Path) -> int:
    return 0o066 if str(path).removeprefix(".") in PASSAGE else 0o077
