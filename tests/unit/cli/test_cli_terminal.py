"""What may reach a terminal, byte by byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polydev.cli.shell import EscapeKey
from polydev.cli.terminal import ShellFilter, TextFilter
from polydev.domain.text import clean

KEPT = [
    b"plain \xc3\xa9 \xe2\x94\x80 \xf0\x9f\x98\x80",
    b"\x1b[31m\x1b[2J\x1b[?1049h\x1b[6n\x1b(B\x1b7\x1bc",
    b"\x1b]0;a title\x1b\\",
    b"\x1b]11;?\x1b\\",
    b"\x1b]8;;https://example.test\x1b\\link\x1b]8;;\x1b\\",
    b"\x07\x08\r\n\t",
    b"\xc2\xa9",
]
DROPPED = [
    b"\x1b]52;c;ZXZpbA==\x07",
    b"\x1b]52;c;?\x1b\\",
    b"\x1b]1337;File=name=eA==:AAAA\x07",
    b"\x1b]777;notify;a;b\x07",
    b"\x1b]9;hello\x07",
    b"\x1bP+q544e\x1b\\",
    b"\x1bPq#0;2;0;0;0#0~~\x1b\\",
    b"\x1b_Gf=100;AAAA\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bXstring\x1b\\",
    b"\xc2\x9d52;c;ZXZpbA==\xc2\x9c"[:2],
    b"\x1b]0;ti\x01tle\x07",
    b"\x1b]0;" + b"x" * 5000 + b"\x07",
    b"\x1b]52;c;AAAA\x18",
]


@pytest.mark.parametrize("data", KEPT)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_what_screens_are_made_of_passes(data: bytes, step: int):
    screen = ShellFilter()
    shown = b"".join(screen.feed(data[i : i + step]) for i in range(0, len(data), step))
    assert shown == data


@pytest.mark.parametrize("data", DROPPED)
@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_what_reaches_beyond_the_screen_is_dropped(data: bytes, step: int):
    data = b"a" + data + b"b"
    screen = ShellFilter()
    assert b"".join(screen.feed(data[i : i + step]) for i in range(0, len(data), step)) == b"ab"


def test_a_sequence_inside_a_dropped_one_does_not_slip_through():
    assert ShellFilter().feed(b"\x1b]52;c;A\x1b]52;c;B\x07z") == b"z"
    assert ShellFilter().feed(b"\x1b\x1b]52;c;A\x07z") == b"z"
    assert ShellFilter().feed(b"\x1b[\x1b]52;c;A\x07z") == b"\x1b[z"
    # A terminal obeys a control inside a sequence and goes on with the sequence.
    assert ShellFilter().feed(b"\x1b\x00\x7f]52;c;A\x07z") == b"\x00\x7fz"


@given(
    st.lists(st.sampled_from([*KEPT, *DROPPED, b"\x1b", b"]52;", b"\xc2", b"\x9d", b"P", b"\x00"]))
)
@settings(max_examples=300)
def test_no_order_of_pieces_lets_a_clipboard_write_through(pieces: list[bytes]):
    shown = ShellFilter().feed(b"".join(pieces))
    seen_by_a_terminal = bytes(byte for byte in shown if byte not in b"\x00\x07\x08\r\n\t")
    assert b"\x1b]52" not in seen_by_a_terminal
    assert b"\x1bP" not in shown
    assert b"\xc2\x9d" not in shown


@given(st.text(st.sampled_from("ab\x1b[]0;m\x07\\\r\nP"), max_size=60), st.integers(1, 5))
def test_a_stream_of_text_is_cleaned_as_if_it_came_at_once(text: str, step: int):
    filter_ = TextFilter()
    pieces = [filter_.feed(text[i : i + step]) for i in range(0, len(text), step)]
    shown = "".join(pieces) + filter_.rest()
    assert "\x1b" not in shown
    assert "\x07" not in shown
    if "\x1b" not in text:
        assert shown == clean(text)


@pytest.mark.parametrize(
    ("typed", "sent", "leaves"),
    [
        (b"~.", b"", True),
        (b"ls\r~.", b"ls\r", True),
        (b"a~.", b"a~.", False),
        (b"\r~~.", b"\r~.", False),
        (b"\r~x", b"\r~x", False),
        (b"\r~\r~.", b"\r~\r", True),
    ],
)
@pytest.mark.parametrize("step", [1, 100])
def test_the_way_out_is_found_at_the_start_of_a_line_only(
    typed: bytes, sent: bytes, leaves: bool, step: int
):
    keys = EscapeKey()
    out = b"".join(keys.feed(typed[i : i + step]) for i in range(0, len(typed), step))
    assert (out, keys.leave) == (sent, leaves)
