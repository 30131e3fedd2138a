"""How long a machine may be silent before another takes its place."""

import asyncio

import pytest

from polydev.domain.machine import MachineKind
from polydev.machines import manager
from tests.session_world import MakeWorld


async def test_a_person_does_not_wait_long_for_a_warm_machine_that_is_silent(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_WARM_HEALTH_S", 0.05)
    world = await make_world(machines={"pool_size": 0})
    await world.server.machines.make_warm()
    (warm,) = await world.server.machines.warm_machines()
    world.host.guests[warm.id].silent = True
    # Well below the time that a machine in use is given.
    session = await world.over(await world.start(), timeout_s=manager._HEALTH_S * 3 / 4)
    assert session.state.value == "completed"
    assert session.machine_id != warm.id
    discarded = await world.server.machines.get(warm.id)
    assert discarded.detail == "the warm machine was sick when taken"


async def test_a_cli_machine_that_is_slow_to_answer_keeps_running(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_WARM_HEALTH_S", 0.05)
    world = await make_world()
    machine = await world.server.machines.cli_machine(world.user_id)
    world.host.hangs.add("ready cli")
    asked = asyncio.create_task(world.server.machines.cli_machine(world.user_id))
    done, _ = await asyncio.wait({asked}, timeout=0.3)
    assert not done
    world.host.hangs.release("ready cli")
    assert (await asked).incarnation == machine.incarnation
    assert len(world.host.of(MachineKind.CLI)) == 1
