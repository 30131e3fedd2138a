"""Starts a Polydev server of the demo's own, as a person would from a shell.

It runs in a session of its own: a Ctrl-C in the terminal is for the demo, which then ends what it
has started in the right order. If the demo is killed, the kernel ends the server.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.standins.server import StandIn

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_STOPS_IN_S = 60.0


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

    @property
    def config_home(self) -> Path:
        """Holds the command line's profile, with the key, for this person alone."""
        return Path(self.env["XDG_CONFIG_HOME"])

    async def start(self) -> None:
        """``polydev up``; returns once the server is ready."""
        with self.log.open("ab") as sink:
            self.process = await asyncio.create_subprocess_exec(
                polydev(),
                "up",
                env=self.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=self.log.parent,
                start_new_session=True,
                preexec_fn=_end_with_us(),
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
            async with asyncio.timeout(_STOPS_IN_S):
                await self.process.wait()
        except TimeoutError:
            await self.kill()


def _end_with_us() -> Callable[[], None]:
    """For a child, before it becomes its program: SIGTERM when this process ends (prctl(2))."""
    parent = os.getpid()

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return ask


def polydev() -> str:
    """The command, from this very environment."""
    return str(Path(sys.executable).with_name("polydev"))


def free_port() -> int:
    """A port that is free and below those which the kernel gives to connections by itself: one of
    these could be taken before the server binds it, or while it is down."""
    while not _is_free(port := random.randrange(15_000, 30_000)):
        pass
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def environment(stand_in: StandIn, state_dir: Path, port: int) -> dict[str, str]:
    """The settings of a server whose machines meet the stand-in instead of the providers."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "POLYDEV_CONFIG": "/dev/null",
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
    if port is None:
        port = free_port()
    elif not _is_free(port):
        raise ServerFailed(
            f"Port {port} is taken by another program, maybe by a Polydev that runs already. End "
            "it, or choose another port."
        )
    env = environment(stand_in, state_dir, port) | (settings or {})
    key = await _init(env, state_dir)
    running = Running(f"http://127.0.0.1:{port}", key, state_dir / "server.log", env)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


async def _init(env: dict[str, str], state_dir: Path) -> str:
    """``polydev init``; returns the key of the first admin."""
    profile = Path(env["XDG_CONFIG_HOME"]) / "polydev" / "client.json"
    profile.unlink(missing_ok=True)  # of an earlier demo at another port
    init = await asyncio.create_subprocess_exec(
        polydev(),
        *("init", "--new-key", "--json"),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=state_dir,
        start_new_session=True,
        preexec_fn=_end_with_us(),
    )
    try:
        out, said = await init.communicate()
    finally:
        if init.returncode is None:  # interrupted
            init.kill()
            await init.wait()
    if init.returncode != 0:
        raise ServerFailed(f"`polydev init` failed:\n{said.decode(errors='replace')[-2000:]}")
    return str(json.loads(out)["key"])


async def _until_it_answers(running: Running, server: asyncio.subprocess.Process) -> None:
    ended = asyncio.create_task(server.wait())
    try:
        async with running.client() as client, asyncio.timeout(120):
            # Ours first: what else answers at this address would be somebody else's server.
            while not ended.done():
                with contextlib.suppress(httpx.TransportError):
                    if await _is_ours_and_ready(client):
                        return
                await asyncio.wait({ended}, timeout=0.1)
    except TimeoutError:
        pass
    finally:
        ended.cancel()
    lines = running.log.read_text(errors="replace").splitlines()[-15:]
    raise ServerFailed("the server did not start:\n" + "\n".join(lines))


async def _is_ours_and_ready(client: httpx.AsyncClient) -> bool:
    """Ready, and it knows the key that has just been made."""
    ready = await client.get("/readyz")
    return ready.is_success and (await client.get("/api/keys")).is_success
