"""Plain HTTP: one request, read one way, rewritten, and checked however it came about."""

import asyncio

import pytest

from polydev.egress.records import Verdict
from tests.integration.egress.rig import PATIENCE_S, Rig, reason_in, status_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Origin: yes\r\n\r\nhi"


async def rig_with(rig: Rig, answer: bytes = OK, **policy: object) -> None:
    origin = await rig.origin(rig.canned(answer))
    await rig.start(resolve_override={"example.com": origin}, **policy)


async def test_the_request_is_rewritten_for_the_origin(rig: Rig) -> None:
    await rig_with(rig)
    answer = await rig.ask(
        b"GET http://Example.com/a?b=c HTTP/1.1\r\nHost: other.example\r\nAccept: */*\r\n"
        b"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n"
        b"Connection: X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\nExpect: nothing\r\n\r\n"
    )
    assert answer.endswith(b"\r\n\r\nhi")
    assert b"X-Origin: yes" in answer
    assert b"Connection: close" in answer
    assert rig.heard == [
        b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ]
    record = await rig.record()
    assert (record.kind, record.verdict, record.port) == ("http", Verdict.ALLOWED, 80)
    assert record.bytes_up == len(rig.heard[0])
    assert record.bytes_down == len(OK)


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 5\r\n\r\nhello", b"Content-Length: 5\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_passed_on_in_its_own_framing(
    rig: Rig, framing: bytes, sent: bytes
) -> None:
    await rig_with(rig)
    answer = await rig.ask(b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\n" + framing)
    assert status_of(answer) == 200
    assert sent in rig.heard[0]


async def test_a_client_that_waits_for_continue_gets_it(rig: Rig) -> None:
    await rig_with(rig)
    reader, writer = await rig.open()
    writer.write(
        b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"abc")
        assert status_of(await reader.read()) == 200


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"hi"),
    ],
)
async def test_every_framing_of_an_answer_arrives(rig: Rig, answer: bytes, body: bytes) -> None:
    await rig_with(rig, answer)
    got = await rig.ask(b"GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(got) == 200
    assert b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) in got or got.endswith(body)


async def test_the_answer_to_head_has_its_length_and_no_body(rig: Rig) -> None:
    await rig_with(rig, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    got = await rig.ask(b"HEAD http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 1000" in got
    assert got.endswith(b"\r\n\r\n")


async def test_a_second_request_on_the_same_connection_is_never_served(rig: Rig) -> None:
    await rig_with(rig)
    one = b"GET http://example.com/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await rig.ask(one + one.replace(b"/1", b"/2"))
    assert answer.count(b"HTTP/1.1 200") == 1
    assert [head.split(b" ")[1] for head in rig.heard] == [b"/1"]


async def test_each_redirect_is_checked_as_a_request_of_its_own(rig: Rig) -> None:
    moves = iter(
        [
            b"http://169.254.169.254/latest/",
            b"http://2852039166/latest/",
            b"http://inner.example.org/",
            b"https://127.0.0.1/",
        ]
    )

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        place = next(moves)
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % place)
        await writer.drain()

    async def lookup(name: str) -> list[str]:
        return ["10.0.0.1"]

    origin = await rig.origin(redirect)
    await rig.start(lookup=lookup, resolve_override={"example.com": origin})
    reasons: list[str] = []
    for _ in range(4):
        answer = await rig.ask(b"GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
        place = answer.split(b"Location: ")[1].split(b"\r\n")[0]
        if place.startswith(b"https://"):
            ask = b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n"
        else:
            ask = b"GET " + place + b" HTTP/1.1\r\nHost: example.com\r\n\r\n"
        reasons.append(reason_in(await rig.ask(ask)))
    assert reasons == ["address_metadata", "host_invalid", "address_private", "address_loopback"]


@pytest.mark.parametrize(
    "chunks",
    [
        b"5\r\nhello\r\n0\r\nGET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"5 \nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"fffffffffffffffffffffff\r\nx",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"zz\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_bad_chunks_end_the_exchange(rig: Rig, chunks: bytes) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rig.heard.append(await reader.read())

    origin = await rig.origin(silent)
    await rig.start(resolve_override={"example.com": origin}, idle_timeout_s=PATIENCE_S)
    head = b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await rig.ask(head + chunks)
    assert (status_of(answer), reason_in(answer)) == (400, "bad_request")
    await rig.record()
    assert not any(b"127.0.0.1" in heard for heard in rig.heard)


async def test_bytes_after_a_body_never_reach_the_origin(rig: Rig) -> None:
    await rig_with(rig)
    await rig.ask(
        b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
        b"GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n"
    )
    assert rig.heard[0].endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize(
    "answer",
    [
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"",
    ],
)
async def test_an_answer_that_is_not_clean_http_is_a_bad_gateway(rig: Rig, answer: bytes) -> None:
    await rig_with(rig, answer)
    got = await rig.ask(b"GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status_of(got), reason_in(got)) == (502, "bad_response")
    assert (await rig.record()).verdict is Verdict.FAILED


async def test_an_answer_cut_short_is_not_passed_off_as_whole(rig: Rig) -> None:
    await rig_with(rig, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    got = await rig.ask(b"GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not got.endswith(b"0\r\n\r\n")
    assert (await rig.record()).reason == "bad_response"


async def test_an_origin_may_answer_before_it_has_the_whole_body(rig: Rig) -> None:
    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    origin = await rig.origin(impatient)
    await rig.start(resolve_override={"example.com": origin})
    reader, writer = await rig.open()
    writer.write(
        b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"
    )
    async with asyncio.timeout(PATIENCE_S):
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 413
