"""What a session survives: a killed server, a dead machine, a person who stays away."""

import asyncio
import os
from pathlib import Path

import pytest
from playwright.async_api import Page

from demo.server import polydev_server
from tests.e2e.world import World
from tests.standins.colours import Stage
from tests.standins.server import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_session_goes_on_after_its_server_was_killed(
    stand_in: StandIn, own_state_dir: Path, page: Page
) -> None:
    async with polydev_server(stand_in, own_state_dir) as server, server.client() as client:
        world = World(server, stand_in, client, page)
        started = await world.start("codex")
        await page.goto(started["novncURL"])
        await world.viewer.wait_for(Stage.LOGIN)
        machine_id = (await world.session(started["sessionId"]))["machineId"]

        await server.kill()
        await server.start()

        # The same machine, with the same page in it: the person just goes on.
        assert (await world.session(started["sessionId"]))["machineId"] == machine_id
        await world.open_dashboard(f"/view/{started['sessionId']}")
        await world.viewer.sign_in(stand_in.person)
        await world.viewer.authorize()
        session = await world.until_gone(started["sessionId"])
        assert (session["state"], session["machineId"]) == ("completed", machine_id)

        # The CLI machine too is the same after another crash, and still signed in.
        await server.kill()
        await server.start()
        answer = await client.post(f"/api/credentials/{session['credentialId']}/verify")
        assert answer.json()["ok"]
        await client.delete(f"/api/machines/{session['cliMachineId']}")


async def test_a_machine_that_died_while_the_server_was_down_has_a_reason(
    stand_in: StandIn, own_state_dir: Path, page: Page
) -> None:
    async with polydev_server(stand_in, own_state_dir) as server, server.client() as client:
        world = World(server, stand_in, client, page)
        started = await world.start("acme")
        await world.until(started["sessionId"], "awaiting_user")
        machine_id = (await world.session(started["sessionId"]))["machineId"]
        await server.kill()
        for pid in keepers_of(machine_id):
            os.kill(pid, 9)
        await server.start()
        session = await world.until_gone(started["sessionId"])
        assert (session["state"], session["reason"]) == ("failed", "machine_died")
        assert "Nothing was captured; start again" in session["message"]
        assert not (own_state_dir / "machines" / machine_id).exists()


async def test_a_person_who_never_comes_ends_the_session(
    stand_in: StandIn, own_state_dir: Path, page: Page
) -> None:
    settings = {"POLYDEV_TIMEOUTS__PERSON": "2", "POLYDEV_MACHINES__POOL_SIZE": "0"}
    async with (
        polydev_server(stand_in, own_state_dir, settings=settings) as server,
        server.client() as client,
    ):
        world = World(server, stand_in, client, page)
        started = await world.start("acme")
        session = await world.until_gone(started["sessionId"])
        assert (session["state"], session["reason"]) == ("expired", "person_absent")
        assert "Start again and keep the live view open" in session["message"]
        assert (await world.machine(session["machineId"]))["state"] == "destroyed"
        assert await world.console_is_kept(started["sessionId"])
    assert keepers_in(own_state_dir) == []


async def test_a_stopped_server_leaves_no_process_but_the_cli_machines(
    stand_in: StandIn, own_state_dir: Path, page: Page
) -> None:
    async with polydev_server(stand_in, own_state_dir) as server, server.client() as client:
        world = World(server, stand_in, client, page)
        started = await world.start("acme")
        await page.goto(started["novncURL"])
        await world.viewer.sign_in(stand_in.person)
        await world.viewer.authorize()
        session = await world.until_gone(started["sessionId"])
        assert session["state"] == "completed"
        # Not by the end of the block: that kills a server which takes long, on a busy host.
        assert server.process is not None
        server.process.terminate()
        async with asyncio.timeout(180):
            assert await server.process.wait() == 0
    left = keepers_in(own_state_dir)
    assert len(left) == 1
    assert left == keepers_of(session["cliMachineId"])
    os.kill(left[0], 15)


def keepers_of(machine_id: str) -> list[int]:
    return [pid for pid, argv in _keepers() if machine_id in argv]


def keepers_in(state_dir: Path) -> list[int]:
    # By their console logs: a machine's folder goes with it, and with that its name.
    machines = {path.name.partition(".")[0] for path in (state_dir / "consoles").iterdir()}
    assert machines
    return [pid for pid, argv in _keepers() if machines & set(argv)]


def _keepers() -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_text(errors="replace").split("\0")
            except OSError:
                continue
            if "polydev.machines.sandbox.keeper" in argv:
                found.append((int(entry.name), argv))
    return found
