"""Another person's ids do not exist, on any verb of any route: the list is the OpenAPI page."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from polydev.api.app import bare_app
from polydev.domain.ids import new_id
from tests.api_world import Person, World, cookie_headers

_ID = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    name: str
    body: bool

    def __str__(self) -> str:
        return self.name


def operations() -> list[Operation]:
    found: list[Operation] = []
    paths: dict[str, dict[str, Any]] = bare_app().openapi()["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            found.append(
                Operation(
                    method.upper(), path, operation["operationId"], "requestBody" in operation
                )
            )
    return found


WITH_ID = [op for op in operations() if "{" in op.path]
GUARDED = [
    op for op in operations() if op.path.startswith("/api/") and op.name != "redeemLoginLink"
]


def id_of(person: Person, path: str) -> str:
    for part, found in (
        ("/session/", person.session_id),
        ("/credentials/", person.credential_id),
        ("/receipts/", person.receipt_id),
        ("/machines/", person.machine_id),
        ("/keys/", person.key_id),
        ("/users/", person.user_id),
    ):
        if part in path:
            return found
    raise AssertionError(f"say whose id belongs into {path}")


def test_there_are_routes_with_ids() -> None:
    assert len(WITH_ID) > 15
    assert len(GUARDED) > 25


@pytest.mark.parametrize("op", WITH_ID, ids=str)
async def test_another_persons_id_is_not_found(world: World, op: Operation) -> None:
    # Only an admin may see people at all, and to them all people exist.
    asking = world.admin if "/users/" in op.path else world.bob
    theirs = new_id("usr") if "/users/" in op.path else id_of(world.alice, op.path)
    async with world.client(headers=asking.headers) as client:
        answer = await client.request(op.method, _ID.sub(theirs, op.path))
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("op", WITH_ID, ids=str)
async def test_an_unknown_id_answers_the_same_words_as_another_persons(
    world: World, op: Operation
) -> None:
    if "/users/" in op.path:
        return
    theirs = id_of(world.alice, op.path)
    nobodys = new_id(theirs.partition("_")[0])  # type: ignore[arg-type]
    async with world.client(headers=world.bob.headers) as client:
        one = await client.request(op.method, _ID.sub(theirs, op.path))
        other = await client.request(op.method, _ID.sub(nobodys, op.path))
    assert one.text.replace(theirs, "ID") == other.text.replace(nobodys, "ID")


@pytest.mark.parametrize("op", WITH_ID, ids=str)
async def test_an_id_of_another_form_is_refused_by_name(world: World, op: Operation) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.request(op.method, _ID.sub("x'%00--", op.path))
    assert answer.status_code == 422
    assert "x'" not in answer.text


@pytest.mark.parametrize("op", GUARDED, ids=str)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer pdk_" + "A" * 43}])
async def test_nothing_answers_somebody_unknown(
    world: World, op: Operation, headers: dict[str, str]
) -> None:
    path = _ID.sub(id_of(world.alice, op.path), op.path) if "{" in op.path else op.path
    async with world.client(headers=headers) as client:
        answer = await client.request(op.method, path, content="not json" if op.body else None)
    assert answer.status_code in (401, 415)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("op", GUARDED, ids=str)
async def test_a_single_session_link_reaches_its_session_only(world: World, op: Operation) -> None:
    alice = world.alice
    cookie = await world.cookie_of(alice, session_id=alice.session_id)
    other = new_id("ses")
    theirs = other if "/session/" in op.path else ""
    path = _ID.sub(theirs or id_of(alice, op.path), op.path) if "{" in op.path else op.path
    headers = await cookie_headers(world, cookie)
    async with world.client(headers=headers) as client:
        answer = await client.request(op.method, path, json=body_for(op))
    if op.name == "getMe":
        assert answer.json()["onlySessionId"] == alice.session_id
    elif op.name == "logout":
        assert answer.status_code == 204
    else:
        assert answer.status_code in (403, 404), answer.text


def body_for(op: Operation) -> dict[str, Any] | None:
    bodies: dict[str, dict[str, Any]] = {
        "startSignIn": {"provider": "codex"},
        "runPrompt": {"provider": "codex", "prompt": "hi"},
        "createShellTicket": {"provider": "codex"},
        "createUser": {"name": "eve"},
        "createKey": {},
    }
    assert not op.body or op.name in bodies
    return bodies.get(op.name)
