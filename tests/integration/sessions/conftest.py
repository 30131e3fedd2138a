"""A running server with fake machines, made as a test asks for it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.session_world import MakeWorld, World, session_world


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """With settings of the test's own, ended when it ends."""
    async with contextlib.AsyncExitStack() as undo:

        async def make(**options: Any) -> World:
            return await undo.enter_async_context(session_world(tmp_path, **options))

        yield make


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()
