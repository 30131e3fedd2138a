"""The host's side against agents that misbehave."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from polydev.domain.secret import Secret
from polydev.errors import AgentError, CaptureRefused, MachineGone, MachineNotReady
from polydev.guest import client as client_module
from polydev.guest.client import AgentClient, AgentUnreachable
from polydev.guest.protocol import ExecRequest, ManifestEntry
from polydev.guest.transport import Burst, lines

ENTRY = ManifestEntry("auth.json", max_bytes=100, required_keys=("token",))
Serve = Callable[..., AgentClient]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A client whose agent answers every request with these bytes, then hangs up."""
    clients: list[AgentClient] = []
    tasks: list[asyncio.Task[None]] = []

    async def answer(end: socket.socket, raw: bytes) -> None:
        reader, writer = await asyncio.open_connection(sock=end)
        await reader.readuntil(b"\r\n\r\n")
        try:
            writer.write(raw)
            await writer.drain()
        except OSError:
            pass
        writer.close()

    def make(raw: bytes) -> AgentClient:
        async def dial() -> socket.socket:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            tasks.append(asyncio.create_task(answer(theirs, raw)))
            return ours

        clients.append(AgentClient(dial, Secret("token")))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()
    for task in tasks:
        task.cancel()


def _json(body: object, status: int = 200) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


def _files(*files: tuple[str, bytes], mode: int = 0o600, merge: bool = False) -> bytes:
    return _json(
        {
            "files": [
                {
                    "path": path,
                    "mode": mode,
                    "content": base64.b64encode(content).decode(),
                    "merge_json": merge,
                }
                for path, content in files
            ]
        }
    )


@pytest.mark.parametrize(
    ("files", "offender"),
    [
        ([("../x", b"{}")], "files[0].path"),
        ([("/etc/passwd", b"{}")], "files[0].path"),
        ([("auth.json", b'{"token": 1}'), ("auth.json", b"{}")], "files[1].path"),
        ([("auth.json", b'{"token": 1}'), ("other", b"{}")], "other"),
        ([("auth.json", b'{"token": "' + b"x" * 100 + b'"}')], "auth.json"),
    ],
)
async def test_files_that_were_not_asked_for_are_refused(
    serve: Serve, files: list[tuple[str, bytes]], offender: str
) -> None:
    with pytest.raises(CaptureRefused) as refusal:
        await serve(_files(*files)).capture((ENTRY,))
    assert refusal.value.offender == offender


async def test_the_manifest_decides_mode_and_keys_not_the_machine(serve: Serve) -> None:
    entry = ManifestEntry("auth.json", only_keys=("token",), mode=0o600)
    answer = _files(("auth.json", b'{"token": 1, "more": 2}'), mode=0o755)

    (file,) = (await serve(answer).capture((entry,))).files

    assert (file.mode, file.content, file.merge_json) == (0o600, b'{"token": 1}', True)


async def test_a_bundle_without_a_required_file_or_key_is_an_error(serve: Serve) -> None:
    with pytest.raises(AgentError, match="is missing"):
        await serve(_files()).capture((ENTRY,))
    with pytest.raises(AgentError, match="lacks token"):
        await serve(_files(("auth.json", b"{}"))).capture((ENTRY,))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
        _json(b"not json"),
        _json([]),
        _json({"ready": "yes"}),
        _json(b"[" * 200_000),
        _json(b"x" * 10_000_000),
        _json({"code": "x", "detail": "\x1b]0;title\x07 bad"}, 500),
        _json(b"\xff\xfe", 500),
        _json(b"x" * 10_000_000, 500),
    ],
)
async def test_nonsense_is_an_agent_error(serve: Serve, raw: bytes) -> None:
    with pytest.raises(AgentError) as error:
        await serve(raw).health()
    assert "\x1b" not in error.value.detail + error.value.person


async def test_lines_and_output_are_bounded(serve: Serve) -> None:
    with pytest.raises(AgentError, match="more than it may"):
        await anext(serve(_json(b"x" * 1_000_000)).events())

    out = json.dumps({"out": base64.b64encode(b"x" * 1000).decode()}).encode() + b"\n"
    request = ExecRequest(("yes",), max_output_bytes=1500)
    with pytest.raises(AgentError, match="more output"):
        async for _ in serve(_json(out * 3)).exec(request):
            pass


async def test_streams_that_end_too_soon_are_told_from_whole_ones(serve: Serve) -> None:
    with pytest.raises(AgentUnreachable):
        await anext(serve(_json(b"")).events())
    with pytest.raises(AgentUnreachable):
        await anext(serve(_json(b"")).exec(ExecRequest(("x",))))


async def test_waiting_for_a_machine_that_never_listens_ends_with_the_time() -> None:
    async def nobody() -> socket.socket:
        raise MachineGone("nobody listens")

    client = AgentClient(nobody, Secret("token"))

    with pytest.raises(MachineNotReady) as error:
        await client.wait_ready(1)  # long enough for one try wherever this process is held up
    assert "nobody listens" in error.value.detail


async def test_waiting_for_a_machine_that_never_answers_ends_with_the_time() -> None:
    ends: list[socket.socket] = []

    async def silent() -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ends.append(theirs)
        return ours

    client = AgentClient(silent, Secret("token"))

    with pytest.raises(MachineNotReady):
        await client.wait_ready(0.2)
    await client.close()


async def test_a_machine_that_rejects_the_token_is_not_ready(serve: Serve) -> None:
    client = serve(_json({"code": "unauthorized", "detail": "no"}, 401))

    with pytest.raises(MachineNotReady):
        await client.wait_ready(5)


async def test_an_agent_that_sends_events_without_end_is_an_error(serve: Serve) -> None:
    event = json.dumps({"seq": 1, "at": 1.0, "kind": "unit", "data": {}}).encode() + b"\n"
    count = 0

    with pytest.raises(AgentError, match="more events than it may"):
        async for _ in serve(_json(event * 5000)).events():
            count += 1

    assert 1000 <= count < 5000


async def test_a_reader_of_many_lines_leaves_others_their_turn() -> None:
    turns = 0
    done = False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    async def parts() -> AsyncIterator[bytes]:
        yield b"line\n" * 10_000

    task = asyncio.create_task(other())
    assert len([line async for line in lines(parts(), 100)]) == 10_000
    done = True
    await task
    assert turns > 100


async def test_a_burst_is_forgotten_after_its_span() -> None:
    now = [0.0]
    burst = Burst(2, 10, lambda: now[0])

    assert [burst.exceeded() for _ in range(3)] == [False, False, True]
    now[0] = 10
    assert not burst.exceeded()


async def test_an_exec_whose_agent_never_ends_it_ends_by_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "_EXEC_GRACE_S", 1.5)
    ends: list[socket.socket] = []
    drip = json.dumps({"out": base64.b64encode(b"x").decode()}).encode() + b"\n"
    tasks: list[asyncio.Task[None]] = []

    async def drips(end: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=end)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(drip), drip))
            await writer.drain()
            await asyncio.sleep(0.05)

    async def dial() -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        ends.append(theirs)
        tasks.append(asyncio.create_task(drips(theirs)))
        return ours

    client = AgentClient(dial, Secret("token"))

    with pytest.raises(AgentUnreachable, match="does not come to an end"):
        async with asyncio.timeout(60):
            async for _ in client.exec(ExecRequest(("x",), timeout_s=0.1)):
                pass
    await client.close()
    for task in tasks:
        task.cancel()


async def test_empty_pieces_of_output_are_bounded_too(serve: Serve) -> None:
    request = ExecRequest(("x",), max_output_bytes=100)
    with pytest.raises(AgentError, match="more output"):
        async for _ in serve(_json(b'{"out": ""}\n' * 200)).exec(request):
            pass
