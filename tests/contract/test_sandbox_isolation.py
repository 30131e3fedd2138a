"""What keeps the sandbox driver's machines from their host, looked at from both sides."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from polydev.domain.ids import new_id
from polydev.domain.machine import MachineKind, MachineSpec
from polydev.guest.client import AgentClient
from polydev.guest.protocol import ExecRequest
from polydev.machines.cgroups import incarnations
from polydev.machines.sandbox.driver import SandboxDriver
from polydev.sessions.output import collect
from tests.contract.machines import Machines, sh
from tests.machines import make_sandbox_driver

pytestmark = pytest.mark.slow

# Starts the rest of its arguments in a session keyring that holds a key, as PAM makes one.
WITH_A_KEY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
join = libc.syscall(250 if x86 else 219, ctypes.c_long(1), b"login-of-a-test")
added = libc.syscall(248 if x86 else 217, b"user", b"polydev-test", b"k3y-of-a-test",
                     ctypes.c_long(13), ctypes.c_long(-3))
if join < 0 or added < 0:
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""

# Prints what it finds of that key: its content, or the error's number.
READS_THE_KEY = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
keyctl = 250 if os.uname().machine == "x86_64" else 219
key = libc.syscall(keyctl, ctypes.c_long(10), ctypes.c_long(-3), b"user", b"polydev-test", 0)
content = ctypes.create_string_buffer(100)
if key >= 0 and libc.syscall(keyctl, ctypes.c_long(11), ctypes.c_long(key), content, 100) >= 0:
    print("read", content.value.decode())
else:
    print("refused", ctypes.get_errno())
"""

ASKS_A_MACHINE = f"""
import asyncio, sys
from pathlib import Path
from polydev.domain.machine import MachineKind
from tests.contract.machines import Machines, sh
from tests.machines import make_sandbox_driver

READS = {READS_THE_KEY!r}

async def main():
    exec(READS)
    machines = Machines(make_sandbox_driver(Path(sys.argv[1])))
    spec = machines.spec(MachineKind.CLI)
    try:
        _, client = await machines.boot(spec)
        print((await sh(client, "python3 - <<'END'" + READS + "END")).out.decode())
        await client.close()
    finally:
        await machines.driver.destroy(spec.machine_id, machines.made.get(spec.machine_id))

asyncio.run(main())
"""


def test_a_machine_cannot_read_the_keys_of_the_login_that_started_its_host(state_dir: Path) -> None:
    asks = [sys.executable, "-c", ASKS_A_MACHINE, str(state_dir)]
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_KEY, *asks],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode == 77:
        pytest.skip("this kernel gives nobody a keyring")
    assert done.returncode == 0, done.stderr
    outside, inside = done.stdout.split("\n")[:2]
    assert outside == "read k3y-of-a-test"
    assert inside.startswith("refused")


async def test_what_a_machine_is_made_of_is_read_only_and_what_it_may_fill_is_bounded(
    machines: Machines,
) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.BROWSER))
    mounts = await _mounts(client)
    for place in ("/", "/usr", "/usr/local", "/etc", "/opt", "/run", "/dev"):
        assert "ro" in mounts[place], place
    for place in ("agent", "tools", "node"):
        assert "ro" in mounts[f"/opt/polydev/{place}"], place
    assert "ro" in mounts["/run/polydev/egress"]
    scratch = machines.spec(MachineKind.BROWSER).limits.scratch_mib << 20
    for place, most in (
        ("/tmp", scratch),
        ("/dev/shm", scratch),
        ("/home/dev", scratch),
        ("/run/polydev/host", 64 << 10),
    ):
        size = await sh(client, f"df --output=size -B1 {place} | tail -1")
        assert 0 < int(size.out) <= most, place
    writable = {place for place, options in mounts.items() if "rw" in options}
    known = {"/tmp", "/dev/shm", "/home/dev", "/run/polydev/host", "/proc", "/dev/pts"}
    assert {place for place in writable if not re.match("/dev/[a-z]+$", place)} <= known
    await client.close()


async def test_a_guest_can_write_to_nothing_but_its_own_memory_and_home(machines: Machines) -> None:
    _, client = await machines.boot(machines.spec(MachineKind.CLI))
    places = (
        *("/", "/usr", "/usr/bin", "/usr/local", "/etc", "/opt", "/opt/polydev", "/run", "/dev"),
        *("/run/polydev", "/run/polydev/egress", "/var", "/home"),
    )
    tries = "; ".join(f"(: > {place}/mine) 2>/dev/null && echo {place}" for place in places)
    assert (await sh(client, tries)).out == b""
    assert (await sh(client, "ls -A /usr/local")).out == b""
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/home/dev", "/run/polydev/host"):
        assert (await sh(client, f": > {place}/mine")).exit == 0, place
    await client.close()


async def test_the_folder_of_the_sockets_cannot_fill_the_host(
    machines: Machines, state_dir: Path
) -> None:
    spec = machines.spec(MachineKind.CLI)
    _, client = await machines.boot(spec)
    fill = await sh(client, "head -c 10M /dev/zero > /run/polydev/host/mine; wc -c < $_")
    assert b"No space left" in fill.err
    folder = state_dir / "machines" / spec.machine_id
    assert {path.name for path in folder.iterdir()} == {"egress", "home", "keeper.json"}
    assert (await client.health()).ready
    await client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root a machine has a user of its own")
async def test_the_proxys_folder_belongs_to_the_host(machines: Machines, state_dir: Path) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    egress = (state_dir / "machines" / spec.machine_id / "egress").stat()
    assert (egress.st_uid, egress.st_mode & 0o7777) == (0, 0o750)
    assert egress.st_gid == Path(f"/proc/{state['pid']}").stat().st_gid
    await client.close()


async def test_deep_folders_in_a_home_are_no_reason_to_stay(machines: Machines) -> None:
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    nest = "import os\nfor _ in range(5000): os.mkdir('d'); os.chdir('d')"
    assert (await sh(client, f'python3 -c "{nest}"')).exit == 0
    await client.close()
    await machines.driver.destroy(spec.machine_id, state)


async def test_want_of_memory_is_said_on_the_console_and_the_keeper_lives(
    machines: Machines,
) -> None:
    driver = machines.driver
    assert isinstance(driver, SandboxDriver)
    if not driver._cgroups.limits_memory:
        pytest.skip("this host lets nobody limit a machine's memory as a whole")
    spec = machines.spec(MachineKind.CLI)
    state, client = await machines.boot(spec)
    groups = Path(f"/proc/{state['pid']}/cgroup").read_text()
    assert spec.incarnation not in groups
    assert spec.incarnation in Path(f"/proc/{state['init_pid']}/cgroup").read_text()
    held = "x = []\nwhile True: x.append(bytearray(b'x') * (64 << 20))"
    assert (await sh(client, f'python3 -c "{held}"')).exit != 0
    async with asyncio.timeout(60):
        while b"[keeper] out of memory" not in await driver.console(spec.machine_id):
            await asyncio.sleep(0.1)
    assert (await client.health()).ready
    await client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root a machine has a user of its own")
async def test_machines_of_two_polydevs_never_have_the_same_user(
    machines: Machines, state_dir: Path
) -> None:
    other = Machines(make_sandbox_driver(state_dir / "other"))
    one, two = machines.spec(MachineKind.CLI), other.spec(MachineKind.CLI)
    first, client = await machines.boot(one)
    await client.close()
    (state_dir / "other").chmod(0o711)
    try:
        second, client = await other.boot(two)
        await sh(client, "mkdir -p ~/a/b; ln -s / ~/a/link")
        await client.close()
        assert _uid(second) != _uid(first)
        # Its folder holds the user id while it is stopped, but only among its own Polydev's.
        await machines.driver.stop(first)
        await other.driver.stop(second)
        _make_over(state_dir / "other" / "machines" / two.machine_id, _folder_uid(state_dir, one))
        first, client = await machines.boot(_again(machines, one))
        await client.close()
        second, client = await other.boot(_again(other, two))
        assert (await sh(client, "touch ~/a/b/c; stat -c %U ~/a/b")).out == b"dev\n"
        await client.close()
        assert _uid(second) != _uid(first)
    finally:
        await other.driver.destroy(two.machine_id, other.made.get(two.machine_id))


async def test_what_a_dead_machine_left_of_its_limits_is_swept_at_the_next_start(
    machines: Machines,
) -> None:
    driver = machines.driver
    assert isinstance(driver, SandboxDriver)
    if driver._cgroups.version == "none":
        pytest.skip("this host lets nobody use control groups")
    left = new_id("inc")  # a test run beside this one has control groups in the same place
    for base in driver._cgroups.bases:
        (base / left).mkdir()
    living = machines.spec(MachineKind.CLI)
    _, first = await machines.boot(living)
    _, second = await machines.boot(machines.spec(MachineKind.CLI))
    assert left not in incarnations(driver._cgroups)
    assert living.incarnation in incarnations(driver._cgroups)
    for client in (first, second):
        await client.close()


async def _mounts(client: AgentClient) -> dict[str, set[str]]:
    request = ExecRequest(argv=("cat", "/proc/self/mountinfo"))
    answer = await collect(client.exec(request), max_bytes=1 << 20)
    lines = [line.split() for line in answer.out.decode().splitlines()]
    return {fields[4]: set(fields[5].split(",")) for fields in lines}


def _uid(state: dict[str, str | int]) -> int:
    return Path(f"/proc/{state['pid']}").stat().st_uid


def _folder_uid(state_dir: Path, spec: MachineSpec) -> int:
    return (state_dir / "machines" / spec.machine_id).stat().st_gid


def _again(machines: Machines, spec: MachineSpec) -> MachineSpec:
    return machines.spec(MachineKind.CLI, spec.machine_id)


def _make_over(folder: Path, uid: int) -> None:
    """As if it had got this id in days when the other one was free."""
    for path in (folder / "home", *(folder / "home").rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
    os.chown(folder, 0, uid)
