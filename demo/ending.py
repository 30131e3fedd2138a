"""How the demo ends: whatever happened, nothing of it stays.

Machines in use outlive their server on purpose, so the demo's own have to be ended: through the
server while it answers, and by what their keepers wrote down once it has stopped.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
from httpx_sse import SSEError, aconnect_sse

from polydev.errors import MachineError
from polydev.machines.processes import ProcessRef
from polydev.server import make_driver
from polydev.settings import Egress, load_settings

_AT_MOST_S = 60.0
_NO_ANSWER = (httpx.HTTPError, SSEError, ValueError, KeyError, TypeError)


async def leave_nothing(client: httpx.AsyncClient) -> None:
    """Cancel what is going on and destroy the machines. A server that does not answer, or not for
    one of them, keeps nothing else from being ended: `end_keepers` comes after."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_AT_MOST_S):
            for session in await _list(client, "/api/auth/sessions", "sessions"):
                with contextlib.suppress(*_NO_ANSWER):
                    await _end_session(client, session)
            for machine in await _list(client, "/api/machines", "machines"):
                with contextlib.suppress(*_NO_ANSWER):
                    await client.delete(f"/api/machines/{machine['machineId']}")


async def _list(client: httpx.AsyncClient, path: str, name: str) -> list[dict[str, object]]:
    try:
        return (await client.get(path)).json()[name]
    except _NO_ANSWER:
        return []


async def _end_session(client: httpx.AsyncClient, session: dict[str, object]) -> None:
    path = f"/api/auth/session/{session['sessionId']}"
    if session["endedAt"] is None:
        await client.post(f"{path}/cancel")
    async with aconnect_sse(client, "GET", f"{path}/events") as timeline:
        async for _ in timeline.aiter_sse():
            pass  # it ends once its machine is gone


async def end_keepers(state_dir: Path) -> None:
    """End the machines that still live here. The server must have stopped."""
    if not any(state_dir.glob("machines/*")):
        return
    driver = make_driver(load_settings(state_dir=state_dir, egress=Egress()))
    for leftover in await driver.leftovers(frozenset()):
        with contextlib.suppress(MachineError, OSError):  # the others are to go all the same
            await driver.destroy(leftover.name, None)


def remove_folder(state_dir: Path) -> None:
    """Remove the state, unless a machine still lives in it: nobody could find that one again."""
    if any(keeper.alive() for keeper in _keepers(state_dir)):
        print(f"A machine of the demo could not be ended; its state stays in {state_dir}.")
        return
    shutil.rmtree(state_dir, ignore_errors=True)


def _keepers(state_dir: Path) -> Iterator[ProcessRef]:
    for file in sorted(state_dir.glob("machines/*/keeper.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(file.read_bytes())
            yield ProcessRef(int(kept["pid"]), int(kept["start_ticks"]))
