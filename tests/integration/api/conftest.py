"""A small world for each test of the API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from polydev.api import standing
from tests.api_world import World, peopled_world


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with peopled_world(tmp_path) as made:
        yield made


@pytest.fixture
def looks_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation must close a stream by itself, not by the next look."""
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 3600.0)
