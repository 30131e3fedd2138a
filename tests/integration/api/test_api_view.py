"""The live view: bytes between a viewer and a display, and what a person's doings mean."""

import asyncio
import os

import pytest

from polydev.api.routes import streams
from polydev.store.repositories import sessions
from tests.api_world import World
from tests.integration.api.views import HELLO, viewing


async def test_bytes_go_both_ways_unchanged(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        assert viewer.subprotocol == "binary"
        await loop.sock_sendall(guest, HELLO)
        assert await viewer.recv() == HELLO
        await viewer.send(HELLO)
        assert await loop.sock_recv(guest, 100) == HELLO
        picture = os.urandom(3_000_000)
        sending = asyncio.create_task(loop.sock_sendall(guest, picture))
        seen = bytearray()
        while len(seen) < len(picture):
            message = await viewer.recv()
            assert isinstance(message, bytes)
            seen += message
        await sending
        assert bytes(seen) == picture


async def test_a_viewer_that_does_not_read_makes_the_guest_wait(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        sent, stalled = 0, False
        while sent < 200_000_000 and not stalled:
            try:
                # However slow the host is: what is taken at all is taken before a second is over.
                async with asyncio.timeout(1):
                    await loop.sock_sendall(guest, b"\0" * 1_000_000)
                sent += 1_000_000
            except TimeoutError:
                stalled = True
        viewer.transport.abort()
    assert sent < 100_000_000, "nobody read, so it must not pile up here"


async def test_an_open_view_counts_as_a_sign_of_life(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: asyncio.Queue[str] = asyncio.Queue()
    real = world.services.sessions.heartbeat

    async def heartbeat(user_id: str, session_id: str) -> None:
        await real(user_id, session_id)
        beats.put_nowait(session_id)

    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(world.services.sessions, "heartbeat", heartbeat)
    async with viewing(world):
        assert [await beats.get() for _ in range(3)] == [world.alice.session_id] * 3
    async with world.db.reading() as tx:
        record = await sessions.any_get(tx, world.alice.session_id)
    assert record is not None
    assert record.viewer_seen_at is not None


@pytest.mark.parametrize(
    ("frame", "counts"),
    [
        (b"\x04\x01\x00\x00\x00\x00\x00\x61", True),
        (b"\x05\x01\x00\x10\x00\x10", True),
        (b"\x06\x00\x00\x00\x00\x00\x00\x01a", True),
        (b"\x03\x01\x00\x00\x00\x00\x05\x00\x03\x20", False),
        (b"\x02\x00\x00\x00", False),
        (HELLO, False),
    ],
)
async def test_what_a_person_does_is_noted_and_what_the_viewer_does_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch, frame: bytes, counts: bool
) -> None:
    noted: list[str] = []

    async def note(session_id: str) -> None:
        noted.append(session_id)

    monkeypatch.setattr(world.services.sessions, "note_activity", note)
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        await viewer.send(frame)
        assert await loop.sock_recv(guest, 100) == frame
    assert noted == ([world.alice.session_id] if counts else [])


async def test_a_note_that_hangs_does_not_hold_the_keys_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def note(session_id: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.services.sessions, "note_activity", note)
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        for key in b"abc":
            await viewer.send(bytes([4, 1, 0, 0, 0, 0, 0, key]))
            assert (await loop.sock_recv(guest, 100))[-1] == key
