"""Messages of the protocol: what goes out comes back, and hostile input names its bad field."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polydev.domain.credential import Bundle, CapturedFile
from polydev.guest.codec import decode, decode_bundle, dumps, loads
from polydev.guest.protocol import (
    MAX_BUNDLE_FILES,
    MAX_FILE_BYTES,
    AgentEvent,
    AssistStep,
    EventKind,
    ExecRequest,
    Health,
    LoginPlan,
    LoginStatus,
    MachineConfig,
    ManifestEntry,
    PlannedFile,
    Prompt,
    ProtocolError,
    PtyRequest,
    RemoveRequest,
    UnitReport,
    UnitState,
)

PLAN = LoginPlan(
    provider="acme",
    argv=("acme", "login"),
    env={"ACME": "1"},
    files=(PlannedFile(".acme/settings.json", "{}"),),
    prompts=(Prompt("open", r"\[Y/n\]", "Y\r", 2),),
    url_hosts=("signin.example",),
    manifest=(ManifestEntry(".acme/auth.json", required_keys=("a.b",), only_keys=("a",)),),
    assist=(AssistStep("signin.example", "button", "Yes"),),
    denied_pattern="denied",
)
MESSAGES = [
    PLAN,
    LoginStatus("exited", True, False, None, False, ("a", "b")),
    Health(True, "cli", (UnitReport("agent", UnitState.CRASH_LOOP, 3, ("x",)),), 1.5),
    AgentEvent(7, 1.5, EventKind.UNIT, {"unit": "agent", "exit": None, "last_lines": ["x"]}),
    ExecRequest(("true",), {"A": "b"}, "/", b"\0\xff", 1.0, 10),
    PtyRequest(("bash",), {}, "/home/dev", 100, 40),
    RemoveRequest(("a", "b"), {"b": ("k",)}),
    MachineConfig("mac_x", "inc_x", "cli", "t" * 20, "polydev", 800, 600, False),
    CapturedFile("a/b", 0o600, b"\0\xff", True),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_comes_back_as_it_went(message: object) -> None:
    assert decode(type(message), loads(dumps(message))) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_wrong_type_in_any_field_names_the_field(message: object) -> None:
    good = json.loads(dumps(message))
    for name in good:
        with pytest.raises(ProtocolError, match=rf"^{name}"):
            decode(type(message), {**good, name: object()})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"argv": []}, "argv"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"argv": ["acme", 1]}, "argv[1]"),
        ({"env": {"A=B": "c"}}, "env"),
        ({"env": {"A": "b\0"}}, "env.A"),
        ({"files": [{"path": "../x", "content": ""}]}, "files[0].path"),
        ({"files": [{"path": "x", "content": "", "mode": 0o4755}]}, "files[0].mode"),
        ({"files": [{"path": "x", "content": "", "mode": 0o666}]}, "files[0].mode"),
        ({"prompts": [{"name": "a", "pattern": "(", "answer": ""}]}, "prompts[0].pattern"),
        (
            {"prompts": [{"name": "a", "pattern": "a", "answer": "", "times": 0}]},
            "prompts[0].times",
        ),
        ({"manifest": []}, "manifest"),
        ({"manifest": [{"path": "/x"}]}, "manifest[0].path"),
        ({"manifest": [{"path": "x", "max_bytes": MAX_FILE_BYTES + 1}]}, "manifest[0].max_bytes"),
        ({"assist": [{"host": "", "selector": "a"}]}, "assist[0].host"),
        ({"denied_pattern": "["}, "denied_pattern"),
        ({"provider": True}, "provider"),
    ],
)
def test_a_plan_that_breaks_a_rule_is_refused(change: dict[str, object], where: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        decode(LoginPlan, {**json.loads(dumps(PLAN)), **change})

    assert str(refusal.value).startswith(f"{where}:")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "..",
        "a/..",
        "a/../b",
        ".",
        "a/.",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "a\\b",
        "a" * 600,
        "a" * 300,
        "/".join("a" * 20),
        "\ud800",
    ],
)
def test_a_path_that_is_not_plain_and_relative_is_refused(path: str) -> None:
    with pytest.raises(ProtocolError, match=r"^path"):
        decode(ManifestEntry, {"path": path})


def test_a_missing_field_is_named_and_an_unknown_one_ignored() -> None:
    with pytest.raises(ProtocolError, match=r"^argv: is missing"):
        decode(ExecRequest, {})
    assert decode(PtyRequest, {"argv": ["a"], "later": 1}) == PtyRequest(("a",))


def test_numbers_that_are_no_numbers_are_refused() -> None:
    for bad in (float("nan"), float("inf"), True, "1", 10**400):
        with pytest.raises(ProtocolError, match=r"^timeout_s"):
            decode(ExecRequest, {"argv": ["a"], "timeout_s": bad})


def test_text_that_is_not_json_is_not_repeated_in_the_error() -> None:
    for raw in (b'{"token": "s3cret', b"\xff", b"[" * 100_000):
        with pytest.raises(ProtocolError) as refusal:
            loads(raw)
        assert "s3cret" not in str(refusal.value)
        assert refusal.value.__cause__ is None


def test_a_bundle_is_bounded_in_files_bytes_and_names() -> None:
    file = CapturedFile("a", 0o600, b"x")

    def refuse(files: list[CapturedFile], match: str) -> None:
        with pytest.raises(ProtocolError, match=match):
            decode_bundle(loads(dumps({"files": files})))

    refuse([replace(file, path=str(i)) for i in range(MAX_BUNDLE_FILES + 1)], "more than 64 files")
    refuse([replace(file, content=b"x" * (MAX_FILE_BYTES + 1))], r"files\[0\].content")
    big = b"x" * MAX_FILE_BYTES
    refuse([replace(file, path=str(i), content=big) for i in range(5)], "bytes together")
    refuse([file, file], r"files\[1\].path: named twice")
    assert decode_bundle({"files": []}) == Bundle(())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(value=JSON, kind=st.sampled_from([type(m) for m in MESSAGES]))
def test_any_json_is_either_a_message_or_a_protocol_error(value: object, kind: type) -> None:
    try:
        decode(kind, value)
    except ProtocolError as error:
        assert ":" in str(error)


@given(value=JSON)
def test_any_field_of_a_plan_is_either_right_or_a_protocol_error(value: object) -> None:
    good = json.loads(dumps(PLAN))
    for name in good:
        try:
            decode(LoginPlan, {**good, name: value})
        except ProtocolError as error:
            assert str(error).startswith(name)
