"""Identity and status are read from hostile files and output without ever raising."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polydev.domain.credential import Bundle, CapturedFile, Identity
from polydev.providers.check import parse_provider
from polydev.providers.identity import identity_of, resolve
from polydev.providers.schema import Provider
from polydev.providers.status import judge
from tests.unit.providers.conftest import GOOD

NOTHING = Identity()


def token(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.sig"


def bundle(token_file: object, account_file: object = None) -> Bundle:
    return Bundle(
        (
            CapturedFile(".made-up/token.json", 0o600, json.dumps(token_file).encode()),
            CapturedFile(".made-up/account.json", 0o600, json.dumps(account_file).encode()),
        )
    )


def test_account_plan_and_end_are_read(provider: Provider):
    files = bundle(
        {"id": token({"https://x.test/auth": {"plan": "pro"}}), "ends": 1_800_000_000},
        {"email": "ada@example.test"},
    )
    assert identity_of(provider, files) == Identity(
        "ada@example.test", "pro", datetime.fromtimestamp(1_800_000_000, UTC)
    )


@pytest.mark.parametrize(
    "ends",
    [1_800_000_000, 1_800_000_000_000, "1800000000", "2027-01-15T08:00:00Z", 1_800_000_000.0],
)
def test_a_time_may_be_written_in_all_usual_ways(provider: Provider, ends: object):
    found = identity_of(provider, bundle({"ends": ends})).expires_at
    assert found == datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "ends",
    [
        True,
        -1,
        0,
        1e300,
        10**400,
        "soon",
        "2027-01-15",
        "0001-01-01T00:00:00+23:59",
        [],
        {},
        "9" * 15,
    ],
)
def test_a_time_that_is_none_is_left_out(provider: Provider, ends: object):
    assert identity_of(provider, bundle({"ends": ends})).expires_at is None


@pytest.mark.parametrize(
    "account",
    [7, None, [], {}, "", " \n", "\x1b]0;evil\x07", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln"],
)
def test_an_account_that_is_none_or_a_token_is_not_shown(provider: Provider, account: object):
    found = identity_of(provider, bundle({}, {"email": account})).account
    assert found in {None, "[hidden]"}


def test_an_account_is_one_clean_line_of_bounded_length(provider: Provider):
    account = "a\u202eda\x1b[31m@ex\nample.test" + " x" * 500
    found = identity_of(provider, bundle({}, {"email": account})).account
    assert found is not None
    assert found.startswith("ada@ex ample.test")
    assert len(found) == 320


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"id": 1', b"null", b"9" * 5000, b'{"id": "a.b.c"}'],
)
def test_a_broken_file_says_nothing(provider: Provider, content: bytes):
    files = Bundle((CapturedFile(".made-up/token.json", 0o600, content),))
    assert identity_of(provider, files) == NOTHING


def test_an_absent_file_says_nothing(provider: Provider):
    assert identity_of(provider, Bundle(())) == NOTHING


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(ends=json_values, identity=json_values, claims=json_values)
def test_no_content_makes_it_raise(ends: object, identity: object, claims: object):
    provider = parse_provider(GOOD, "x")
    identity_of(provider, bundle({"ends": ends, "id": identity}, {"email": identity}))
    identity_of(provider, bundle({"id": token(claims)}, claims))


@given(out=st.binary(max_size=200), err=st.binary(max_size=200), code=st.integers(-20, 300))
def test_no_output_makes_the_verdict_raise(out: bytes, err: bytes, code: int):
    verdict = judge(parse_provider(GOOD, "x"), code, out, err)
    assert not set(verdict.text) & {*map(chr, (*range(9), *range(11, 32), *range(127, 160)))}


def test_pointers_reach_into_objects_and_arrays():
    data = {"a/b": [{"~": 1}], "": 2}
    assert resolve(data, "/a~1b/0/~0") == 1
    assert resolve(data, "/") == 2
    assert resolve(data, "") == data
    for missing in ("/a~1b/1", "/a~1b/-", "/a~1b/00", "/x", "/a~1b/0/~0/deeper"):
        assert resolve(data, missing) is None


# --- status --------------------------------------------------------------------------------------


def test_yes_needs_the_exit_code_and_the_true_value(provider: Provider):
    yes = b'{"ok": true, "who": "ada@example.test"}'
    verdict = judge(provider, 0, yes, b"")
    assert verdict.ok
    assert verdict.account == "ada@example.test"
    assert not judge(provider, 1, yes, b"").ok
    for no in (b'{"ok": false}', b'{"ok": 1}', b'{"ok": "true"}', b"ok", b"", b"[]"):
        assert not judge(provider, 0, no, b"").ok


def test_the_answer_is_shown_without_controls_and_tokens(provider: Provider):
    out = b"\x1b[1mLogged in\x1b[0m\r\nkey sk-proj-0123456789abcdefghij\r\n\x1b]52;c;ZXZpbA==\x07"
    assert judge(provider, 1, out, b"warn\n").text == "Logged in\nkey [hidden]\nwarn"


def test_silence_is_said_to_be_silence(provider: Provider):
    assert judge(provider, 3, b"", b"").text == "(no output, exit code 3)"


def test_a_pattern_is_looked_for_on_both_outputs(changed):
    provider = changed('true_pointer = "/ok"', "pattern = '(?im)^logged in'")
    assert judge(provider, 0, b"", b"note\nLogged in using X\n").ok
    assert not judge(provider, 0, b"Not logged in", b"").ok


def test_a_fixed_text_stands_for_a_yes_only(changed):
    provider = changed('true_pointer = "/ok"', 'text = "It answered."')
    assert judge(provider, 0, b"{...}", b"").text == "It answered."
    assert judge(provider, 1, b"no", b"").text == "no"


def test_no_pattern_holds_the_server_up(changed):
    """Python's own engine doubles its time with each of these bytes; this one ends."""
    provider = changed('true_pointer = "/ok"', "pattern = '(x+x+)+y'")
    assert not judge(provider, 0, b"x" * 200_000, b"").ok
    assert judge(provider, 0, b"x" * 200_000 + b"y", b"").ok
