"""What a start does with machines that its database does not know, or knows under another name."""

import pytest
import structlog
from sqlalchemy import delete, update

from polydev.domain.machine import MachineKind, MachineState
from polydev.domain.session import SessionState
from polydev.store.models import CredentialRow, MachineRow, SessionRow
from polydev.store.repositories import machines
from tests.fake_machines import TOKEN_FILE, token_file
from tests.session_world import MakeWorld, World


async def signed_in(world: World) -> str:
    """A person's CLI machine, with their files in its home."""
    session = await world.over(await world.start())
    assert session.state is SessionState.COMPLETED
    assert session.cli_machine_id is not None
    return session.cli_machine_id


async def test_a_cli_machines_home_survives_a_database_that_does_not_know_it(
    world: World,
) -> None:
    machine_id = await signed_in(world)
    await world.kill()
    next_server = world.new_server()
    async with next_server.db.transaction() as tx:  # as an old backup, or another database
        await tx.execute(update(SessionRow).values(cli_machine_id=None))
        await tx.execute(update(CredentialRow).values(machine_id=None))
        await tx.execute(delete(MachineRow).where(MachineRow.id == machine_id))
    world.server = next_server
    with structlog.testing.capture_logs() as logs:
        reclaimed = await next_server.machines.reclaim()
    await next_server.engine.start(next_server.journey)
    assert (reclaimed.set_aside, reclaimed.leftovers) == (1, 0)
    assert world.host.orphans[machine_id][TOKEN_FILE] == token_file().content
    assert world.host.guests == {}
    (said,) = [line for line in logs if line["event"] == "machine.home_kept"]
    assert said["log_level"] == "error"
    assert said["path"] == f"/orphans/{machine_id}"
    assert "move the folder back" in said["said"]


async def test_a_new_executor_id_takes_its_hosts_machines_along(world: World) -> None:
    machine_id = await signed_in(world)
    await world.kill()
    world.server = world.new_server(executor_id="renamed")
    reclaimed = await world.server.machines.reclaim()
    await world.server.engine.start(world.server.journey)
    assert (reclaimed.adopted, reclaimed.kept, reclaimed.set_aside) == (1, 1, 0)
    machine = await world.server.machines.get(machine_id)
    assert (machine.state, machine.executor_id) == (MachineState.READY, "renamed")
    assert world.host.the(MachineKind.CLI).home[TOKEN_FILE] == token_file().content


async def test_a_warm_machine_of_the_former_executor_id_is_destroyed(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    await world.server.machines.make_warm()
    await world.kill()
    world.server = world.new_server(executor_id="renamed")
    reclaimed = await world.server.machines.reclaim()
    await world.server.engine.start(world.server.journey)
    assert (reclaimed.adopted, reclaimed.destroyed) == (1, 1)
    assert world.host.guests == {}


@pytest.mark.parametrize("executor_id", ["local", "other"])
async def test_a_browser_machine_that_no_row_knows_is_removed(
    world: World, executor_id: str
) -> None:
    await world.server.machines.make_warm()
    async with world.server.db.transaction() as tx:
        (record,) = await machines.any_list(tx)
        await machines.mark_destroyed(tx, record.id, detail="by a test")
    await world.kill()
    world.server = world.new_server(executor_id=executor_id)
    reclaimed = await world.server.machines.reclaim()
    await world.server.engine.start(world.server.journey)
    assert (reclaimed.leftovers, reclaimed.set_aside) == (1, 0)
    assert world.host.guests == {}
