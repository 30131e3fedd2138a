"""The in-guest forwarder: a TCP port that is a Unix socket."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from polydev.egress.policy import EgressPolicy
from polydev.egress.server import EgressProxy
from polydev.guest.agent.forwarder import serve_forwarder
from tests.integration.egress.rig import PATIENCE_S, reason_in


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    path = str(tmp_path / "proxy.sock")
    task = asyncio.create_task(serve_forwarder("127.0.0.1", 0, path, started=started))
    yield (await started)[1]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_bytes_and_half_closes_pass_both_ways(port: int, tmp_path: Path) -> None:
    async def echo_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(echo_at_the_end, tmp_path / "proxy.sock")
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = bytes(range(256)) * 8000
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == data
        writer.close()


async def test_without_a_proxy_a_connection_is_closed_and_the_next_may_work(
    port: int, tmp_path: Path
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()

    proxy = EgressProxy(EgressPolicy(), on_connection_end=lambda record: None)
    await proxy.serve_unix(tmp_path / "proxy.sock")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert reason_in(await reader.read()) == "address_loopback"
    writer.close()
    await proxy.close()


async def test_cancelling_it_cuts_its_connections(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        writer.close()

    path = str(tmp_path / "proxy.sock")
    async with await asyncio.start_unix_server(silent, path):
        started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve_forwarder("127.0.0.1", 0, path, started=started))
        reader, writer = await asyncio.open_connection(*await started)
        assert await reader.readexactly(5) == b"hello"
        task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            with suppress(asyncio.CancelledError):
                await task
        writer.close()


def test_the_keepers_side_and_the_guests_side_import_nothing_heavy() -> None:
    code = (
        "import sys, polydev.egress.server, polydev.guest.agent.forwarder\n"
        "heavy = {'pydantic', 'fastapi', 'httpx', 'starlette', 'structlog', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
