"""The live view and the terminal over real sockets."""

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from polydev.api import standing
from polydev.api.routes import streams
from polydev.errors import MachineError
from polydev.store.models import ApiKeyRow
from polydev.store.repositories import sessions
from polydev.stream.tickets import LIFETIME_S, TicketOffice
from tests.api_world import Person, World, cookie_headers

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
    )


@contextlib.asynccontextmanager
async def viewing(world: World) -> AsyncIterator[tuple[ClientConnection, socket.socket]]:
    """Alice's open viewer, and the guest's end of the display."""
    async with (
        world.serving() as address,
        asyncio.timeout(20),
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


async def test_the_view_closes_when_the_session_ends(world: World) -> None:
    async with viewing(world) as (viewer, _):
        await world.end_session(world.alice.session_id)
        with pytest.raises(ConnectionClosed) as caught:
            await viewer.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "the session has ended")


async def test_the_view_closes_when_the_display_goes(world: World) -> None:
    async with viewing(world) as (viewer, guest):
        guest.close()
        with pytest.raises(ConnectionClosed) as caught:
            await viewer.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001


async def test_the_display_is_let_go_when_the_viewer_leaves(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        await viewer.close()
        assert await loop.sock_recv(guest, 10) == b""


async def test_text_on_the_view_is_refused(world: World) -> None:
    async with viewing(world) as (viewer, _):
        await viewer.send("hello")
        with pytest.raises(ConnectionClosed) as caught:
            await viewer.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1003


async def test_the_view_closes_when_the_server_stops(world: World) -> None:
    ticket = await ticket_for(world, world.alice)
    async with world.serving() as address:
        viewer = await open_view(address, ticket)
        guest = await world.driver.displays.get()
    with pytest.raises(ConnectionClosed) as caught:
        await viewer.recv()
    guest.close()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


@pytest.fixture
def looks_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation must close a stream by itself, not by the next look."""
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 3600.0)


async def closed_with(connection: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await connection.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


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
    async with world.serving() as address, asyncio.timeout(20):
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


async def test_a_viewer_that_does_not_read_makes_the_guest_wait(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with viewing(world) as (viewer, guest):
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 200_000_000:
                    await loop.sock_sendall(guest, b"\0" * 1_000_000)
                    sent += 1_000_000
        viewer.transport.abort()
    assert sent < 100_000_000, "nobody read, so it must not pile up here"


# The terminal


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
        asyncio.timeout(20),
        connect(
            f"ws://{address}{ticket['websocketPath']}",
            subprotocols=[
                Subprotocol("polydev.pty.v1"),
                Subprotocol(f"ticket.{ticket['ticket']}"),
            ],
            proxy=None,
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
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000
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
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1003
    assert runs.asked == []


async def test_a_terminal_whose_machine_fails_says_so(world: World) -> None:
    async with terminal(world) as (connection, _):
        await connection.send('{"columns": 100, "rows": 30}')
        await connection.send(b"break")
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011
    assert "broke" in caught.value.rcvd.reason


async def test_without_a_cli_machine_there_is_no_terminal(world: World) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.post("/api/shell/ticket", json={"provider": "codex"})
        unknown = await client.post("/api/shell/ticket", json={"provider": "nothing"})
    assert (answer.status_code, unknown.status_code) == (409, 422)


# Prompts


async def test_a_runs_output_streams_and_ends_with_the_exit_code(world: World) -> None:
    go_on = asyncio.Event()

    class Runs:
        async def run(self, user_id: str, provider: str, prompt: str):
            from polydev.sessions.runs import RunOutput

            yield RunOutput("out", f"{provider}: {prompt}", None)
            await go_on.wait()
            yield RunOutput(None, None, 3)

    runs: Any = Runs()
    world.rebuild(dataclasses.replace(world.services, runs=runs))
    async with (
        world.serving() as address,
        httpx.AsyncClient(headers=world.alice.headers) as client,
        client.stream(
            "POST", f"http://{address}/api/prompts", json={"provider": "codex", "prompt": "hi"}
        ) as answer,
        asyncio.timeout(20),
    ):
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines)) == {"stream": "out", "text": "codex: hi"}
        go_on.set()
        assert json.loads(await anext(lines)) == {"exit": 3}


async def test_closing_a_run_ends_the_tool(world: World) -> None:
    ended = asyncio.Event()

    class Runs:
        async def run(self, user_id: str, provider: str, prompt: str):
            from polydev.sessions.runs import RunOutput

            try:
                yield RunOutput("out", "working", None)
                await asyncio.Event().wait()
            finally:
                ended.set()

    runs: Any = Runs()
    world.rebuild(dataclasses.replace(world.services, runs=runs))
    async with (
        world.serving() as address,
        httpx.AsyncClient(headers=world.alice.headers) as client,
    ):
        async with client.stream(
            "POST", f"http://{address}/api/prompts", json={"provider": "codex", "prompt": "hi"}
        ) as answer:
            await anext(answer.aiter_lines())
        await asyncio.wait_for(ended.wait(), 10)


@pytest.mark.usefixtures("looks_only_when_told")
async def test_a_run_ends_with_the_key_that_started_it(world: World) -> None:
    ended = asyncio.Event()

    class Runs:
        async def run(self, user_id: str, provider: str, prompt: str):
            from polydev.sessions.runs import RunOutput

            try:
                yield RunOutput("out", "working", None)
                await asyncio.Event().wait()
            finally:
                ended.set()

    runs: Any = Runs()
    world.rebuild(dataclasses.replace(world.services, runs=runs))
    alice = world.alice
    async with (
        world.serving() as address,
        httpx.AsyncClient(headers=alice.headers, base_url=f"http://{address}") as client,
        client.stream("POST", "/api/prompts", json={"provider": "codex", "prompt": "hi"}) as answer,
        asyncio.timeout(20),
    ):
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["text"] == "working"
        await client.delete(f"/api/keys/{alice.key_id}")
        assert standing.ENDED in json.loads(await anext(lines))["text"]
        assert await anext(lines, None) is None
        await ended.wait()


async def test_a_run_without_a_credential_is_a_conflict(world: World) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.post("/api/prompts", json={"provider": "codex", "prompt": "hi"})
    assert answer.status_code == 409
