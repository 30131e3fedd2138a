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


@dataclass
class Running:
    """A server that answers, and the first admin's key."""

    url: str
    key: str
    log: Path
    env: dict[str, str]
    process: asyncio.subprocess.Process | None = None

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key}"},
            trust_env=False,
            timeout=60,
        )

    async def start(self) -> None:
        """``polydev up``; returns once the server is ready."""
        with self.log.open("ab") as sink:
            self.process = await asyncio.create_subprocess_exec(
                polydev(), "up", env=self.env, stdout=sink, stderr=sink, cwd=self.log.parent
            )
        await _until_it_answers(self, self.process)

    async def kill(self) -> None:
        """``kill -9``: what a crash of the host's server looks like."""
        if self.process is not None:
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(20):
                await self.process.wait()
        except TimeoutError:
            await self.kill()


def polydev() -> str:
    """The command, from this very environment."""
    return str(Path(sys.executable).with_name("polydev"))


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
    stand_in: StandIn,
    state_dir: Path,
    *,
    port: int | None = None,
    settings: dict[str, str] | None = None,
) -> AsyncIterator[Running]:
    """``polydev init`` and ``polydev up``, ended when the block ends.

    ``settings``: further environment variables of the server.
    """
    port = port if port is not None else free_port()
    env = environment(stand_in, state_dir, port) | (settings or {})
    init = await asyncio.create_subprocess_exec(
        polydev(), "init", "--json", env=env, stdout=asyncio.subprocess.PIPE, cwd=state_dir
    )
    out, _ = await init.communicate()
    if init.returncode != 0:
        raise ServerFailed(f"`polydev init` ended with {init.returncode}")
    key = str(json.loads(out)["key"])
    running = Running(f"http://127.0.0.1:{port}", key, state_dir / "server.log", env)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


async def _until_it_answers(running: Running, server: asyncio.subprocess.Process) -> None:
    ended = asyncio.create_task(server.wait())
    async with running.client() as client:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    ended.cancel()
                    return
            await asyncio.wait({ended}, timeout=0.1)
            if ended.done():
                break
    ended.cancel()
    lines = running.log.read_text(errors="replace").splitlines()[-15:]
    raise ServerFailed("the server did not start:\n" + "\n".join(lines))
