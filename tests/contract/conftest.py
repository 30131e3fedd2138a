"""The contract test's fixtures: every driver, and machines that end with the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polydev.machines.driver import Driver
from tests.contract.machines import DRIVERS, Machines


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest, state_dir: Path) -> Driver:
    return DRIVERS[request.param](state_dir)


@pytest.fixture
async def machines(driver: Driver) -> AsyncIterator[Machines]:
    box = Machines(driver)
    yield box
    for machine_id, state in box.made.items():
        await driver.destroy(machine_id, state)
