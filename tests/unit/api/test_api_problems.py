"""What bad input gets: a problem document that names the field and repeats nothing."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from polydev.api.problems import RequestRefused, from_error
from polydev.domain.session import Reason
from polydev.errors import (
    AgentError,
    CaptureRefused,
    Conflict,
    Forbidden,
    InvalidInput,
    MachineError,
    MachineGone,
    MachineNotReady,
    NotFound,
    NotSignedIn,
    PolydevError,
    SessionFailed,
    SettingsError,
    TooMany,
    UserError,
    VaultError,
)
from tests.api_world import World

EXAMPLES: list[PolydevError] = [
    PolydevError("a"),
    UserError("a"),
    InvalidInput("a", field="provider"),
    NotSignedIn("a"),
    Forbidden("a"),
    NotFound("a"),
    Conflict("a"),
    TooMany("a", retry_after_s=7),
    SettingsError("a"),
    MachineError("a"),
    MachineNotReady("a"),
    MachineGone("a"),
    AgentError("a"),
    CaptureRefused("a", offender="x"),
    VaultError("a"),
    SessionFailed(Reason.NO_ROOM),
]


def _tree(kind: type[PolydevError]) -> list[type[PolydevError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _tree(child))]


@pytest.mark.parametrize("kind", _tree(PolydevError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_stable_code_and_an_error_status(kind: type[PolydevError]) -> None:
    if kind is not RequestRefused:  # says its own, one by one
        assert kind.code.replace("_", "").isalpha()
        assert 400 <= kind.status < 600


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_becomes_a_problem_with_its_own_code(error: PolydevError) -> None:
    answer = from_error(error)
    assert answer.status_code == error.status
    assert answer.media_type == "application/problem+json"
    assert f'"code":"{error.code}"'.encode() in bytes(answer.body)
    assert (error.detail.encode() in bytes(answer.body)) == (error.detail == error.person)


def test_too_many_says_when_to_come_back() -> None:
    assert from_error(TooMany("a", retry_after_s=7)).headers["retry-after"] == "7"


BAD_STARTS: list[tuple[bytes, str]] = [
    (b'{"provider": "sekret', "body"),
    (b'{"provider": ["sekret"]}', "provider"),
    (b'{"provider": "SEKRET!"}', "provider"),
    (b'{"provider": "' + b"sekret" * 50 + b'"}', "provider"),
    (b'{"provider": "sekret"}', "provider"),
    (b"{}", "provider"),
    (b"[]", "body"),
    (b'"sekret"', "body"),
    (b"null", "body"),
    (b'{"provider": "codex", "sekretfield": 1}', "sekretfield"),
]


@pytest.mark.parametrize(("body", "field"), BAD_STARTS)
async def test_a_wrong_body_names_the_field_and_repeats_no_value(
    world: World, body: bytes, field: str
) -> None:
    headers = {**world.alice.headers, "Content-Type": "application/json"}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=body)
    assert answer.status_code == 422, answer.text
    document = answer.json()
    assert document["code"] == "invalid_input"
    assert [item["field"] for item in document["errors"]] == [field]
    if field != "sekretfield" and b'"sekret"}' not in body:
        assert "sekret" not in answer.text.lower()


async def test_a_prompt_is_not_repeated_when_it_is_too_long(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        answer = await client.post(
            "/api/prompts", json={"provider": "codex", "prompt": "sekret" * 20_000}
        )
    assert answer.status_code == 422
    assert len(answer.content) < 500
    assert "sekret" not in answer.text


async def test_an_undecodable_body_is_refused(world: World) -> None:
    headers = {**world.alice.headers, "Content-Type": "application/json"}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=b'{"provider": "\xff\xfe"}')
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_deep_nesting_is_no_fault_of_ours(world: World) -> None:
    headers = {**world.alice.headers, "Content-Type": "application/json"}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=b"[" * 100_000)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_a_body_that_is_not_json_is_415(world: World, kind: str) -> None:
    headers = {**world.alice.headers, "Content-Type": kind}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=b'{"provider":"codex"}')
    assert answer.status_code == 415


async def test_a_body_that_says_it_is_too_long_is_413(world: World) -> None:
    headers = {**world.alice.headers, "Content-Type": "application/json"}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=b" " * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


async def test_a_body_that_turns_out_too_long_is_413(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    headers = {**world.alice.headers, "Content-Type": "application/json"}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=endless())
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


async def test_an_unknown_address_is_a_404_problem(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        for path in ("/api/nothing", "/nothing/at/all", "/api/auth/start/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_wrong_method_is_405_with_all_that_are_allowed(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        answer = await client.put("/api/keys", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["code"] == "method_not_allowed"


async def test_another_method_at_an_unknown_address_is_404_too(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        for path in ("/nothing", "/api/nothing"):
            answer = await client.post(path, json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert "allow" not in answer.headers
        page = await client.post("/sessions", json={})
    assert (page.status_code, page.headers["allow"]) == (405, "GET, HEAD")


async def test_two_authorizations_are_refused_rather_than_one_of_them_taken(world: World) -> None:
    bob = ("Authorization", world.bob.headers["Authorization"])
    async with world.client(headers=[*world.alice.headers.items(), bob]) as client:
        answer = await client.get("/api/me")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("content", "kind", "status", "field"),
    [
        (b"[" * 100_000, "application/json", 400, "body"),
        (b"\xff\xfe", "application/json", 422, "body"),
        (b" " * 2_000_000, "application/json", 413, "body"),
        (b"provider=codex", "application/x-www-form-urlencoded", 415, "Content-Type"),
    ],
)
async def test_a_body_that_cannot_be_read_is_named(
    world: World, content: bytes, kind: str, status: int, field: str
) -> None:
    headers = {**world.alice.headers, "Content-Type": kind}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/auth/start", content=content)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_an_unexpected_fault_says_an_incident_number_and_nothing_else(world: World) -> None:
    class Broken:
        async def start(self, *args: Any) -> None:
            raise RuntimeError("the secret inner workings")

    broken: Any = Broken()
    world.rebuild(dataclasses.replace(world.services, sessions=broken))
    with capture_logs() as logs:
        async with world.client(headers=world.alice.headers) as client:
            answer = await client.post("/api/auth/start", json={"provider": "codex"})
    assert answer.status_code == 500
    assert "inner workings" not in answer.text
    fault = next(line for line in logs if line["event"] == "api.fault")
    assert fault["incident"] in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("key", ["", "a" * 256, "tab\there", "ümlaut"])
async def test_a_wrong_idempotency_key_is_refused_by_name(world: World, key: str) -> None:
    async with world.client(headers=world.alice.headers) as client:
        answer = await client.post(
            "/api/auth/start",
            json={"provider": "codex"},
            headers={"Idempotency-Key": key.encode()},
        )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
