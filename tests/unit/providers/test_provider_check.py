"""A wrong provider file is explained with line, column and field."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polydev.providers.check import MAX_FILE_BYTES, ProviderFaults, parse_provider, read_provider
from polydev.providers.schema import Provider

Change = Callable[[str, str], Provider]


def fault_of(change: Change, old: str, new: str) -> str:
    with pytest.raises(ProviderFaults) as caught:
        change(old, new)
    assert len(caught.value.faults) == 1, caught.value
    return str(caught.value)


def test_a_misspelt_key_is_named_with_its_place_and_the_likely_one(changed: Change):
    text = fault_of(changed, "required_keys", "require_keys")
    assert text == (
        "made-up.toml:22:1: capture[0].require_keys: is not a known field; "
        "did you mean 'required_keys'?"
    )


def test_a_misspelt_key_deep_in_an_inline_table_is_found(changed: Change):
    text = fault_of(changed, 'pointer = "/email"', 'pointer = "/email", claims = "/x"')
    assert text.startswith("made-up.toml:29:66: identity.account[0].claims: ")
    assert text.endswith("did you mean 'claim'?")


def test_a_key_like_nothing_known_lists_what_is_known(changed: Change):
    text = fault_of(changed, "[status]\n", "[status]\nzzzz = 1\n")
    assert "status.zzzz: is not a known field; known here: account_pointer," in text


def test_a_misspelt_table_is_found(changed: Change):
    with pytest.raises(ProviderFaults) as caught:
        changed("[status]", "[statsu]")
    assert [fault.field for fault in caught.value.faults] == ["status", "statsu"]
    assert "did you mean 'status'?" in str(caught.value)


def test_a_missing_field_points_at_its_table(changed: Change):
    text = fault_of(changed, 'command = ["made-up", "login"]\n', "")
    assert text == "made-up.toml:12:2: login.command: is missing"


def test_every_fault_is_reported_in_file_order(changed: Change, good: str):
    wrong = good.replace('name = "made_up"', 'name = "Made Up"').replace('"/ok"', '"ok"')
    with pytest.raises(ProviderFaults) as caught:
        parse_provider(wrong, "x.toml")
    assert [(fault.line, fault.field) for fault in caught.value.faults] == [
        (2, "name"),
        (35, "status.true_pointer"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("format = 1", "format = 2", "1:1: format", "Input should be 1"),
        ("format = 1", 'format = "1"', "1:1: format", "Input should be 1"),
        ('"https://vendor', '"http://vendor', "5:1: terms_url", "must match"),
        ('kind = "script"', 'kind = "pip"', "7:2: install", "'npm', 'script'"),
        ('file = "made-up"', 'file = "/bin/sh"', "9:1: install.file", "without '..'"),
        ('file = "made-up"', 'file = "../x"', "9:1: install.file", "without '..'"),
        ("'Go on\\?'", "'Go on ('", "17:1: login.prompts[0].pattern", "not a regular expression"),
        ('".made-up/token.json"\nreq', '"../x"\nreq', "21:1: capture[0].path", "'..'"),
        ('".made-up/token.json"\nreq', '"/etc/x"\nreq', "21:1: capture[0].path", "leading /"),
        ('".made-up/token.json"\nreq', '"~/x"\nreq', "21:1: capture[0].path", "leading /"),
        ('path = ".made-up/account.json"', 'path = ".made-up/token.json"', "capture", "twice"),
        ('"/email"', '"email"', "identity.account[0].pointer", "not a JSON pointer"),
        ("[run]\n", '[run]\nenv = { PATH = "/x" }\n', "run.env.PATH", "set by Polydev"),
        ('"{prompt}"', '"say {prompt}"', "run", "whole argument"),
        ('"made-up", "ask", ', "", "run", "cannot be the program"),
        ("true_pointer = ", "exit_codes = 0 #", "status.exit_codes", "valid"),
        ("required = false", "required = 1979-05-27", "capture[1].required", "valid boolean"),
    ],
)
def test_a_wrong_value_is_named(changed: Change, old: str, new: str, place: str, words: str):
    with pytest.raises(ProviderFaults) as caught:
        changed(old, new)
    text = str(caught.value)
    assert place in text
    assert words in text


def test_an_identity_source_must_be_a_captured_file(changed: Change):
    old = 'account = [{ file = ".made-up/account.json"'
    text = fault_of(changed, old, 'account = [{ file = "x"')
    assert text == "made-up.toml:29:1: identity.account: x is not a captured file"


def test_something_must_be_required(changed: Change):
    text = fault_of(changed, 'required_keys = ["token"]', "required = false")
    assert "at least one file must be required" in text


def test_broken_toml_is_named_with_line_and_column(good: str):
    with pytest.raises(ProviderFaults) as caught:
        parse_provider(good.replace('title = "Made Up"', "title = Made Up"), "x.toml")
    assert str(caught.value).startswith("x.toml:3:9: ")


def test_toml_that_ends_too_early_is_said_so():
    with pytest.raises(ProviderFaults) as caught:
        parse_provider('name = """abc\n', "x.toml")
    assert "ends too early" in str(caught.value)


def test_a_file_that_is_not_there_not_text_or_too_large_is_a_fault(tmp_path: Path):
    with pytest.raises(ProviderFaults, match="cannot be read"):
        read_provider(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\n\xff\xfe")
    with pytest.raises(ProviderFaults, match=r"binary\.toml:2:1: is not UTF-8"):
        read_provider(binary)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ProviderFaults, match="larger than"):
        read_provider(large)


def test_a_fault_never_shows_the_value(changed: Change):
    text = fault_of(changed, 'answer = "y\\r"', 'answer = ["s3cret-value"]')
    assert "s3cret-value" not in text
