"""The sandbox driver works for root and for an ordinary user alike."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOBODY = 65534
ROOT_FOLDER = Path(__file__).parents[2]

# Boots both kinds of machine as the user that it runs as, and says what they were.
SCRIPT = """
import asyncio, json, os, sys
from pathlib import Path
from polydev.domain.ids import new_id
from polydev.domain.machine import Channel, Limits, MachineKind, MachineSpec
from polydev.domain.secret import Secret
from polydev.guest.client import AgentClient
from polydev.guest.protocol import ExecRequest
from polydev.sessions.output import collect
from tests.machines import make_sandbox_driver

async def main():
    driver = make_sandbox_driver(Path(sys.argv[1]))
    said = {}
    for kind in MachineKind:
        spec = MachineSpec(new_id("mac"), new_id("inc"), kind, Secret(new_id("key")),
                           Limits(1024, 2, 400, 256))
        state = await driver.start(spec)
        client = AgentClient(lambda: driver.dial(state, Channel.AGENT), spec.agent_token)
        try:
            health = await client.wait_ready(120)
            uid = os.stat(f"/proc/{state['pid']}").st_uid
            limit = await collect(
                client.exec(ExecRequest(argv=("/bin/bash", "-c", "ulimit -u -d"))), max_bytes=200)
            words = [line.split()[-1] for line in limit.out.decode().splitlines()]
            said[kind.value] = [health.ready, uid, *sorted(words, key=int)]
        finally:
            await client.close()
            await driver.destroy(spec.machine_id, state)
    said["findings"] = [f.check for f in await driver.check_host() if f.required and not f.ok]
    print(json.dumps(said))

asyncio.run(main())
"""


@pytest.fixture
def nobodys_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="polydev-nobody-"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to try this")
def test_an_ordinary_user_makes_machines_that_run_as_that_user(nobodys_dir: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(nobodys_dir), "LANG": "C.UTF-8"}
    environment["POLYDEV_CONFIG"] = "/dev/null"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", "import polydev.server"],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env=environment,
            cwd="/",
            capture_output=True,
            check=False,
        )
        readable = probe.returncode == 0
    except PermissionError:
        readable = False
    if not readable:
        pytest.skip("this Python environment lies where an ordinary user may not read")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(nobodys_dir)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env={**environment, "PYTHONPATH": str(ROOT_FOLDER)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert said == {
        "browser": [True, NOBODY, "400", str(1024 << 10)],
        "cli": [True, NOBODY, "400", str(1024 << 10)],
        "findings": [],
    }
