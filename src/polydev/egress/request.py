"""Reading one request so strictly that no two parsers could disagree about it.

h11 parses; before it sees a byte, the shapes that it forgives (folded lines, bare LF, a repeated
Content-Length) are refused, because the next parser in line may forgive them differently.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Final

import h11

from polydev.egress.hosts import HostInvalid, Target, parse_authority
from polydev.egress.reasons import Reason, Refused

_END: Final = b"\r\n\r\n"
_REQUEST_LINE: Final = re.compile(rb"[A-Za-z]{1,32} [\x21-\x7e]+ HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):([\t\x20-\x7e\x80-\xff]*)")
_MAX_FIELDS: Final = 200

# RFC 9110 7.6.1, plus what clients say to a proxy only, plus the other half of an h2c upgrade.
HOP_BY_HOP: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"),
        *(b"transfer-encoding", b"proxy-authorization", b"proxy-authenticate"),
        *(b"proxy-authentication-info", b"http2-settings"),
    }
)
# A Connection header that names these would make us drop what frames or addresses the message.
_NOT_NAMEABLE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    target: Target
    connect: bool
    method: bytes
    path: bytes
    """In origin form, for the origin only. Never recorded; not in the repr."""
    headers: Headers
    """End-to-end ones; framing by Content-Length is among them, by chunks is in ``chunked``."""
    chunked: bool = False

    @property
    def content_length(self) -> int:
        return next((int(v) for n, v in self.headers if n.lower() == b"content-length"), 0)

    def __repr__(self) -> str:
        return f"ProxyRequest({self.method!r}, {self.target.host.text}:{self.target.port})"


async def read_head(reader: asyncio.StreamReader, *, timeout_s: float) -> bytes:
    """Return the raw head. Its size is bounded by the reader's own limit."""
    try:
        async with asyncio.timeout(timeout_s):
            return await reader.readuntil(_END)
    except TimeoutError:
        raise Refused(Reason.HEADER_TIMEOUT) from None
    except asyncio.LimitOverrunError:
        raise Refused(Reason.HEADER_TOO_LARGE) from None
    except asyncio.IncompleteReadError as error:
        raise Refused(Reason.BAD_REQUEST if error.partial else Reason.NO_REQUEST) from None


def parse_head(head: bytes, connection: h11.Connection) -> ProxyRequest:
    """Check and parse ``head``; ``connection`` is then ready to yield the body."""
    _check_shape(head)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        raise Refused(Reason.BAD_REQUEST) from None
    if not isinstance(event, h11.Request):
        raise Refused(Reason.BAD_REQUEST)
    headers = event.headers.raw_items()
    if event.method == b"CONNECT":
        return _connect(event, headers)
    return _absolute(event, headers)


def end_to_end(headers: Headers) -> Headers:
    """Drop what is meant for one hop only: the fixed list and what ``Connection`` names."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    if named & _NOT_NAMEABLE:
        raise Refused(Reason.BAD_REQUEST)
    dropped = HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _check_shape(head: bytes) -> None:
    lines = head.removesuffix(_END).split(b"\r\n")
    if len(lines) > _MAX_FIELDS + 1:
        raise Refused(Reason.HEADER_TOO_LARGE)
    if not _REQUEST_LINE.fullmatch(lines[0]):
        raise Refused(Reason.BAD_REQUEST)
    lengths: list[bytes] = []
    codings = 0
    for line in lines[1:]:
        # No match also means: folded line, space before the colon, bare CR or LF, NUL, control.
        if not (match := _FIELD.fullmatch(line)):
            raise Refused(Reason.BAD_REQUEST)
        name = match[1].lower()
        if name == b"content-length":
            lengths.append(match[2].strip(b" \t"))
        codings += name == b"transfer-encoding"
    if len(lengths) + codings > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", n) for n in lengths):
        raise Refused(Reason.BAD_REQUEST)
    if codings and lines[0].endswith(b"HTTP/1.0"):
        raise Refused(Reason.BAD_REQUEST)


def _connect(event: h11.Request, headers: Headers) -> ProxyRequest:
    names = {name.lower() for name, _ in headers}
    if names & {b"content-length", b"transfer-encoding"}:
        raise Refused(Reason.BAD_REQUEST)  # a CONNECT has no body; whose bytes would it be?
    target = _target(event.target, default_port=None)
    return ProxyRequest(target, connect=True, method=b"CONNECT", path=b"", headers=[])


def _absolute(event: h11.Request, headers: Headers) -> ProxyRequest:
    scheme, slashes, rest = event.target.partition(b"://")
    if not slashes or scheme.lower() != b"http" or event.method == b"TRACE":
        raise Refused(Reason.NOT_PROXY_FORM)
    if b"#" in rest or b"\\" in rest:
        raise Refused(Reason.BAD_REQUEST)
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    target = _target(authority, default_port=80)
    if not path:
        path = b"*" if event.method == b"OPTIONS" else b"/"
    elif path.startswith(b"?"):
        path = b"/" + path
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
    return ProxyRequest(target, False, event.method, path, end_to_end(headers), chunked)


def _target(authority: bytes, *, default_port: int | None) -> Target:
    try:
        return parse_authority(authority.decode("ascii"), default_port=default_port)
    except (HostInvalid, UnicodeDecodeError):
        raise Refused(Reason.HOST_INVALID) from None
