"""Fixtures: the shipped tree, made once, and machines that end with the test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from polydev.guest.ship import build_agent_tree
from tests.integration.guest.machine import READY_S, Boot, Machine, machine


@pytest.fixture(scope="session")
def agent_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_agent_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
async def boot(agent_tree: Path) -> AsyncIterator[Boot]:
    """Starts machines: ``await boot("cli")``."""
    async with AsyncExitStack() as stack:

        async def start(role: str, **options: object) -> Machine:
            return await stack.enter_async_context(machine(agent_tree, role, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture
async def cli(boot: Boot) -> Machine:
    """A CLI machine that is ready."""
    made = await boot("cli")
    await made.client.wait_ready(READY_S)
    return made
