"""The machine contract, held against every driver that this host can run.

A driver is added to `DRIVERS` (machines.py); nothing else here changes.
"""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from polydev.domain.machine import Channel, MachineKind
from polydev.domain.secret import Secret
from polydev.errors import MachineGone, NotSignedIn, PolydevError
from polydev.guest.client import AgentClient
from polydev.guest.protocol import PtyRequest
from polydev.machines.driver import Exited, Running
from tests.contract.machines import DRIVERS, READY_S, Machines, sh

pytestmark = pytest.mark.slow


async def test_a_browser_machine_becomes_ready_and_shows_its_display(machines: Machines) -> None:
    state, client = await machines.boot(machines.spec(MachineKind.BROWSER))
    health = await client.health()
    assert health.ready
    assert {unit.name for unit in health.units} >= {"display", "wm", "chromium", "agent"}
    display = await machines.driver.dial(state, Channel.DISPLAY)
    try:
        display.setblocking(True)
        display.settimeout(READY_S)
        assert display.recv(12) == b"RFB 003.008\n"
    finally:
        display.close()


async def test_the_agent_answers_nobody_without_the_machines_own_token(machines: Machines) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, _ = await machines.boot(spec)
    stranger = AgentClient(
        lambda: machines.driver.dial(state, Channel.AGENT), Secret("not-the-token-of-this-machine")
    )
    with pytest.raises(PolydevError) as caught:
        await stranger.health()
    assert not isinstance(caught.value, NotSignedIn)  # that is for people, not for machines
    await stranger.close()


async def test_a_cli_machines_home_survives_stop_and_start(machines: Machines) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    assert (await sh(client, "echo kept > ~/note; id -un; hostname")).out == b"dev\npolydev\n"
    await client.close()
    await machines.driver.stop(state)
    assert isinstance(await machines.driver.poll(state), Exited)

    again = machines.spec(MachineKind.CLI, spec.machine_id)
    _, client = await machines.boot(again)
    assert (await sh(client, "cat ~/note")).out == b"kept\n"
    await client.close()


async def test_a_new_driver_object_adopts_a_running_machine(
    machines: Machines, state_dir: Path
) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    await client.close()
    other = DRIVERS[machines.driver.name](state_dir)
    assert isinstance(await other.poll(state), Running)
    client = AgentClient(lambda: other.dial(state, Channel.AGENT), spec.agent_token)
    assert (await client.health()).ready
    await client.close()


async def test_stopping_an_old_incarnation_leaves_its_successor_alone(machines: Machines) -> None:
    spec = machines.spec(MachineKind.CLI)
    old, client = await machines.boot(spec)
    await client.close()
    await machines.driver.stop(old)
    new, client = await machines.boot(machines.spec(MachineKind.CLI, spec.machine_id))
    await machines.driver.stop(old)
    assert isinstance(await machines.driver.poll(new), Running)
    assert (await client.health()).ready
    await client.close()


async def test_a_boot_that_was_forgotten_ends_before_the_next_one(machines: Machines) -> None:
    """A server killed during a boot never wrote down what it had started."""
    first = machines.spec(MachineKind.CLI)
    forgotten, client = await machines.boot(first)
    await client.close()
    again = machines.spec(MachineKind.CLI, first.machine_id)
    _, client = await machines.boot(again)
    assert isinstance(await machines.driver.poll(forgotten), Exited)
    assert (await client.health()).ready
    await client.close()
    await machines.driver.destroy(first.machine_id, None)
    assert first.machine_id not in processes()


async def test_destroy_leaves_nothing_but_the_console_log(
    machines: Machines, state_dir: Path
) -> None:
    spec = machines.spec(MachineKind.BROWSER)
    state, client = await machines.boot(spec)
    await client.close()
    assert spec.machine_id in processes()
    await machines.driver.destroy(spec.machine_id, state)
    await machines.driver.destroy(spec.machine_id, state)
    assert spec.machine_id not in processes()
    assert isinstance(await machines.driver.poll(state), Exited)
    with pytest.raises(MachineGone):
        await machines.driver.dial(state, Channel.AGENT)
    left = [path for path in state_dir.rglob(f"*{spec.machine_id}*") if "consoles" not in str(path)]
    assert left == []
    assert b"display:" in await machines.driver.console(spec.machine_id)
    await machines.driver.forget_console(spec.machine_id)
    assert await machines.driver.console(spec.machine_id) == b""


async def test_a_browser_machine_that_no_row_owns_is_found_and_removed(
    machines: Machines,
) -> None:
    kept, lost = machines.spec(MachineKind.CLI), machines.spec(MachineKind.BROWSER)
    kept_state, kept_client = await machines.boot(kept)
    lost_state, lost_client = await machines.boot(lost)
    found = await machines.driver.leftovers(frozenset({kept.machine_id}))
    assert [leftover.name for leftover in found] == [lost.machine_id]
    for leftover in found:
        assert await machines.driver.remove_leftover(leftover) is None
    assert await machines.driver.leftovers(frozenset({kept.machine_id})) == []
    assert isinstance(await machines.driver.poll(lost_state), Exited)
    assert isinstance(await machines.driver.poll(kept_state), Running)
    for client in (kept_client, lost_client):
        await client.close()


async def test_a_home_that_no_row_owns_is_stopped_and_kept_aside_each_time(
    machines: Machines,
) -> None:
    spec = machines.spec(MachineKind.CLI)
    aside: set[Path] = set()
    for _ in range(2):
        state, client = await machines.boot(spec)
        assert (await sh(client, "echo mine > ~/note")).exit == 0
        await client.close()
        (leftover,) = await machines.driver.leftovers(frozenset())
        path = await machines.driver.remove_leftover(leftover)
        assert path is not None
        aside.add(path)
        assert await machines.driver.leftovers(frozenset()) == []
        assert isinstance(await machines.driver.poll(state), Exited)
    assert len(aside) == 2
    for path in aside:
        assert [note.read_text() for note in path.rglob("note")] == ["mine\n"]


async def test_a_machine_cannot_see_or_reach_its_host(machines: Machines, state_dir: Path) -> None:
    secret = state_dir / "keys" / "root.key"
    secret.parent.mkdir()
    secret.write_text("0" * 64)
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    connect = "python3 -c 'import socket; socket.create_connection((\"{}\", {}), 1)'"
    for script in (
        f"cat {secret}",
        f"tr '\\0' ' ' < /proc/1/cmdline | grep {state_dir}",
        "cat /root/.bashrc /etc/shadow",
        "touch /usr/bin/mine",
        "touch /opt/polydev/tools/mine",
        "touch /opt/polydev/agent/mine",
        "mkdir ~/there && mount -t tmpfs none ~/there",
        "mount -o remount,rw /usr",
        "ls /sys/fs/cgroup/",
        connect.format("127.0.0.1", port),
        connect.format("192.0.2.1", 80),
    ):
        answer = await sh(client, script)
        assert answer.exit != 0, script
    # The same words do find a listener of the machine's own: the forwarder's.
    assert (await sh(client, connect.format("127.0.0.1", 3128))).exit == 0
    listener.close()
    count = await sh(client, "ls /proc | grep -c '^[0-9]'")
    assert int(count.out) < 30, "only the machine's own processes"
    devices = await sh(client, "ls /sys/class/net 2>/dev/null || cat /proc/net/dev")
    assert b"eth" not in devices.out
    await client.close()


async def test_two_machines_cannot_see_each_other(machines: Machines) -> None:
    one, two = machines.spec(MachineKind.CLI), machines.spec(MachineKind.CLI)
    _, first = await machines.boot(one)
    _, second = await machines.boot(two)
    await sh(first, "echo mine > ~/private; echo mine > /tmp/private")
    answer = await sh(second, f"cat ~/private /tmp/private; find / -name {one.machine_id}")
    assert b"mine" not in answer.out
    assert one.machine_id.encode() not in answer.out
    if os.geteuid() == 0 and machines.driver.name == "sandbox":
        owners = {machines.made[spec.machine_id]["pid"] for spec in (one, two)}
        uids = {Path(f"/proc/{pid}").stat().st_uid for pid in owners}
        assert len(uids) == 2
        assert 0 not in uids
    for client in (first, second):
        await client.close()


async def test_a_process_bomb_stops_at_the_machines_limit(machines: Machines) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    bomb = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "  while made < 2000:\n"
        "    if os.fork() == 0: time.sleep(5); os._exit(0)\n"
        "    made += 1\n"
        "except OSError: pass\n"
        "print(made)\n"
    )
    answer = await sh(client, f"python3 -c '{bomb}' < /dev/null")
    assert 50 < int(answer.out.split()[0]) <= 400, answer
    assert (await client.health()).ready
    await client.close()


async def test_a_memory_bomb_stops_at_the_machines_limit(machines: Machines) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    bomb = (
        "held = []\n"
        "for _ in range(64):\n"
        "  held.append(bytearray(b'x') * (64 << 20))\n"
        "  print(len(held), flush=True)\n"
    )
    answer = await sh(client, f'python3 -c "{bomb}" < /dev/null')
    assert answer.exit != 0
    assert 4 <= len(answer.out.split()) < 16, answer
    assert (await client.health()).ready
    await client.close()


async def test_a_machines_programs_end_with_their_terminal(machines: Machines) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    status = await sh(client, "cat /proc/[0-9]*/status | grep SigIgn")
    hangup = 1 << (signal.SIGHUP - 1) | 1 << (signal.SIGINT - 1)
    assert not any(int(line.split()[1], 16) & hangup for line in status.out.splitlines())
    pty = await client.pty(PtyRequest(("/bin/bash", "--norc", "-i")))
    await pty.send(b"sleep 607 &\rsleep 607\r")
    async with asyncio.timeout(60):
        while len((await sh(client, "pgrep -x sleep")).out.split()) < 2:
            await asyncio.sleep(0.05)
        await pty.close()
        while (await sh(client, "pgrep -x sleep")).exit == 0:
            await asyncio.sleep(0.05)
    await client.close()


async def test_the_way_out_is_the_egress_proxy_and_it_refuses_the_host(machines: Machines) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    code = (
        "import urllib.request,urllib.error\n"
        "try:\n urllib.request.urlopen('http://10.0.0.1/', timeout=60)\n"
        "except urllib.error.HTTPError as e: print(e.code)\n"
    )
    answer = await sh(client, f'python3 -c "{code}"')
    assert answer.out.strip() == b"403", answer.err
    await client.close()


async def test_a_dead_agent_comes_back_and_a_killed_machine_is_seen_as_gone(
    machines: Machines,
) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    with pytest.raises(PolydevError):
        await sh(client, "pkill -9 -f bin/agent")
    await client.wait_ready(READY_S)
    os.kill(int(state["pid"]), 9)
    async with asyncio.timeout(60):
        with pytest.raises(PolydevError):
            while True:
                await client.health()
        # A keeper that dies lets go of its machine a moment before it counts as dead itself.
        while isinstance(await machines.driver.poll(state), Running):
            await asyncio.sleep(0.01)
    await client.close()


def processes() -> str:
    """The command lines of all processes of this host."""
    lines: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_text(errors="replace"))
            except OSError:
                continue
    return "\n".join(lines)
