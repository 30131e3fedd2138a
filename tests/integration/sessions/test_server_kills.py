"""One sign-in, real machines, and a server that is killed at every step of it."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.server import free_port, polydev
from polydev.providers.catalog import Catalog
from polydev.providers.install import install_tools
from polydev.settings import load_settings
from tests.integration.sessions.killed_server import POINTS
from tests.machines import make_sandbox_driver

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
PATIENCE_S = 180.0
"""How long one life of a server may take on a busy machine: a start, a boot, a step."""


@dataclass
class Mortal:
    """A server that ends again and again."""

    state_dir: Path
    url: str
    env: dict[str, str]
    key: str = ""

    @property
    def done(self) -> Path:
        return self.state_dir / "killed-at"

    async def init(self) -> None:
        process = await asyncio.create_subprocess_exec(
            polydev(), "init", "--json", env=self.env, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        self.key = json.loads(out)["key"]

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[asyncio.subprocess.Process]:
        with (self.state_dir / "server.log").open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(HERE / "killed_server.py"),
                str(self.done),
                env=self.env,
                cwd=self.state_dir,
                stdout=sink,
                stderr=sink,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=60)

    async def answers(self) -> None:
        async with self.client() as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        with contextlib.suppress(httpx.TransportError):
                            if (await client.get("/readyz")).is_success:
                                return
                        await asyncio.sleep(0.1)
        raise AssertionError((self.state_dir / "server.log").read_text()[-3000:])

    async def get(self, path: str) -> Any:
        async with self.client() as client:
            answer = await client.get(path)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
async def mortal(state_dir: Path) -> AsyncIterator[Mortal]:
    shutil.copytree(HERE / "robot_tool", state_dir / "providers")
    for name in ("tools", "node"):
        (state_dir / name).mkdir()
    (state_dir / "polydev.toml").touch()
    catalog = Catalog.load(load_settings(state_dir=state_dir))
    install_tools([catalog.entry("robot")], state_dir, lambda _: None)
    port = free_port()
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "PYTHONPATH": str(ROOT),
        "POLYDEV_CONFIG": str(state_dir / "polydev.toml"),
        "POLYDEV_STATE_DIR": str(state_dir),
        "POLYDEV_API__PORT": str(port),
        "POLYDEV_MACHINES__POOL_SIZE": "0",
        "XDG_CONFIG_HOME": str(state_dir / "config"),
    }
    server = Mortal(state_dir, f"http://127.0.0.1:{port}", env)
    await server.init()
    yield server
    driver = make_sandbox_driver(state_dir)
    for leftover in await driver.leftovers(frozenset()):
        await driver.remove_leftover(leftover)


async def over(mortal: Mortal, session_id: str) -> Any:
    """The session, once its stream has ended: its machine is gone then."""
    await mortal.answers()
    async with (
        mortal.client() as client,
        client.stream(
            "GET",
            f"/api/auth/session/{session_id}/events",
            headers={"Accept": "text/event-stream"},
            timeout=PATIENCE_S,
        ) as stream,
    ):
        async for _ in stream.aiter_lines():
            continue
    return await mortal.get(f"/api/auth/session/{session_id}")


async def test_a_sign_in_completes_once_although_its_server_is_killed_at_every_step(
    mortal: Mortal,
) -> None:
    async with mortal.life() as process:
        await mortal.answers()
        async with mortal.client() as client:
            with contextlib.suppress(httpx.TransportError):  # killed before it could answer
                await client.post("/api/auth/start", json={"provider": "robot"})
        assert await process.wait() == -9
    for _ in POINTS[1:]:
        async with mortal.life() as process, asyncio.timeout(PATIENCE_S):
            assert await process.wait() == -9
    assert sorted(mortal.done.read_text().splitlines()) == sorted(POINTS)

    async with mortal.life():
        await mortal.answers()
        (session,) = (await mortal.get("/api/auth/sessions"))["sessions"]
        async with asyncio.timeout(PATIENCE_S):
            session = await over(mortal, session["sessionId"])
        assert (session["state"], session["reason"]) == ("completed", None)
        (credential,) = (await mortal.get("/api/credentials"))["credentials"]
        assert (credential["version"], credential["verifiedOk"]) == (1, True)
        receipt = await mortal.get(f"/api/receipts/{session['receiptId']}")
        assert receipt["machineGoneAt"] == session["machineGoneAt"]
        timeline = await mortal.get(f"/api/auth/session/{session['sessionId']}/events")
        kinds = [event["kind"] for event in timeline["events"]]
        assert [kinds.count(kind) for kind in ("login_started", "captured", "machine_gone")] == [
            1,
            1,
            1,
        ]
    machines = [path.name for path in (mortal.state_dir / "machines").iterdir()]
    assert machines == [session["cliMachineId"]]
