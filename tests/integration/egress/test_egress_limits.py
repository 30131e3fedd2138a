"""Slow, endless and greedy clients, and origins that keep silent."""

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from tests.integration.egress.rig import PATIENCE_S, Rig, reason_in, status_of


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never reads; its stream reader stops taking bytes when its small buffer is full."""
    await asyncio.Event().wait()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    block = bytes(65536)
    while True:
        writer.write(block)
        await writer.drain()


async def test_endless_headers_are_cut_off(rig: Rig) -> None:
    await rig.start(max_header_bytes=4096)
    reader, writer = await rig.open()
    writer.write(b"GET http://example.com/ HTTP/1.1\r\n" + b"X-Padding: yyyyyyyyyyyyy\r\n" * 4000)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert (status_of(answer), reason_in(answer)) == (431, "header_too_large")


async def test_an_endless_request_line_is_cut_off(rig: Rig) -> None:
    await rig.start(max_header_bytes=4096)
    answer = await rig.ask(b"GET http://example.com/" + b"a" * 50_000)
    assert status_of(answer) == 431


@pytest.mark.parametrize(
    "begun", [b"", b"GET http://exam", b"GET http://example.com/ HTTP/1.1\r\n"]
)
async def test_a_client_slow_with_its_headers_is_cut_off(rig: Rig, begun: bytes) -> None:
    await rig.start(header_timeout_s=0.05)
    answer = await rig.ask(begun)
    assert (status_of(answer), reason_in(answer)) == (408, "header_timeout")


async def test_a_drip_of_bytes_does_not_extend_the_time_for_headers(rig: Rig) -> None:
    await rig.start(header_timeout_s=0.1)
    reader, writer = await rig.open()

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b"a")
            await asyncio.sleep(0.01)  # the drip itself is what is tested

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(PATIENCE_S):
        assert reason_in(await reader.readuntil(b"\r\n\r\n")) == "header_timeout"
    dripping.cancel()


async def test_a_client_that_says_nothing_and_leaves_is_noted(rig: Rig) -> None:
    await rig.start()
    _, writer = await rig.open()
    writer.close()
    assert (await rig.record()).reason == "no_request"


async def test_a_silent_tunnel_is_ended(rig: Rig) -> None:
    origin = await rig.origin(silent)
    await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=0.1)
    reader, _ = await rig.connect()
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    assert (await rig.record()).reason == "idle"


async def test_a_silent_origin_is_a_gateway_timeout(rig: Rig) -> None:
    origin = await rig.origin(silent)
    await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=0.1)
    answer = await rig.ask(b"GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status_of(answer), reason_in(answer)) == (504, "idle")


def without_stalls(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """The running loop's clock, for which a moment in which a busy machine let us wait is short."""
    loop = asyncio.get_running_loop()
    real = loop.time
    shown = looked = real()

    def seen() -> float:
        nonlocal shown, looked
        now = real()
        shown += min(now - looked, 0.1)
        looked = now
        return shown

    monkeypatch.setattr(loop, "time", seen)
    return seen


async def test_traffic_in_one_direction_keeps_a_tunnel_open(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, idle_s, took = without_stalls(monkeypatch), 1.0, 0.0

    async def ticking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal took
        start = now()
        # Together longer than the idle time, each much shorter.
        while (took := now() - start) < 2 * idle_s:
            writer.write(b".")
            await asyncio.sleep(0.05)
        writer.write(b"!")

    origin = await rig.origin(ticking)
    await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=idle_s)
    reader, writer = await rig.connect()
    async with asyncio.timeout(PATIENCE_S):
        said = await reader.read()
    assert said.strip(b".") == b"!"
    assert took >= 2 * idle_s
    writer.write_eof()


async def test_a_receiver_that_does_not_read_stops_the_sender(rig: Rig) -> None:
    """The proxy holds a bounded amount; it does not swallow what nobody takes."""
    origin = await rig.origin(deaf)
    proxy = await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=0.3)
    _, writer = await rig.connect()
    block = bytes(1024 * 1024)

    async def push() -> None:
        while True:
            writer.write(block)
            await writer.drain()

    pushing = asyncio.create_task(push())
    record = await rig.record()
    pushing.cancel()
    assert record.reason == "idle"
    assert proxy.counters.bytes_up < 32 * 1024 * 1024


async def test_a_client_that_does_not_read_stops_the_origin(rig: Rig) -> None:
    origin = await rig.origin(flood)
    proxy = await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=0.3)
    await rig.connect()
    assert (await rig.record()).reason == "idle"
    assert proxy.counters.bytes_down < 32 * 1024 * 1024


async def test_the_bytes_of_one_connection_are_limited(rig: Rig) -> None:
    origin = await rig.origin(flood)
    await rig.start(resolve_override={"example.com": origin}, max_bytes_per_connection=1_000_000)
    reader, _ = await rig.connect()
    async with asyncio.timeout(PATIENCE_S):
        assert len(await reader.read()) <= 1_000_000
    assert (await rig.record()).reason == "byte_limit"


async def test_the_bytes_of_a_machine_are_limited(rig: Rig) -> None:
    origin = await rig.origin(flood)
    await rig.start(resolve_override={"example.com": origin}, max_bytes_total=1_000_000)
    reader, _ = await rig.connect()
    async with asyncio.timeout(PATIENCE_S):
        await reader.read()
    assert (await rig.record()).reason == "total_limit"
    answer = await rig.ask(b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status_of(answer), reason_in(answer)) == (403, "total_limit")


async def test_a_body_that_could_never_pass_is_refused_at_once(rig: Rig) -> None:
    origin = await rig.origin(silent)
    await rig.start(resolve_override={"example.com": origin}, max_bytes_per_connection=1000)
    answer = await rig.ask(
        b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"
    )
    assert (status_of(answer), reason_in(answer)) == (413, "body_too_large")
    assert rig.connections == 0


async def test_the_connections_of_a_machine_are_limited_and_come_free_again(rig: Rig) -> None:
    origin = await rig.origin(silent)
    proxy = await rig.start(resolve_override={"example.com": origin}, max_connections=2)
    first = await rig.connect()
    await rig.connect()
    answer = await rig.ask(b"")
    assert (status_of(answer), reason_in(answer)) == (503, "connection_limit")
    assert (await rig.record()).reason == "connection_limit"
    first[1].write_eof()
    async with asyncio.timeout(PATIENCE_S):
        assert await first[0].read() == b""
    assert (await rig.record()).reason == "ok"
    await rig.connect()
    assert proxy.counters.active == 2


async def test_a_name_that_never_resolves_does_not_hold_up_others(rig: Rig) -> None:
    async def lookup(name: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    origin = await rig.origin(silent)
    await rig.start(lookup=lookup, resolve_override={"example.com": origin})
    for _ in range(20):
        _, writer = await rig.open()
        writer.write(b"CONNECT stuck.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    await rig.connect()


async def test_stuck_threads_of_the_resolver_do_not_keep_the_process() -> None:
    code = (
        "import asyncio, socket, threading\n"
        "from polydev.egress.resolver import SystemLookup\n"
        "socket.getaddrinfo = lambda *a, **k: threading.Event().wait()\n"
        "async def main():\n"
        "    try:\n"
        "        async with asyncio.timeout(0.01):\n"
        "            await SystemLookup()('example.com')\n"
        "    except TimeoutError:\n"
        "        print('gave up')\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        assert await process.communicate() == (b"gave up\n", None)
    assert process.returncode == 0


async def test_a_tunnel_is_fast_enough_not_to_be_noticed(rig: Rig) -> None:
    size = 64 * 1024 * 1024

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = bytes(1024 * 1024)
        for _ in range(size // len(block)):
            writer.write(block)
            await writer.drain()

    origin = await rig.origin(send)
    await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.connect()
    start = time.perf_counter()
    got = 0
    async with asyncio.timeout(PATIENCE_S):
        while data := await reader.read(1024 * 1024):
            got += len(data)
    rate = got / (time.perf_counter() - start) / 1e6
    writer.write_eof()
    print(f"CONNECT, origin, proxy and client in one process: {rate:.0f} MB/s")
    assert got == size
