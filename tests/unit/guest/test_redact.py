"""What of a program's output may be logged."""

import pytest

from polydev.guest.agent.redact import MAX_LINE, LineSplitter, clean


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("open https://a.example/oauth?state=abcdefgh&x=1 now", "abcdefgh"),
        ("open https://a.example/cb#access_token=abcdefgh", "abcdefgh"),
        ("https://ada:hunter22@a.example/", "hunter22"),
        ("&state=abcdefgh1234&code_challenge=zyxwvut", "abcdefgh1234"),
        ("code_challenge=zyxwvutsrq&code_challenge_method=S256", "zyxwvutsrq"),
        ("token: eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImEifQ.sig", "eyJlbWFpbCI6"),
        ('{"refresh_token": "rt-1234567"}', "rt-1234567"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("key sk-ant-abc123def456", "abc123def456"),
        ("x" * 10 + " 0123456789abcdef0123456789abcdef0123", "0123456789abcdef0123456789abcdef"),
        ("\x1b]8;;https://a.example/?code=abcdefgh\x07here\x1b]8;;\x07", "abcdefgh"),
    ],
)
def test_nothing_that_could_be_a_credential_stays(line: str, secret: str) -> None:
    assert secret not in clean(line)


@pytest.mark.parametrize(
    "line",
    [
        "ended with exit code 1",
        "error: cannot find /opt/polydev/tools/lib/node_modules/acme/index.js",
        "Go to https://a.example/oauth/authorize",
        "2026-11-23T10:00:00 listening on 127.0.0.1:1455",
    ],
)
def test_plain_lines_stay_as_they_are(line: str) -> None:
    assert clean(line) == line


def test_controls_go_and_cursor_moves_become_spaces() -> None:
    assert clean("\x1b[31mred\x1b[0m\x1b[2Cfar\x07\x00") == "red  far"
    assert clean("50%\r100%") == "50% 100%"


def test_lines_and_what_is_held_of_them_are_bounded() -> None:
    splitter = LineSplitter(max_held=10)

    assert splitter.feed(b"ab") == []
    assert splitter.feed(b"c\r\nd") == ["abc"]
    assert splitter.feed(b"x" * 20) == ["d" + "x" * 20]
    assert splitter.rest() == []
    assert len(clean("y " * 5000)) <= MAX_LINE
