"""One reading of a request or none: the shapes that request smuggling is made of are refused."""

import asyncio
from contextlib import suppress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polydev.egress.reasons import Refused
from polydev.egress.request import ProxyRequest, parse_head, read_head

HOST = b"Host: example.com\r\n"


def parse(head: bytes) -> ProxyRequest:
    return parse_head(head, h11.Connection(h11.SERVER))


def get(fields: bytes, *, line: bytes = b"GET http://example.com/ HTTP/1.1") -> bytes:
    return line + b"\r\n" + HOST + fields + b"\r\n"


SMUGGLING = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n",
    "the same length twice": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "a list of lengths": b"Content-Length: 4, 4\r\n",
    "a signed length": b"Content-Length: +4\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "a hex length": b"Content-Length: 0x4\r\n",
    "an empty length": b"Content-Length:\r\n",
    "a length with an underscore": b"Content-Length: 1_0\r\n",
    "an endless length": b"Content-Length: " + b"9" * 30 + b"\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "another coding": b"Transfer-Encoding: gzip, chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "a quoted coding": b'Transfer-Encoding: "chunked"\r\n',
    "chunks after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "a tab before the colon": b"Content-Length\t: 4\r\n",
    "a folded field": b"X: a\r\n b\r\n",
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "a field folded by a tab": b"X: a\r\n\tb\r\n",
    "a bare line feed": b"X: a\nContent-Length: 4\r\n",
    "a bare carriage return": b"X: a\rContent-Length: 4\r\n",
    "a null byte": b"X: a\x00b\r\n",
    "a control character": b"X: a\x01b\r\n",
    "a delete character": b"X: a\x7fb\r\n",
    "a field without a colon": b"X\r\n",
    "a field without a name": b": x\r\n",
    "a name with a space": b"X Y: z\r\n",
    "a name beyond ASCII": b"X\xc3\xa9: z\r\n",
    "a second host": b"Host: other.example\r\n",
    "connection names the length": b"Connection: content-length\r\nContent-Length: 4\r\n",
    "connection names the host": b"Connection: close, Host\r\n",
    "connection names the coding": b"Connection: Transfer-Encoding\r\n",
}


@pytest.mark.parametrize("fields", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_an_ambiguous_request_is_refused(fields: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse(get(fields))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET / HTTP/1.1", "not_proxy_form"),
        (b"GET * HTTP/1.1", "not_proxy_form"),
        (b"OPTIONS * HTTP/1.1", "not_proxy_form"),
        (b"GET //example.com/ HTTP/1.1", "not_proxy_form"),
        (b"GET example.com HTTP/1.1", "not_proxy_form"),
        (b"GET https://example.com/ HTTP/1.1", "not_proxy_form"),
        (b"GET ftp://example.com/ HTTP/1.1", "not_proxy_form"),
        (b"GET file:///etc/passwd HTTP/1.1", "not_proxy_form"),
        (b"GET unix://run/x.sock HTTP/1.1", "not_proxy_form"),
        (b"TRACE http://example.com/ HTTP/1.1", "not_proxy_form"),
        (b"GET http:/example.com/ HTTP/1.1", "not_proxy_form"),
        (b"GET http:///x HTTP/1.1", "host_invalid"),
        (b"GET http://a@example.com/ HTTP/1.1", "host_invalid"),
        (b"GET http://example.com:80@127.0.0.1/ HTTP/1.1", "host_invalid"),
        (b"GET http://127.1/ HTTP/1.1", "host_invalid"),
        (b"GET http://0x7f.1/ HTTP/1.1", "host_invalid"),
        (b"GET http://[::1%25lo]/ HTTP/1.1", "host_invalid"),
        (b"GET http://example.com:/ HTTP/1.1", "host_invalid"),
        (b"GET http://exa%6dple.com/ HTTP/1.1", "host_invalid"),
        (b"GET http://example.com\\@127.0.0.1/ HTTP/1.1", "bad_request"),
        (b"GET http://example.com#@127.0.0.1/ HTTP/1.1", "bad_request"),
        (b"GET http://example.com/ HTTP/1.1 ", "bad_request"),
        (b"GET  http://example.com/ HTTP/1.1", "bad_request"),
        (b"GET http://example.com/a b HTTP/1.1", "bad_request"),
        (b"GET http://example.com/\xc3\xa9 HTTP/1.1", "bad_request"),
        (b"GET http://example.com/ HTTP/2.0", "bad_request"),
        (b"GET http://example.com/ HTTP/0.9", "bad_request"),
        (b"GET http://example.com/ HTTP/1.2", "bad_request"),
        (b"GET http://example.com/", "bad_request"),
        (b"G\tET http://example.com/ HTTP/1.1", "bad_request"),
        (b"\r\nGET http://example.com/ HTTP/1.1", "bad_request"),
        (b" GET http://example.com/ HTTP/1.1", "bad_request"),
        (b"PRI * HTTP/2.0", "bad_request"),
        (b"CONNECT example.com HTTP/1.1", "host_invalid"),
        (b"CONNECT http://example.com:443 HTTP/1.1", "host_invalid"),
        (b"CONNECT example.com:443/x HTTP/1.1", "host_invalid"),
        (b"CONNECT /example.com:443 HTTP/1.1", "host_invalid"),
        (b"CONNECT a@example.com:443 HTTP/1.1", "host_invalid"),
        (b"CONNECT example.com:443,other:443 HTTP/1.1", "host_invalid"),
        (b"CONNECT ::1:443 HTTP/1.1", "host_invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad_request"),
        (b"\x05\x01\x00", "bad_request"),
    ],
)
def test_a_request_line_of_another_form_is_refused(line: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(get(b"", line=line))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (b"http://example.com", b"/"),
        (b"HTTP://EXAMPLE.com/", b"/"),
        (b"http://example.com?q=/", b"/?q=/"),
        (b"http://example.com/a/../b?c=http://x@y/", b"/a/../b?c=http://x@y/"),
    ],
)
def test_the_absolute_form_becomes_the_origin_form(uri: bytes, path: bytes) -> None:
    request = parse(get(b"", line=b"GET " + uri + b" HTTP/1.1"))
    assert request.path == path
    assert (request.target.host.text, request.target.port) == ("example.com", 80)


def test_a_connect_with_a_body_is_refused() -> None:
    line = b"CONNECT example.com:443 HTTP/1.1"
    for fields in (b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"):
        with pytest.raises(Refused):
            parse(get(fields, line=line))
    assert parse(get(b"", line=line)).connect


def test_chunks_in_http_1_0_are_refused() -> None:
    line = b"POST http://example.com/ HTTP/1.0"
    with pytest.raises(Refused):
        parse(get(b"Transfer-Encoding: chunked\r\n", line=line))


def test_what_is_for_one_hop_only_is_dropped() -> None:
    fields = (
        b"Connection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
        b"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nAccept: */*\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nTrailer: X\r\n"
    )
    names = [name for name, _ in parse(get(fields)).headers]
    assert names == [b"Host", b"Accept"]


def test_a_request_never_shows_its_path() -> None:
    request = parse(get(b"", line=b"GET http://example.com/p4th?t0ken=1 HTTP/1.1"))
    assert "p4th" not in repr(request)
    assert "t0ken" not in repr(request)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_parsed_or_refused(data: bytes) -> None:
    with suppress(Refused):
        parse(data + b"\r\n\r\n")


@given(
    st.lists(
        st.sampled_from([*SMUGGLING.values(), b"Accept: */*\r\n", b"Content-Length: 1\r\n"]),
        max_size=4,
    )
)
def test_no_accepted_request_is_framed_in_two_ways(fields: list[bytes]) -> None:
    try:
        request = parse(get(b"".join(fields)))
    except Refused:
        return
    lengths = [value for name, value in request.headers if name.lower() == b"content-length"]
    assert len(lengths) + request.chunked <= 1


async def test_a_head_is_bounded_in_size_and_time() -> None:
    reader = asyncio.StreamReader(limit=100)
    reader.feed_data(b"GET http://example.com/ HTTP/1.1\r\n" + b"X: y\r\n" * 100)
    with pytest.raises(Refused) as caught:
        await read_head(reader, timeout_s=5)
    assert caught.value.code == "header_too_large"

    reader = asyncio.StreamReader()
    reader.feed_data(b"GET http://exam")
    with pytest.raises(Refused) as caught:
        await read_head(reader, timeout_s=0.01)
    assert caught.value.code == "header_timeout"


def test_more_fields_than_anyone_sends_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        parse(get(b"A: b\r\n" * 300))
    assert caught.value.code == "header_too_large"
