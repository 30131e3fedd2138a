"""How a live view ends: with its session, its display, its server, and whoever opened it."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from polydev.api import standing
from polydev.store.models import ApiKeyRow
from tests.api_world import PATIENCE_S, World, cookie_headers
from tests.integration.api.views import (
    HELLO,
    closed_with,
    open_view,
    refused,
    ticket_for,
    viewing,
)


async def test_the_view_closes_when_the_session_ends(world: World) -> None:
    async with viewing(world) as (viewer, _):
        await world.end_session(world.alice.session_id)
        assert await closed_with(viewer) == (1000, "the session has ended")


async def test_the_view_closes_when_the_display_goes(world: World) -> None:
    async with viewing(world) as (viewer, guest):
        guest.close()
        assert await closed_with(viewer) == (1001, "the display has gone")


async def test_the_display_is_let_go_when_the_viewer_leaves(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        await viewer.close()
        assert await loop.sock_recv(guest, 10) == b""


async def test_text_on_the_view_is_refused(world: World) -> None:
    async with viewing(world) as (viewer, _):
        await viewer.send("hello")
        assert await closed_with(viewer) == (1003, "binary only")


async def test_the_view_closes_when_the_server_stops(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with asyncio.timeout(PATIENCE_S):
        async with world.serving() as address:
            viewer = await open_view(address, ticket)
            guest = await world.driver.displays.get()
        code, _ = await closed_with(viewer)
    guest.close()
    assert code == 1012


@pytest.mark.usefixtures("looks_only_when_told")
async def test_the_view_closes_when_the_person_is_disabled(world: World) -> None:
    async with viewing(world) as (viewer, _), world.client(headers=world.admin.headers) as client:
        await client.delete(f"/api/users/{world.alice.user_id}")
        assert await closed_with(viewer) == (1000, standing.ENDED)


@pytest.mark.usefixtures("looks_only_when_told")
async def test_the_view_closes_when_the_key_that_opened_it_is_revoked(world: World) -> None:
    alice = world.alice
    async with viewing(world) as (viewer, _), world.client(headers=alice.headers) as client:
        await client.delete(f"/api/keys/{alice.key_id}")
        assert await closed_with(viewer) == (1000, standing.ENDED)


@pytest.mark.usefixtures("looks_only_when_told")
async def test_the_view_closes_when_the_sign_in_that_opened_it_is_logged_out(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    ticket = await ticket_for(world, world.alice, headers)
    later = await ticket_for(world, world.alice, headers)
    async with world.serving() as address, asyncio.timeout(PATIENCE_S):
        origin = f"http://{address}"
        async with open_view(address, ticket, origin=origin) as viewer:
            async with world.client(headers=headers) as client:
                assert (await client.post("/api/logout")).status_code == 204
            assert await closed_with(viewer) == (1000, standing.ENDED)
        assert await refused(address, later, origin=origin) == 401, "a ticket ends with it, too"


@pytest.mark.usefixtures("looks_only_when_told")
async def test_another_key_of_the_person_does_not_close_the_view(world: World) -> None:
    alice = world.alice
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest), world.client(headers=alice.headers) as client:
        other = (await client.post("/api/keys", json={"label": "other"})).json()
        await client.delete(f"/api/keys/{other['keyId']}")
        await loop.sock_sendall(guest, HELLO)
        assert await viewer.recv() == HELLO


async def test_a_key_that_expires_closes_the_view(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.05)
    async with viewing(world) as (viewer, _):
        async with world.db.transaction() as tx:
            await tx.execute(
                update(ApiKeyRow)
                .where(ApiKeyRow.id == world.alice.key_id)
                .values(expires_at=datetime.now(UTC))
            )
        assert await closed_with(viewer) == (1000, standing.ENDED)
