"""The terminal in a CLI machine, over a real socket."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from polydev.api import standing
from polydev.errors import MachineError
from tests.api_world import PATIENCE_S, World
from tests.integration.api.views import closed_with


class FakePty:
    """Echoes; ends with 7 on "exit"."""

    def __init__(self) -> None:
        self.out: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sizes: list[tuple[int, int]] = []
        self.exit: int | None = None
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (data := await self.out.get()) is not None:
            yield data

    async def send(self, data: bytes) -> None:
        if data == b"exit":
            self.exit = 7
            self.out.put_nowait(None)
        elif data == b"break":
            raise MachineError("The terminal's connection broke.")
        else:
            self.out.put_nowait(data)

    async def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))
        self.out.put_nowait(b"resized")

    async def close(self) -> None:
        self.closed.set()


class FakeRuns:
    def __init__(self) -> None:
        self.pty = FakePty()
        self.asked: list[tuple[str, str, int, int]] = []

    async def shell(self, user_id: str, provider: str, columns: int, rows: int) -> FakePty:
        self.asked.append((user_id, provider, columns, rows))
        return self.pty


@contextlib.asynccontextmanager
async def terminal(world: World) -> AsyncIterator[tuple[ClientConnection, FakeRuns]]:
    runs: Any = FakeRuns()
    world.rebuild(dataclasses.replace(world.services, runs=runs))
    async with world.client(headers=world.alice.headers) as client:
        ticket = (await client.post("/api/shell/ticket", json={"provider": "codex"})).json()
    assert ticket["websocketPath"] == f"/api/stream/{world.alice.cli_machine_id}/pty"
    async with (
        world.serving() as address,
        asyncio.timeout(PATIENCE_S),
        connect(
            f"ws://{address}{ticket['websocketPath']}",
            subprotocols=[
                Subprotocol("polydev.pty.v1"),
                Subprotocol(f"ticket.{ticket['ticket']}"),
            ],
            proxy=None,
            open_timeout=PATIENCE_S,
        ) as connection,
    ):
        yield connection, runs


async def test_a_terminal_carries_bytes_sizes_and_the_exit_code(world: World) -> None:
    async with terminal(world) as (connection, runs):
        await connection.send('{"columns": 100, "rows": 30}')
        await connection.send(b"ls\r")
        assert await connection.recv() == b"ls\r"
        await connection.send('{"resize": [120, 40]}')
        assert await connection.recv() == b"resized"
        await connection.send(b"exit")
        message = await connection.recv()
        assert isinstance(message, str)
        assert json.loads(message) == {"exit": 7}
        assert await closed_with(connection) == (1000, "")
    assert runs.asked == [(world.alice.user_id, "codex", 100, 30)]
    assert runs.pty.sizes == [(120, 40)]
    assert runs.pty.closed.is_set()


async def test_a_terminal_ends_when_its_client_goes(world: World) -> None:
    async with terminal(world) as (connection, runs):
        await connection.send('{"columns": 100, "rows": 30}')
        await connection.send(b"x")
        await connection.recv()
        await connection.close()
        await runs.pty.closed.wait()


@pytest.mark.usefixtures("looks_only_when_told")
async def test_a_terminal_ends_with_the_key_that_opened_it(world: World) -> None:
    alice = world.alice
    async with terminal(world) as (connection, runs):
        await connection.send('{"columns": 100, "rows": 30}')
        await connection.send(b"x")
        await connection.recv()
        async with world.client(headers=alice.headers) as client:
            await client.delete(f"/api/keys/{alice.key_id}")
        assert await closed_with(connection) == (1000, standing.ENDED)
        await runs.pty.closed.wait()


@pytest.mark.parametrize("first", ["{}", "not json", b"\x00"])
async def test_a_terminal_wants_its_size_first(world: World, first: str | bytes) -> None:
    async with terminal(world) as (connection, runs):
        await connection.send(first)
        code, _ = await closed_with(connection)
    assert code == 1003
    assert runs.asked == []


async def test_a_terminal_whose_machine_fails_says_so(world: World) -> None:
    async with terminal(world) as (connection, _):
        await connection.send('{"columns": 100, "rows": 30}')
        await connection.send(b"break")
        code, reason = await closed_with(connection)
    assert code == 1011
    assert "broke" in reason


async def test_without_a_cli_machine_there_is_no_terminal(world: World) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.post("/api/shell/ticket", json={"provider": "codex"})
        unknown = await client.post("/api/shell/ticket", json={"provider": "nothing"})
    assert (answer.status_code, unknown.status_code) == (409, 422)
