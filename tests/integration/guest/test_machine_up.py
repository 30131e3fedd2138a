"""Starting, restarting and giving up: the supervisor and the agent as real processes."""

import asyncio
import contextlib
import json
import os
import socket
import stat

import pytest

from polydev.domain.secret import Secret
from polydev.domain.session import Reason
from polydev.errors import AgentError, MachineNotReady
from polydev.guest.client import AgentClient, AgentUnreachable, UnitCrashLoop
from polydev.guest.protocol import EventKind, UnitState
from tests.integration.guest.machine import READY_S, Boot, Machine, dial

pytestmark = pytest.mark.slow

BROKEN = "#!/bin/sh\necho 'the reason is in here' >&2\nexit 3\n"
AGENT = "/usr/bin/python3 -IS /opt/polydev/agent/bin/agent"


async def test_a_cli_machine_is_ready_in_a_moment(boot: Boot) -> None:
    machine = await boot("cli")

    health = await machine.client.wait_ready(READY_S)

    assert [unit.name for unit in health.units] == ["forwarder", "agent"]
    assert health.role == "cli"


async def test_a_browser_machine_shows_its_first_page_and_a_display(boot: Boot) -> None:
    machine = await boot("browser")

    health = await machine.client.wait_ready(READY_S)

    names = [unit.name for unit in health.units]
    assert names == ["forwarder", "display", "wm", "chromium", "agent"]
    assert await _rfb_greeting(machine) == b"RFB 003.008\n"


async def test_sockets_are_for_their_owner_alone(boot: Boot) -> None:
    machine = await boot("browser")
    await machine.client.wait_ready(READY_S)

    for name in ("agent.sock", "display.sock"):
        assert stat.S_IMODE((machine.folder / "host" / name).stat().st_mode) == 0o600


async def test_chromium_opens_no_port_and_keeps_its_own_sandbox(boot: Boot) -> None:
    machine = await boot("browser")
    await machine.client.wait_ready(READY_S)

    # State 0A is "listening"; 0C38 is the forwarder's port, 3128.
    _, tcp = await machine.sh("grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6")
    assert [line.split()[1].rpartition(":")[2] for line in tcp.splitlines()] == ["0C38"]
    _, flags = await machine.sh("pgrep -o -a -f '^/usr/lib/chromium/chromium'")
    assert "--no-sandbox" not in flags


async def test_without_the_token_every_path_answers_401(cli: Machine) -> None:
    stranger = AgentClient(lambda: dial(cli.folder / "host" / "agent.sock"), Secret("x" * 24))
    try:
        with pytest.raises(AgentError, match="token") as refusal:
            await stranger.login_status()
        assert "401" in refusal.value.detail
        with pytest.raises(AgentError):
            await stranger.logs("agent")
    finally:
        await stranger.close()


async def test_the_supervisor_starts_a_killed_agent_again(cli: Machine) -> None:
    await cli.kill(AGENT)

    health = await cli.client.wait_ready(READY_S)

    agent = next(unit for unit in health.units if unit.name == "agent")
    assert agent.restarts == 1
    event = await cli.event(EventKind.UNIT, unit="agent", state="ready")
    assert event.data["restarts"] == 1


async def test_events_of_a_new_agent_come_after_those_of_the_old_one(cli: Machine) -> None:
    before = await cli.event(EventKind.UNIT, unit="agent", state="ready")

    await cli.kill(AGENT)
    await cli.client.wait_ready(READY_S)

    after = await cli.event(EventKind.UNIT, unit="agent", state="ready")
    assert after.seq > before.seq
    assert after.data["restarts"] == 1


async def test_an_agent_in_a_crash_loop_is_reported_by_the_supervisor(boot: Boot) -> None:
    machine = await boot("cli", replace={"/opt/polydev/agent/bin/agent": BROKEN})

    with pytest.raises(UnitCrashLoop) as loop:
        await machine.client.wait_ready(READY_S)

    assert loop.value.reason is Reason.AGENT_CRASH_LOOP
    assert "the reason is in here" in loop.value.detail
    assert "the reason is in here" in await machine.client.logs("agent")
    with pytest.raises(AgentError, match="crashing"):
        await machine.client.login_status()
    console = await machine.console.until("@polydev ")
    marked = next(x for x in console.splitlines() if x.startswith("@polydev "))
    report = json.loads(marked.removeprefix("@polydev "))
    assert (report["name"], report["state"]) == ("agent", "crash_loop")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/usr/bin/Xvnc", Reason.DISPLAY_CRASH_LOOP),
        ("/usr/lib/chromium/chromium", Reason.BROWSER_CRASH_LOOP),
    ],
)
async def test_a_unit_in_a_crash_loop_ends_the_wait_with_its_last_lines(
    boot: Boot, program: str, reason: Reason
) -> None:
    machine = await boot("browser", replace={os.path.realpath(program): BROKEN})

    with pytest.raises(UnitCrashLoop) as loop:
        await machine.client.wait_ready(READY_S)

    assert loop.value.reason is reason
    assert "the reason is in here" in loop.value.detail
    await machine.console.until("exit code 3")
    event = await machine.event(EventKind.UNIT, state=UnitState.CRASH_LOOP.value)
    assert event.data["exit"] == 3


async def test_a_display_that_dies_takes_its_programs_along_and_all_come_back(
    boot: Boot,
) -> None:
    machine = await boot("browser")
    await machine.client.wait_ready(READY_S)

    await machine.kill("/usr/bin/Xvnc")
    await machine.event(EventKind.UNIT, unit="display", state="ready", restarts=1)
    health = await machine.client.wait_ready(READY_S)

    restarts = {unit.name: unit.restarts for unit in health.units}
    assert restarts["display"] == 1, machine.console.text
    assert restarts["chromium"] <= 1
    assert await _rfb_greeting(machine) == b"RFB 003.008\n"


async def test_a_machine_that_is_not_there_is_not_waited_for_beyond_the_time(
    boot: Boot,
) -> None:
    machine = await boot("cli", replace={"/opt/polydev/agent/bin/supervisor": BROKEN})

    with pytest.raises(MachineNotReady):
        await machine.client.wait_ready(0.5)


async def _rfb_greeting(machine: Machine) -> bytes:
    end: socket.socket = await dial(machine.folder / "host" / "display.sock")
    with end:
        async with asyncio.timeout(READY_S):
            return await asyncio.get_running_loop().sock_recv(end, 12)


async def test_sigterm_ends_all_units_in_order(boot: Boot) -> None:
    machine = await boot("browser")
    await machine.client.wait_ready(READY_S)
    supervisor = await machine.pid_of("/usr/bin/python3 -IS /opt/polydev/agent/bin/supervisor")

    with contextlib.suppress(AgentUnreachable):
        await machine.sh(f"kill -TERM {supervisor}")

    async with asyncio.timeout(60):
        assert await machine.process.wait() == 0
    console = await machine.console.whole()
    assert "supervisor: ending" in console
    assert "crash_loop" not in console


async def test_a_machine_whose_keeper_is_gone_ends(boot: Boot) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        machine = await boot("cli", lifeline=theirs)
        await machine.client.wait_ready(READY_S)
        theirs.close()

        ours.close()

        async with asyncio.timeout(60):
            await machine.process.wait()
