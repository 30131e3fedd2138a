"""A small world for each test of the API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api_world import World, peopled_world


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with peopled_world(tmp_path) as made:
        yield made
