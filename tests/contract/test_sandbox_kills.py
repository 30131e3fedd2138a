"""A keeper that is killed takes its machine along, at whatever moment."""

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import random
import signal
from pathlib import Path

import pytest

from polydev.domain.machine import MachineKind
from polydev.errors import MachineError
from polydev.machines.cgroups import CgroupSupport, incarnations
from polydev.machines.driver import DriverState, Running
from polydev.machines.processes import ProcessRef
from polydev.machines.sandbox.driver import SandboxDriver
from polydev.machines.sandbox.marks import carriers
from tests.contract.machines import READY_S, Machines
from tests.machines import make_sandbox_driver

pytestmark = pytest.mark.slow

ROUNDS = 15
NO_CGROUPS = CgroupSupport("none", (), "not in this test")


@pytest.mark.parametrize("limited", [True, False], ids=["with cgroups", "without cgroups"])
async def test_a_keeper_killed_early_leaves_nothing_once_destroy_has_returned(
    machines: Machines, state_dir: Path, limited: bool
) -> None:
    driver = machines.driver
    assert isinstance(driver, SandboxDriver)
    if not limited:
        driver._cgroups = NO_CGROUPS
    # User ids that nothing else on this host takes: a test run beside this one starts machines too,
    # and would give one an id of ours the moment that it is free.
    base = 300_000_000 + os.getpid() * 100
    driver._options = dataclasses.replace(driver._options, uid_base=base, uid_count=100)
    moments = random.Random(20)
    for _ in range(ROUNDS):
        spec = machines.spec(MachineKind.CLI)
        folder = state_dir / "machines" / spec.machine_id
        starting = asyncio.create_task(driver.start(spec))
        pid = await _keeper_of(folder / "keeper.json", starting)
        user = folder.stat().st_gid
        await asyncio.sleep(moments.uniform(0, 0.03))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        state = None
        with contextlib.suppress(MachineError):
            state = await starting
        await driver.destroy(spec.machine_id, state)
        assert carriers(spec.incarnation) == []
        if os.geteuid() == 0:
            assert _processes_of(user) == []
        assert spec.incarnation not in incarnations(driver._cgroups)
        assert not folder.exists()


async def test_a_machine_ends_although_all_that_is_known_of_it_is_its_incarnation(
    machines: Machines,
) -> None:
    """Its keeper is stopped and cannot end it, and no control group tells of its processes."""
    driver = machines.driver
    assert isinstance(driver, SandboxDriver)
    driver._cgroups = NO_CGROUPS
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    await client.close()
    init = ProcessRef(int(state["init_pid"]), int(state["init_ticks"]))
    os.kill(int(state["pid"]), signal.SIGSTOP)
    nothing = ProcessRef(2**22 - 1, 1)
    await driver.stop(
        {
            "machine_id": spec.machine_id,
            "incarnation": spec.incarnation,
            "pid": nothing.pid,
            "start_ticks": nothing.start_ticks,
        }
    )
    assert not init.alive()
    assert carriers(spec.incarnation) == []


async def _keeper_of(file: Path, starting: asyncio.Task[object]) -> int:
    while True:
        # Asked before the file is looked for: on a busy host the whole start may fit in one pause.
        started = starting.done()
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads(file.read_text())["pid"])
        if started:
            raise AssertionError(f"it never began: {starting.exception()}")
        await asyncio.sleep(0.0005)


def _processes_of(user: int) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                if f"\nUid:\t{user}\t" in status and "\nState:\tZ" not in status:
                    found.append((entry / "cmdline").read_text())
    return found


async def test_a_machine_outlives_the_loop_that_started_it(
    machines: Machines, state_dir: Path
) -> None:
    """As it does a server that is stopped: what asyncio itself starts, it kills with its loop."""
    spec = machines.spec(MachineKind.CLI)

    def a_server_comes_and_goes() -> DriverState:
        state = asyncio.run(make_sandbox_driver(state_dir).start(spec))
        gc.collect()
        return state

    state = await asyncio.to_thread(a_server_comes_and_goes)
    machines.made[spec.machine_id] = state
    client = machines.client(spec, state)
    await client.wait_ready(READY_S)
    assert isinstance(await machines.driver.poll(state), Running)
    await client.close()
