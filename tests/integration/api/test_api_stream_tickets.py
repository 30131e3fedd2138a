"""Who is let in to a live stream: whoever has a ticket for it, once, in time, from our own page."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from polydev.stream.tickets import LIFETIME_S, TicketOffice
from tests.api_world import World, cookie_headers
from tests.integration.api.views import open_view, refused, ticket_for


async def test_a_ticket_opens_one_connection(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.serving() as address:
        async with open_view(address, ticket):
            pass
        assert await refused(address, ticket) == 401


async def test_an_expired_ticket_is_refused(world: World) -> None:
    now = [0.0]
    world.app.state.tickets = TicketOffice(lambda: now[0])
    ticket = await ticket_for(world, world.alice)
    now[0] += LIFETIME_S
    async with world.serving() as address:
        assert await refused(address, ticket) == 401


async def test_a_ticket_for_another_session_is_refused(world: World) -> None:
    ticket = await ticket_for(world, world.bob)
    alices = {**ticket, "websocketPath": f"/api/stream/{world.alice.session_id}/vnc"}
    async with world.serving() as address:
        assert await refused(address, alices) == 401
        assert await refused(address, ticket) == 401, "and it is used up"


async def test_no_ticket_or_two_are_refused(world: World) -> None:
    path = f"/api/stream/{world.alice.session_id}/vnc"
    cookie = await cookie_headers(world, await world.cookie_of(world.alice))
    ticket = (await ticket_for(world, world.alice))["ticket"]
    async with world.serving() as address:
        for names in (
            ["binary"],
            ["binary", f"ticket.{ticket}", "ticket.x"],
            ["binary", "ticket."],
        ):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(
                    f"ws://{address}{path}",
                    subprotocols=[Subprotocol(name) for name in names],
                    # Neither a key nor a cookie stands in for a ticket.
                    additional_headers={**world.alice.headers, "Cookie": cookie["Cookie"]},
                    proxy=None,
                ):
                    pass
            assert caught.value.response.status_code == 401


async def test_a_missing_subprotocol_is_refused_and_the_ticket_kept(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.serving() as address:
        assert await refused(address, ticket, binary="base64") == 400
        async with open_view(address, ticket) as viewer:
            assert viewer.subprotocol == "binary"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.test", "http://127.0.0.1:1"])
async def test_a_cookies_ticket_needs_our_own_origin(world: World, origin: str | None) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    ticket = await ticket_for(world, world.alice, headers)
    async with world.serving() as address:
        assert await refused(address, ticket, origin=origin) == 403


async def test_a_cookies_ticket_works_from_our_own_page(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    ticket = await ticket_for(world, world.alice, headers)
    async with world.serving() as address, open_view(address, ticket, origin=f"http://{address}"):
        pass


async def test_a_keys_ticket_does_not_work_from_a_foreign_page(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.serving() as address:
        assert await refused(address, ticket, origin="https://evil.test") == 403


async def test_a_disabled_persons_ticket_is_refused(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.client(headers=world.admin.headers) as client:
        await client.delete(f"/api/users/{world.alice.user_id}")
    async with world.serving() as address:
        assert await refused(address, ticket) == 401


async def test_a_session_without_a_display_is_a_conflict(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    await world.end_session(world.alice.session_id)
    async with world.serving() as address:
        assert await refused(address, ticket) == 409


async def test_an_unknown_stream_is_refused(world: World) -> None:
    async with world.serving() as address:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(f"ws://{address}/api/stream/nothing", proxy=None):
                pass
    assert caught.value.response.status_code == 404


async def test_a_foreign_host_name_is_refused(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.serving() as address:
        host, _, port = address.partition(":")
        with pytest.raises(InvalidStatus) as caught:
            async with connect(
                f"ws://evil.test:{port}{ticket['websocketPath']}",
                subprotocols=[Subprotocol("binary"), Subprotocol(f"ticket.{ticket['ticket']}")],
                host=host,
                port=int(port),
                proxy=None,
            ):
                pass
        assert caught.value.response.status_code == 421
        async with open_view(address, ticket):
            pass
