"""Text of a guest is harmless once it is cleaned."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polydev.domain.text import clean, mask_secrets


@pytest.mark.parametrize(
    ("dirty", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
        ("\x1b]8;;https://x.test\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("\x1b]0;never ends", ""),
        ("\x9b31mred\x9dtitle\x9ctext", "redtext"),
        ("\x1bc\x1b(Btext\x1b7", "text"),
        ("a\x08\x00\x7f\x85b", "ab"),
        ("user\u202e txt.exe\u2066\u200b", "user txt.exe"),
        ("10%\r20%\r\ndone\tx", "10%\n20%\ndone\tx"),
    ],
)
def test_control_sequences_go_and_text_stays(dirty: str, plain: str):
    assert clean(dirty) == plain


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_nothing_that_drives_a_terminal_is_left(text: str):
    for char in clean(text):
        assert char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_the_end_of_a_long_text_is_kept():
    assert clean("x" * 100_000 + "end", max_chars=10) == "xxxxxxxend"


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln",
        "sk-proj-abcdefghijklmnop",
        "pdk_0123456789abcdefghijklmnop",
        "ya29.a0AfH6SMBexample",
        "1//0gexample-refresh-token-x",
        "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
    ],
)
def test_what_looks_like_a_token_is_hidden(secret: str):
    shown = mask_secrets(f"before {secret} after")
    assert secret not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


def test_codes_in_addresses_are_hidden():
    shown = mask_secrets(
        "see http://127.0.0.1:1455/cb?code=abcdef123&state=xyz98765#token=qwertyuiop"
    )
    for secret in ("abcdef123", "xyz98765", "qwertyuiop"):
        assert secret not in shown


@pytest.mark.parametrize(
    "plain",
    [
        "Logged in using ChatGPT",
        "ada.lovelace@example.test",
        "/home/dev/.config/acme/token.json",
        "-" * 60,
        "12345678-1234-1234-1234-123456789abc",
        "Docs: https://example.test/a/rather/long/path/to/some/page-about-it.html",
    ],
)
def test_what_people_need_stays(plain: str):
    assert mask_secrets(plain) == plain
