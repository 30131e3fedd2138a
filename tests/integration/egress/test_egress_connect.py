"""CONNECT through a real proxy: what gets through, what does not, and how it ends."""

import asyncio
import json
import logging
import stat
from pathlib import Path

import pytest

from polydev.egress.policy import EgressPolicy
from polydev.egress.records import ConnectionRecord, Verdict, log_to
from polydev.egress.server import EgressProxy
from tests.integration.egress.rig import PATIENCE_S, Rig, reason_in, refusing_port, status_of


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_bytes_pass_both_ways_and_are_counted(rig: Rig) -> None:
    origin = await rig.origin(echo)
    proxy = await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.connect("EXAMPLE.com.:443")
    for part in (b"hello", b"x" * 300_000, bytes(range(256))):
        writer.write(part)
        assert await reader.readexactly(len(part)) == part
    writer.write_eof()
    assert await reader.read() == b""
    record = await rig.record()
    assert (record.verdict, record.reason, record.kind) == (Verdict.ALLOWED, "ok", "connect")
    assert (record.host, record.port, record.address) == ("example.com", 443, "127.0.0.1")
    assert record.bytes_up == record.bytes_down == 5 + 300_000 + 256
    assert proxy.counters.bytes_total == 2 * record.bytes_up
    assert proxy.counters.connections == 1
    assert proxy.counters.active == 0


async def test_bytes_sent_before_the_answer_are_not_lost(rig: Rig) -> None:
    origin = await rig.origin(echo)
    await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.open()
    writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\nearly")
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(5) == b"early"


async def test_a_client_that_has_ended_its_half_still_gets_the_answer(rig: Rig) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(await reader.read())
        writer.write(b"got %d" % size)
        await writer.drain()

    origin = await rig.origin(answer_at_the_end)
    await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.connect()
    writer.write(b"y" * 500_000)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b"got 500000"
    assert (await rig.record()).reason == "ok"


async def test_a_host_that_has_ended_its_half_still_hears_the_client(rig: Rig) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        heard.set_result(await reader.read())

    origin = await rig.origin(speak_first)
    await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.connect()
    assert await reader.read() == b"bye"
    writer.write(b"last words")
    writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        assert await heard == b"last words"


@pytest.mark.parametrize(
    ("authority", "reason"),
    [
        ("127.0.0.1:443", "address_loopback"),
        ("[::1]:443", "address_loopback"),
        ("[::ffff:127.0.0.1]:443", "address_ipv4_mapped"),
        ("[::ffff:7f00:1]:443", "address_ipv4_mapped"),
        ("[64:ff9b::7f00:1]:443", "address_nat64"),
        ("[2002:7f00:1::]:443", "address_6to4"),
        ("[fe80::1]:443", "address_link_local"),
        ("169.254.169.254:80", "address_metadata"),
        ("10.0.0.1:443", "address_private"),
        ("0.0.0.0:443", "address_unspecified"),
        ("[::]:443", "address_unspecified"),
        ("inner.example.com:443", "address_private"),
        ("mixed.example.com:443", "address_loopback"),
        ("localhost:443", "host_not_public"),
        ("metadata.google.internal:80", "host_not_public"),
        ("example.com:22", "port_refused"),
        ("example.com:25", "port_refused"),
        ("127.0.0.1:4000", "port_refused"),
        ("bad.example.com:443", "host_denied"),
        ("0:443", "host_invalid"),
        ("127.1:443", "host_invalid"),
        ("0x7f000001:443", "host_invalid"),
        ("2130706433:443", "host_invalid"),
        ("127.0.0.1.:443", "host_invalid"),
        ("[fe80::1%eth0]:443", "host_invalid"),
        ("example.com:0443", "host_invalid"),
        ("example.com", "host_invalid"),
    ],
)
async def test_a_forbidden_target_is_refused_with_its_reason(
    rig: Rig, authority: str, reason: str
) -> None:
    answers = {
        "inner.example.com": ["10.1.2.3"],
        "mixed.example.com": ["1.2.3.4", "127.0.0.1"],
    }

    async def lookup(name: str) -> list[str]:
        return answers[name]

    proxy = await rig.start(lookup=lookup, deny=("bad.example.com",))
    answer = await rig.ask(f"CONNECT {authority} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status_of(answer) == (400 if reason == "host_invalid" else 403)
    assert reason_in(answer) == reason
    record = await rig.record()
    assert (record.verdict, record.reason) == (Verdict.REFUSED, reason)
    assert proxy.counters.refusals == {reason: 1}


async def test_a_host_that_refuses_is_a_bad_gateway(rig: Rig) -> None:
    with refusing_port() as port:
        await rig.start(resolve_override={"b.example": f"127.0.0.1:{port}"})
        answer = await rig.ask(b"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n")
    assert (status_of(answer), reason_in(answer)) == (502, "connect_failed")
    record = await rig.record()
    assert (record.verdict, record.address) == (Verdict.FAILED, "127.0.0.1")


async def test_the_log_line_has_the_host_and_no_more(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    origin = await rig.origin(rig.canned(b"HTTP/1.1 204 No Content\r\n\r\n"))
    await rig.start(resolve_override={"example.com": origin})
    records: list[ConnectionRecord] = []
    for request in (
        b"GET http://example.com/p4th-canary?k3y-canary=1 HTTP/1.1\r\nHost: example.com\r\n"
        b"Authorization: Bearer h3ader-canary\r\nCookie: c00kie-canary\r\n\r\n",
        b"GET http://exa mple.com/p4th-canary HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"CONNECT x\x1b]0;canary:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    ):
        await rig.ask(request)
        records.append(await rig.record())
    assert [record.host for record in records] == ["example.com", None, None]
    caplog.set_level(logging.DEBUG)
    for record in records:
        log_to(logging.getLogger("machine"))(record)
    assert "canary" not in caplog.text
    assert "canary" not in repr(records)
    said = [line.getMessage() for line in caplog.records if line.name == "machine"]
    fields = json.loads(said[0].removeprefix("egress "))
    assert fields["host"] == "example.com"
    assert fields["kind"] == "http"
    assert set(fields) == {
        *("time", "kind", "host", "port", "address", "verdict", "reason"),
        *("bytes_up", "bytes_down", "duration_s"),
    }


async def test_a_callback_that_fails_does_not_stop_the_proxy(tmp_path: Path) -> None:
    called = asyncio.Event()

    def fail(record: object) -> None:
        called.set()
        raise RuntimeError("disk full")

    proxy = EgressProxy(EgressPolicy(), on_connection_end=fail)
    await proxy.serve_unix(tmp_path / "p.sock")
    for _ in range(2):
        called.clear()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "p.sock"))
        writer.write(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert reason_in(await reader.read()) == "address_loopback"
            writer.close()
            await called.wait()
    await proxy.close()


async def test_close_cuts_records_and_cleans_up(rig: Rig) -> None:
    origin = await rig.origin(echo)
    proxy = await rig.start(resolve_override={"example.com": origin})
    tunnel, writer = await rig.connect()
    writer.write(b"x")
    assert await tunnel.readexactly(1) == b"x"
    waiting, _ = await rig.open()
    async with asyncio.timeout(PATIENCE_S):
        while proxy.counters.active < 2:
            await asyncio.sleep(0)  # until it is accepted
        await proxy.close()
        assert await tunnel.read() == await waiting.read() == b""
    assert not rig.path.exists()
    reasons = {(await rig.record()).reason for _ in range(proxy.counters.connections)}
    assert reasons == {"closed"}
    assert proxy.counters.active == 0


async def test_the_socket_has_its_mode_and_replaces_a_stale_one_only(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    first = EgressProxy(EgressPolicy(), on_connection_end=lambda record: None)
    await first.serve_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = EgressProxy(EgressPolicy(), on_connection_end=lambda record: None)
    await second.serve_unix(path, mode=0o666)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    await first.close()
    assert path.exists(), "the first must not remove its successor's socket"
    await second.close()
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        await second.serve_unix(path)
    assert path.read_text() == "mine"


async def test_it_listens_on_tcp_too(rig: Rig) -> None:
    proxy = await rig.start()
    host, port = await proxy.serve_tcp("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reason_in(await reader.read()) == "address_private"
    writer.close()
