"""A wrong provider file is explained with line, column and field."""

import copy
import json
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from polydev.providers.check import (
    MAX_FILE_BYTES,
    ProviderFaults,
    _fault,
    parse_provider,
    read_provider,
)
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
        ("format = 1", "format = 2", "1:1: format", "must be 1"),
        ("format = 1", 'format = "1"', "1:1: format", "must be 1"),
        ('"https://vendor', '"http://vendor', "5:1: terms_url", "must match"),
        ('kind = "script"', 'kind = "pip"', "8:1: install.kind", "must be 'npm' or 'script'"),
        ('kind = "script"\n', "", "7:2: install.kind", "is missing; must be 'npm' or 'script'"),
        ('"made-up", "login"', '"./made-up"', "13:1: login.command", "a bare name"),
        ('"made-up", "login"', '"bin/x"', "13:1: login.command", "a full path"),
        ('"made-up", "login"', '""', "13:1: login.command", "cannot be empty"),
        ('"made-up", "login"', "", "13:1: login.command", "at least one item"),
        ('"y\\r"', '"y\\u0000"', "18:1: login.prompts[0].answer", "NUL"),
        ('"{prompt}"', '"{prompt}", "{prompt}"', "39:1: run.command", "stands in it twice"),
        ("required = false", 'mode = "0644"', "26:1: capture[1].mode", "leaves others nothing"),
        ("required = false", 'mode = "600"', "26:1: capture[1].mode", "such as '0600'"),
        ("required = false", "max_bytes = 0", "26:1: capture[1].max_bytes", "at least 1"),
        ('"Made Up"', "3", "3:1: title", "must be text, in quotes"),
        ('["token"]', '"token"', "22:1: capture[0].required_keys", "a list, in square brackets"),
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
        ("true_pointer = ", "exit_codes = 0 #", "status.exit_codes", "must be a list"),
        ('true_pointer = "/ok"', "pattern = '(?=x)'", "35:1: status.pattern", "no look-around"),
        ('true_pointer = "/ok"', "pattern = '(a)\\1'", "35:1: status.pattern", "RE2"),
        ('"Made Up"', '"pay\u202etpal"', "3:1: title", "(U+202E)"),
        ('"Made Up"', '"soft\u00adhyphen"', "3:1: title", "(U+00AD)"),
        ('"Nobody"', '"zero\u200bwidth"', "4:1: vendor", "(U+200B)"),
        ('"Nobody"', '"two\\nlines"', "4:1: vendor", "(U+000A)"),
        ('path = ".made-up/acc', 'path = ".made-\u2066up/acc', "capture[1].path", "(U+2066)"),
        ("required = false", "required = 1979-05-27", "capture[1].required", "true or false"),
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


def test_a_wrong_item_of_a_list_is_one_fault(good: str):
    """Not also that the list is too short."""
    only = (
        good[: good.index('[[capture]]\npath = ".made-up/account')] + good[good.index("[status]") :]
    )
    parse_provider(only, "x.toml")
    with pytest.raises(ProviderFaults) as caught:
        parse_provider(only.replace("required_keys =", "require_keys ="), "x.toml")
    assert [fault.field for fault in caught.value.faults] == ["capture[0].require_keys"]


def test_a_list_that_is_too_short_is_still_said_to_be(changed: Change):
    assert "at least one item" in fault_of(changed, "true_pointer", "exit_codes = []\ntrue_pointer")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a = " + "{a = " * 5000, "nested too deeply"),
        ("a = " + "9" * 5000, "a number that is too large"),
        ("a = 0x" + "f" * 5000, "a number that is too large"),
    ],
    ids=["lists", "tables", "digits", "hexadecimal"],
)
def test_what_is_too_much_for_python_is_a_fault_of_the_file(text: str, said: str):
    with pytest.raises(ProviderFaults) as caught:
        parse_provider(text, "x.toml")
    assert str(caught.value).startswith("x.toml:1:1: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Made Up"', 'title = "a"\ntitle = "b"', "x.toml:4:12: the key 'title' stands"),
        ("[run]", "[status]\n[run]", "the table [status] stands here for the second time"),
        ("[run]", '[run]\nenv = {A="1", A="2"}', "key 'A'"),
        ("[run]", '[run]\ncommand = [\n  "a",\n]', "the key 'command' stands"),
    ],
)
def test_what_stands_twice_is_named(old: str, new: str, said: str, good: str):
    with pytest.raises(ProviderFaults) as caught:
        parse_provider(good.replace(old, new, 1), "x.toml")
    assert said in str(caught.value)


def test_a_pipe_or_a_folder_is_a_fault_and_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ProviderFaults, match="is not a regular file"):
        read_provider(tmp_path / "pipe.toml")
    with pytest.raises(ProviderFaults, match=r"is not a regular file|Is a directory"):
        read_provider(tmp_path)


WRONG: tuple[object, ...] = (True, 0, -5, 10**9, 1.5, "", "x" * 5000, [], [[]], {}, {"a": []}, "\0")


def test_no_fault_is_in_the_words_of_the_library(good: str):
    """Every field with every kind of wrong value."""
    data = tomllib.loads(good)
    fields = list(places(data))
    assert len(fields) > 30
    for place in fields:
        for value in WRONG:
            for fault in faults_with(data, place, value):
                for word in (
                    "Input should",
                    "Unable to",
                    "discriminator",
                    "Tuple",
                    "String should",
                ):
                    assert word not in fault, (place, value)


def places(data: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def faults_with(data: Any, place: tuple[str | int, ...], value: object) -> list[str]:
    wrong = copy.deepcopy(data)
    here = wrong
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    try:
        Provider.model_validate_json(json.dumps(wrong))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [_fault(detail, wrong, "", "x.toml").message for detail in details]
    return []
