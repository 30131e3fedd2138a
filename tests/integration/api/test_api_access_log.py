"""What the server logs about a day's use: no secret, no query."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from polydev.logs import configure_logging
from tests.api_world import PATIENCE_S, World, live


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("polydev")
    before = list(root.handlers), root.level, ours.level
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()


async def test_no_key_cookie_link_ticket_or_query_is_logged(world: World, out: io.StringIO) -> None:
    alice, cookie = world.alice, await world.cookie_of(world.alice)
    async with world.serving() as address:
        base = f"http://{address}"
        async with live(address) as client:
            await client.get("/api/me?secretquery=1", headers=alice.headers)
            await client.get("/api/me", headers={"Cookie": f"polydev_session={cookie}"})
            made = await client.post("/api/login/link", headers=alice.headers)
            link = made.json()["url"].partition("#token=")[2]
            redeemed = await client.post(
                "/api/login/redeem", json={"token": link}, headers={"Origin": base}
            )
            given = redeemed.cookies["polydev_session"]
            ticket = (
                await client.post(
                    f"/api/auth/session/{alice.session_id}/ticket", headers=alice.headers
                )
            ).json()
        url = f"ws://{address}{ticket['websocketPath']}?secretquery=1"
        names = [Subprotocol("binary"), Subprotocol(f"ticket.{ticket['ticket']}")]
        async with connect(url, subprotocols=names, proxy=None, open_timeout=PATIENCE_S):
            pass
        with pytest.raises(InvalidStatus):
            async with connect(url, subprotocols=names, proxy=None, open_timeout=PATIENCE_S):
                pass
    logged = out.getvalue()
    secrets = (alice.key, cookie, link, given, redeemed.json()["csrfToken"], ticket["ticket"])
    for secret in secrets:
        assert secret not in logged
    assert "secretquery" not in logged
    lines = [json.loads(line) for line in logged.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    # Sorted: a stream's line is written when it ends.
    assert sorted((line["method"], line["status"]) for line in requests) == [
        ("GET", 200),
        ("GET", 200),
        ("POST", 200),
        ("POST", 200),
        ("POST", 200),
        ("WEBSOCKET", 101),
        ("WEBSOCKET", 401),
    ]
    assert requests[0]["user_id"] == alice.user_id
    assert len({line["request_id"] for line in requests}) == len(requests)
