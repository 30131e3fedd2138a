"""A host is accepted in one spelling or refused; no odd spelling is left for others to read."""

import socket
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polydev.egress.hosts import HostInvalid, parse_authority, parse_host

ODD_SPELLINGS = (
    # 127.0.0.1, 169.254.169.254 and 0.0.0.0 as inet_aton, browsers and other libraries take them
    *("0x7f.0.0.1", "0x7f000001", "0X7F.1", "0x7f.0x0.0x0.0x1", "0x7f.1", "0x", "0x0"),
    *("0177.0.0.1", "017700000001", "0177.1", "00177.0.0.01", "127.0.0.01", "127.000.000.001"),
    *("127.1", "127.0.1", "2130706433", "3232235777", "0", "00", "0.0", "1", "0.0.0", "0.0.0.00"),
    *("127.0.0.1.", "127.0.0.1..", "2130706433.", "0x7f.1.", "127.0.0.256", "256.0.0.1"),
    *("127.0.0.1.1", "1.2.3.4.5", "127.0.0.-1", "+127.0.0.1", "127.0.0.1e0", "127.0.0.0x1"),
    *("0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "0xA9.254.0251.254"),
    *(
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "127.0.0.1 ",
        " 127.0.0.1",
        "127.0.0.1\t",
    ),
    # characters that become others somewhere
    *("①②⑦.⓪.⓪.①", "１２７.0.0.1", "١٢٧.0.0.1", "127。0。0。1", "127.0.0.1\u200b", "ⓛocalhost"),
    *("ｌocalhost", "ſite.example", "faß.example", "bücher.example", "\u202elocalhost"),
    *("127.0.0.1%00", "127.0.0.1%2f", "%31%32%37.0.0.1", "local%68ost", "a%2eb", "%6c"),
    *("localhost\x00.example.com", "example.com\x00", "example.com\r\nHost: x", "a\nb.example"),
    # things around a host
    *("user@example.com", "user:pw@example.com", "example.com@127.0.0.1", "example.com#x"),
    *("example.com/", "example.com\\@127.0.0.1", "example.com?x", "example.com;x", "a,b.example"),
    *("", ".", "..", ".example.com", "example..com", "example.com..", "-a.example", "a-.example"),
    *("a b.example", "a_b c.example", "*.example.com", "$(id).example", "a" * 64 + ".example"),
    # addresses in brackets
    *("[", "]", "[]", "[::1", "::1]", "::1", "[::1]]", "[[::1]]", "[127.0.0.1]", "[example.com]"),
    *("[fe80::1%eth0]", "[fe80::1%25eth0]", "[::1%0]", "[1::2::3]", "[:::1]", "[12345::]"),
    *("[0:0:0:0:0:0:0:0:1]", "[::ffff:127.1]", "[::ffff:0x7f.1]", "[::ffff:0177.0.0.1]"),
    *("[v1.fe80::1]", "[::1 ]", "[ ::1]", "[::g]", "[::１]", "[::1].", "2606:4700::1111"),
)


@pytest.mark.parametrize("text", ODD_SPELLINGS)
def test_an_odd_spelling_is_refused(text: str) -> None:
    with pytest.raises(HostInvalid) as caught:
        parse_host(text)
    assert text == "" or len(text) < 5 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("LOCALHOST.", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_acme.a-b.example", "_acme.a-b.example"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("0x7f.example", "0x7f.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[2606:4700:0:0:0:0:0:1111]", "2606:4700::1111"),
        ("[2606:4700::ABCD]", "2606:4700::abcd"),
        ("[::FFFF:127.0.0.1]", "::ffff:127.0.0.1"),
    ],
)
def test_a_plain_spelling_is_normalised(text: str, normal: str) -> None:
    host = parse_host(text)
    assert host.ip == ip_address(normal) if host.ip else host.text == normal


@pytest.mark.parametrize(
    "text",
    [
        *("example.com", "example.com:", "example.com:0", "example.com:65536", "example.com:-1"),
        *("example.com:+443", "example.com: 443", "example.com:0443", "example.com:443 "),
        *("example.com:0x1bb", "example.com:４４３", "example.com:443:443", "example.com:https"),
        *("[::1]", "[::1]:", "[::1]443", "[::1]x:443", "::1:443", ":443", "@example.com:443"),
    ],
)
def test_an_authority_with_an_odd_port_is_refused(text: str) -> None:
    with pytest.raises(HostInvalid):
        parse_authority(text, default_port=None)


def test_an_authority_is_split_into_host_and_port() -> None:
    assert parse_authority("Example.com:8443", default_port=None).port == 8443
    assert parse_authority("[2606:4700::1]:443", default_port=None).host.in_authority == (
        "[2606:4700::1]"
    )
    assert parse_authority("example.com", default_port=80).port == 80


@given(st.text(max_size=300) | st.from_regex(r"[0-9a-fxX.]{1,20}", fullmatch=True))
@example("0x7f.1")
def test_what_is_accepted_is_plain_and_stable(text: str) -> None:
    try:
        host = parse_host(text)
    except HostInvalid:
        return
    assert parse_host(host.in_authority) == host
    assert host.text.isascii()
    assert not set(host.text) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")


@given(st.from_regex(r"(0?[xX])?[0-9a-fA-F.]{1,16}", fullmatch=True))
@example("127.1")
@example("0x7f000001")
def test_what_libc_takes_for_an_address_is_never_accepted_as_a_name(text: str) -> None:
    try:
        packed = socket.inet_aton(text)
    except OSError:
        return
    try:
        host = parse_host(text)
    except HostInvalid:
        return
    assert host.ip is not None
    assert host.ip.packed == packed
