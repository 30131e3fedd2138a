"""Which addresses a machine may never reach, and why.

The tables follow the IANA special-purpose registries (RFC 6890 and successors) and add what
clouds put at fixed places. They are ours instead of ``ipaddress.is_global`` because that answer
has changed between Python releases; ``is_global`` is still asked last, so the stricter wins.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# First match wins, so the narrow entries stand before the wide ones.
_V4: Final[tuple[tuple[IPv4Network, str], ...]] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/32", "unspecified"),
        ("0.0.0.0/8", "this_network"),
        ("10.0.0.0/8", "private"),
        ("100.100.100.200/32", "metadata"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        # Azure's host agent answers on an address that looks public.
        ("168.63.129.16/32", "metadata"),
        ("169.254.169.254/32", "metadata"),
        ("169.254.170.2/32", "metadata"),
        ("169.254.0.0/16", "link_local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.192/32", "metadata"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_V6: Final[tuple[tuple[IPv6Network, str], ...]] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        # Every way to write an IPv4 address inside an IPv6 one is refused, whatever it embeds:
        # nobody needs it to reach a public host, and what carries it is the network's choice.
        ("::ffff:0:0/96", "ipv4_mapped"),
        ("::ffff:0:0:0/96", "ipv4_translated"),
        ("::/96", "ipv4_compatible"),
        ("64:ff9b::/96", "nat64"),
        ("64:ff9b:1::/48", "nat64"),
        ("100::/64", "discard"),
        ("2001::/32", "teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "documentation"),
        ("fd00:ec2::254/128", "metadata"),
        ("fd00:ec2::23/128", "metadata"),
        ("fd20:ce::254/128", "metadata"),
        ("fc00::/7", "unique_local"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "site_local"),
        ("ff00::/8", "multicast"),
    )
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
# RFC 5214: these interface identifiers carry an IPv4 address in their last 32 bits.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def forbidden_reason(ip: IPAddress | str) -> str | None:
    """Say why a machine may not reach ``ip``, or None if it is an ordinary public address."""
    if isinstance(ip, str):
        try:
            ip = ip_address(ip)
        except ValueError:
            return "not_an_address"
    reason = _v4_reason(ip) if isinstance(ip, IPv4Address) else _v6_reason(ip)
    if reason is None and not ip.is_global:
        return "not_global"
    return reason


def _v4_reason(ip: IPv4Address) -> str | None:
    return next((reason for network, reason in _V4 if ip in network), None)


def _v6_reason(ip: IPv6Address) -> str | None:
    if ip.scope_id is not None:
        return "zone"
    for network, reason in _V6:
        if ip in network:
            return reason
    if ip not in _GLOBAL_UNICAST:
        return "reserved"
    if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "isatap"
    return None
