"""What is not even HTTP, over real sockets: a problem document, and an end in time."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from polydev.api import connection
from tests.api_world import PATIENCE_S, World

# One byte more than h11 waits for: what a server leaves unread when it closes makes the kernel
# reset the connection, and the answer may then be lost.
ENDLESS = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".ljust(16 * 1024 + 1, b"x")


async def answer_to(address: str, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send this and read until the server closes: status, headers, body."""
    host, _, port = address.partition(":")
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        for part in parts:
            writer.write(part)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def is_our_problem(headers: dict[str, str], body: bytes, status: int) -> None:
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ENDLESS,
    ],
)
async def test_what_is_no_http_gets_a_problem_document(world: World, request_bytes: bytes) -> None:
    async with world.serving() as address:
        status, headers, body = await answer_to(address, request_bytes)
    assert status == 400
    is_our_problem(headers, body, 400)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: "])
async def test_a_head_that_does_not_come_ends_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    async with world.serving() as address:
        status, headers, body = await answer_to(address, begun)
    assert status == 408
    is_our_problem(headers, body, 408)


async def test_a_second_head_on_the_same_connection_must_come_in_time_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.serving() as address, asyncio.timeout(PATIENCE_S):
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        monkeypatch.setattr(connection, "HEAD_S", 0.2)
        writer.write(b"GET /live")
        assert b"HTTP/1.1 408" in await reader.read()
        writer.close()


async def test_a_websocket_at_an_unknown_address_gets_a_problem_document(world: World) -> None:
    async with world.serving() as address:
        for path in ("/", "/api/stream", "/api/stream/x/y"):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"ws://{address}{path}", proxy=None, open_timeout=PATIENCE_S):
                    pass
            response = caught.value.response
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["x-content-type-options"] == "nosniff"
