"""Every address that is not an ordinary public one is refused, and the reason is named."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polydev.egress.addresses import forbidden_reason

FORBIDDEN = {
    "0.0.0.0": "unspecified",
    "0.0.0.1": "this_network",
    "0.255.255.255": "this_network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared",
    "100.127.255.255": "shared",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.0.1": "link_local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.9": "reserved",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "192.31.196.1": "reserved",
    "192.52.193.1": "reserved",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "192.175.48.1": "reserved",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.254": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "0:0:0:0:0:0:0:1": "loopback",
    "::2": "ipv4_compatible",
    "::127.0.0.1": "ipv4_compatible",
    "::ffff:127.0.0.1": "ipv4_mapped",
    "::ffff:7f00:1": "ipv4_mapped",
    "::ffff:8.8.8.8": "ipv4_mapped",
    "::ffff:0:127.0.0.1": "ipv4_translated",
    "64:ff9b::127.0.0.1": "nat64",
    "64:ff9b::a9fe:a9fe": "nat64",
    "64:ff9b:1::1": "nat64",
    "64:ff9b:1:ffff::1": "nat64",
    "100::1": "discard",
    "100:0:0:1::1": "reserved",
    "2001::1": "teredo",
    "2001:0:7f00:1::": "teredo",
    "2001:2::1": "benchmarking",
    "2001:10::1": "reserved",
    "2001:20::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "2606:4700::5efe:7f00:1": "isatap",
    "2606:4700::200:5efe:7f00:1": "isatap",
    "2620:4f:8000::1": "reserved",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "unique_local",
    "fd12:3456::1": "unique_local",
    "fd00:ec2::254": "metadata",
    "fd20:ce::254": "metadata",
    "fe80::1": "link_local",
    "fe80::1%eth0": "zone",
    "2606:4700::1%eth0": "zone",
    "febf::1": "link_local",
    "fec0::1": "site_local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "no address": "not_an_address",
    "": "not_an_address",
}

PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2003::1"),
)


@pytest.mark.parametrize(("text", "reason"), FORBIDDEN.items())
def test_a_forbidden_address_is_refused_with_its_class(text: str, reason: str) -> None:
    assert forbidden_reason(text) == reason


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_just_outside_the_ranges_is_permitted(text: str) -> None:
    assert forbidden_reason(text) is None


@given(st.ip_addresses())
@example(ip_address("192.88.99.2"))
def test_whatever_python_calls_not_global_is_refused(ip: IPv4Address | IPv6Address) -> None:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        assert forbidden_reason(ip) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_wrapped_in_ipv6_is_always_refused(ip: IPv4Address) -> None:
    four = int(ip)
    wrapped = {
        IPv6Address(four),
        IPv6Address(0xFFFF << 32 | four),
        IPv6Address(0xFFFF << 48 | four),
        IPv6Address(0x64FF9B << 96 | four),
        IPv6Address(0x2002 << 112 | four << 80),
        IPv6Address(0x20010000 << 96 | four << 64 | (four ^ 0xFFFFFFFF)),
        IPv6Address(0x26064700 << 96 | 0x5EFE << 32 | four),
    }
    assert all(forbidden_reason(address) for address in wrapped)
