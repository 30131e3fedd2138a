"""What a guest may write as a host, and nothing else.

Resolvers, libc and browsers disagree about ``0x7f.1``, ``127.1``, ``2130706433``, ``①②⑦.0.0.1``
or ``127.0.0.1%2f``. We accept exactly two shapes of address (four plain decimals, and IPv6 in
brackets) and plain ASCII names, normalised; all else is refused before anyone interprets it.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from polydev.egress.addresses import IPAddress

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_QUAD: Final = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}", re.ASCII)
_IPV6: Final = re.compile(r"[0-9a-f:.]{2,45}", re.ASCII)
# Whatever inet_aton or a browser would take as an address (WHATWG: "ends in a number") has a last
# part that starts with a digit; no top-level domain does (RFC 3696).
_NUMBER: Final = re.compile(r"[0-9].*", re.ASCII)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


class HostInvalid(ValueError):
    """The host or port is not spelled in a way that we accept. Never quotes what was written."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host in its one normal spelling: lower case, no trailing dot, addresses compressed."""

    text: str
    ip: IPAddress | None = None

    @property
    def in_authority(self) -> str:
        return f"[{self.text}]" if isinstance(self.ip, IPv6Address) else self.text


@dataclass(frozen=True, slots=True)
class Target:
    host: Host
    port: int


def parse_host(text: str) -> Host:
    """Normalise a name, an IPv4 address or a bracketed IPv6 address, or raise `HostInvalid`."""
    if not text.isascii():
        raise HostInvalid("a host is plain ASCII (international names in their xn-- form)")
    text = text.lower()
    if text.startswith("["):
        return _ipv6(text)
    if _QUAD.fullmatch(text):
        try:
            ip = IPv4Address(text)
        except AddressValueError:
            raise HostInvalid("the IPv4 address is out of range") from None
        return Host(str(ip), ip)
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostInvalid("the host is not a DNS name")
    if _NUMBER.fullmatch(labels[-1]):
        raise HostInvalid("an IPv4 address is written as four plain decimal numbers")
    return Host(name)


def parse_authority(text: str, *, default_port: int | None) -> Target:
    """Split ``host[:port]``. ``default_port`` None means that a port must be written."""
    if text.startswith("["):
        inside, bracket, rest = text.partition("]")
        host, colon, port = inside + bracket, rest[:1], rest[1:]
        if rest and colon != ":":
            raise HostInvalid("only a port may follow the bracket")
    else:
        host, colon, port = text.partition(":")
    if not colon:
        if default_port is None:
            raise HostInvalid("the port is missing")
        return Target(parse_host(host), default_port)
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise HostInvalid("the port is not a number from 1 to 65535")
    return Target(parse_host(host), int(port))


def _ipv6(text: str) -> Host:
    inside = text[1:-1]
    if not text.endswith("]") or not _IPV6.fullmatch(inside):
        raise HostInvalid("the brackets do not hold an IPv6 address")
    try:
        ip = IPv6Address(inside)
    except AddressValueError:
        raise HostInvalid("the brackets do not hold an IPv6 address") from None
    return Host(str(ip), ip)
