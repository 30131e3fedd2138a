"""Starts the stand-in and a Polydev server of the demo's own, as a person would from a shell."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.standins.server import StandIn


class ServerFailed(Exception):
    """The server did not come up; the text holds its last lines."""


@dataclass(frozen=True)
class Running:
    """A server that answers, and the first admin's key."""

    url: str
    key: str
    log: Path

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            trust_env=False,
            timeout=60,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(stand_in: StandIn, state_dir: Path, port: int) -> dict[str, str]:
    """The settings of a server whose machines meet the stand-in instead of the providers."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "POLYDEV_CONFIG": str(state_dir / "polydev.toml"),
        "POLYDEV_STATE_DIR": str(state_dir),
        "POLYDEV_API__PORT": str(port),
        "POLYDEV_TESTING": "true",
        "POLYDEV_EGRESS__EXTRA_CA": str(stand_in.ca_pem),
        "POLYDEV_EGRESS__TESTING_RESOLVE_OVERRIDE": json.dumps(stand_in.resolve_override()),
        "POLYDEV_LOG_FORMAT": "json",
        # The profile of `polydev init` must not replace the person's own.
        "XDG_CONFIG_HOME": str(state_dir / "config"),
    }


@contextlib.asynccontextmanager
async def polydev_server(
    stand_in: StandIn, state_dir: Path, *, port: int | None = None
) -> AsyncIterator[Running]:
    """``polydev init`` and ``polydev up``, ended when the block ends."""
    port = port if port is not None else free_port()
    env = environment(stand_in, state_dir, port)
    polydev = str(Path(sys.executable).with_name("polydev"))
    init = await asyncio.create_subprocess_exec(
        polydev, "init", "--json", env=env, stdout=asyncio.subprocess.PIPE, cwd=state_dir
    )
    out, _ = await init.communicate()
    if init.returncode != 0:
        raise ServerFailed(f"`polydev init` ended with {init.returncode}")
    key = str(json.loads(out)["key"])
    log = state_dir / "server.log"
    with log.open("ab") as sink:
        server = await asyncio.create_subprocess_exec(
            polydev, "up", env=env, stdout=sink, stderr=sink, cwd=state_dir
        )
    running = Running(f"http://127.0.0.1:{port}", key, log)
    try:
        await _until_it_answers(running, server)
        yield running
    finally:
        if server.returncode is None:
            server.terminate()
            try:
                async with asyncio.timeout(20):
                    await server.wait()
            except TimeoutError:
                server.kill()
                await server.wait()


async def _until_it_answers(running: Running, server: asyncio.subprocess.Process) -> None:
    ended = asyncio.create_task(server.wait())
    async with running.client() as client:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    ended.cancel()
                    return
            await asyncio.wait({ended}, timeout=0.1)
            if ended.done():
                break
    ended.cancel()
    lines = running.log.read_text(errors="replace").splitlines()[-15:]
    raise ServerFailed("the server did not start:\n" + "\n".join(lines))
