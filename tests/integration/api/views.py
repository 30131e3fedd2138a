"""A viewer of a session's display over a real socket, and the guest's end of it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.api_world import PATIENCE_S, Person, World

HELLO = b"RFB 003.008\n"


async def ticket_for(
    world: World, person: Person, headers: dict[str, str] | None = None
) -> dict[str, str]:
    async with world.client(headers=headers or person.headers) as client:
        answer = await client.post(f"/api/auth/session/{person.session_id}/ticket")
    return answer.json()


def open_view(
    address: str, ticket: dict[str, str], *, origin: str | None = None, binary: str = "binary"
) -> connect:
    return connect(
        f"ws://{address}{ticket['websocketPath']}",
        subprotocols=[Subprotocol(binary), Subprotocol(f"ticket.{ticket['ticket']}")],
        origin=origin,  # type: ignore[arg-type]
        proxy=None,
        open_timeout=PATIENCE_S,
    )


@contextlib.asynccontextmanager
async def viewing(world: World) -> AsyncIterator[tuple[ClientConnection, socket.socket]]:
    """Alice's open viewer, and the guest's end of the display."""
    async with (
        world.serving() as address,
        asyncio.timeout(PATIENCE_S),
        open_view(address, await ticket_for(world, world.alice)) as viewer,
    ):
        guest = await world.driver.displays.get()
        with guest:
            yield viewer, guest


async def refused(address: str, ticket: dict[str, str], **options: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with open_view(address, ticket, **options):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["status"] == response.status_code
    return response.status_code


async def closed_with(connection: ClientConnection) -> tuple[int, str]:
    """How it is closed, after whatever still comes."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await connection.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason
