"""Server-sent events over a real socket."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from httpx_sse import ServerSentEvent, aconnect_sse

from polydev.api import serving, sse, standing
from polydev.domain.session import SessionState
from polydev.settings import Settings
from polydev.store.repositories import sessions
from tests.api_world import PATIENCE_S, Person, World, live


def path_of(person: Person) -> str:
    return f"/api/auth/session/{person.session_id}/events"


async def read_to_end(events: AsyncIterator[ServerSentEvent]) -> list[ServerSentEvent]:
    """The named ones: a comment that keeps the stream alive becomes an event without a name."""
    return [event async for event in events if event.event != "message"]


async def test_events_come_as_they_happen_and_end_with_the_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a slow machine a comment could come between the events that are counted here.
    monkeypatch.setattr(sse, "KEEPALIVE_S", 3600.0)
    alice = world.alice
    async with (
        world.serving() as address,
        live(address, headers=alice.headers) as client,
        aconnect_sse(client, "GET", path_of(alice)) as source,
        asyncio.timeout(PATIENCE_S),
    ):
        assert source.response.headers["content-type"].startswith("text/event-stream")
        assert source.response.headers["cache-control"] == "no-store"
        events = source.aiter_sse()
        # Those that happened before; the very first says how soon to come back.
        assert (await anext(events)).retry == 1000
        while json.loads((await anext(events)).data)["data"]["state"] != "awaiting_user":
            pass
        async with world.db.transaction() as tx:
            await sessions.transition(tx, alice.session_id, SessionState.CAPTURING)
        world.watchers.notify(alice.session_id)
        event = await anext(events)
        assert event.event == "state"
        body = json.loads(event.data)
        assert body["data"]["state"] == "capturing"
        assert event.id == str(body["seq"])
        await world.end_session(alice.session_id)
        rest = await read_to_end(events)
    assert [event.event for event in rest] == ["state", "end"]


async def test_a_stream_goes_on_after_the_last_event_seen(world: World) -> None:
    alice = world.alice
    async with world.db.reading() as tx:
        known = await sessions.events(tx, alice.user_id, alice.session_id)
    await world.end_session(alice.session_id)
    async with (
        world.serving() as address,
        live(address, headers=alice.headers) as client,
        asyncio.timeout(PATIENCE_S),
    ):
        headers = {"Last-Event-ID": str(known[-1].seq)}
        async with aconnect_sse(client, "GET", path_of(alice), headers=headers) as source:
            by_header = await read_to_end(source.aiter_sse())
        params = {"after": known[-1].seq}
        async with aconnect_sse(client, "GET", path_of(alice), params=params) as source:
            by_query = await read_to_end(source.aiter_sse())
    for seen in (by_header, by_query):
        assert [event.event for event in seen] == ["state", "end"]
        assert json.loads(seen[0].data)["data"]["state"] == "cancelled"


async def test_an_idle_stream_is_kept_alive_by_comments(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEPALIVE_S", 0.05)
    alice = world.alice
    headers = {**alice.headers, "Accept": "text/event-stream"}
    async with (
        world.serving() as address,
        live(address, headers=headers) as client,
        client.stream("GET", path_of(alice)) as answer,
        asyncio.timeout(PATIENCE_S),
    ):
        comments = 0
        async for line in answer.aiter_lines():
            comments += line == ": keepalive"
            if comments == 3:
                break
    assert comments == 3


async def test_another_persons_stream_is_a_404_and_no_stream(world: World) -> None:
    headers = {**world.bob.headers, "Accept": "text/event-stream"}
    async with world.client(headers=headers) as client:
        answer = await client.get(path_of(world.alice))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_client_that_goes_ends_the_watching(world: World) -> None:
    alice = world.alice
    ended = asyncio.Event()
    watch = world.services.sessions.watch

    async def watched(user_id: str, session_id: str, after: int):
        try:
            async for event in watch(user_id, session_id, after):
                yield event
        finally:
            ended.set()

    world.services.sessions.watch = watched  # type: ignore[method-assign]
    async with (
        world.serving() as address,
        live(address, headers=alice.headers) as client,
    ):
        async with (
            aconnect_sse(client, "GET", path_of(alice)) as source,
            asyncio.timeout(PATIENCE_S),
        ):
            await anext(source.aiter_sse())
            assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), PATIENCE_S)


async def test_a_server_that_stops_does_not_wait_for_open_streams(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = serving.server_config

    def config(app: FastAPI, settings: Settings) -> uvicorn.Config:
        made = patient(app, settings)
        made.timeout_graceful_shutdown = 300
        return made

    monkeypatch.setattr(serving, "server_config", config)
    alice = world.alice
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(
        headers=alice.headers, timeout=PATIENCE_S, trust_env=False
    ) as client:
        async with world.serving() as address:
            url = f"http://{address}{path_of(alice)}"
            headers = {"Accept": "text/event-stream"}
            answer = await client.send(
                client.build_request("GET", url, headers=headers), stream=True
            )
            lines = answer.aiter_lines()
            assert await anext(lines)
            stopping_at = loop.time()
        assert loop.time() - stopping_at < 60, "uvicorn's own patience would be 300 s"
        assert "event: end" not in [line async for line in lines], "the session has not ended"


async def test_a_stream_breaks_off_without_an_end_when_its_key_is_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 3600.0)
    alice = world.alice
    async with (
        world.serving() as address,
        live(address, headers=alice.headers) as client,
        aconnect_sse(client, "GET", path_of(alice)) as source,
        asyncio.timeout(PATIENCE_S),
    ):
        events = source.aiter_sse()
        await anext(events)
        await client.delete(f"/api/keys/{alice.key_id}")
        rest = await read_to_end(events)
        again = await client.get(path_of(alice))
    assert "end" not in {event.event for event in rest}
    assert again.status_code == 401


async def test_clients_that_go_leave_no_database_connection_half_closed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    alice = world.alice
    gc.collect()
    caplog.clear()  # of what tests before this one left behind
    async with (
        world.serving() as address,
        live(address, headers=alice.headers) as client,
        asyncio.timeout(2 * PATIENCE_S),
    ):

        async def comes_and_goes() -> None:
            # Gone before anything was read: the server is in the middle of its first look.
            async with aconnect_sse(client, "GET", path_of(alice)):
                pass

        for _ in range(10):
            await asyncio.gather(*(comes_and_goes() for _ in range(20)))
    await world.db.close()
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
