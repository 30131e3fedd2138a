"""A prompt's answer as it comes, over a real socket."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from polydev.api import standing
from polydev.sessions.runs import RunOutput
from tests.api_world import PATIENCE_S, World, live

PROMPT = {"provider": "codex", "prompt": "hi"}


class FakeRuns:
    """A tool that repeats what it was asked, and then works until it may end."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self, user_id: str, provider: str, prompt: str) -> AsyncIterator[RunOutput]:
        try:
            yield RunOutput("out", f"{provider}: {prompt}", None)
            await self.may_end.wait()
            yield RunOutput(None, None, 3)
        finally:
            self.ended.set()


@contextlib.asynccontextmanager
async def prompts(world: World) -> AsyncIterator[tuple[httpx.AsyncClient, FakeRuns]]:
    """Alice's client of a server with this tool."""
    runs: Any = FakeRuns()
    world.rebuild(dataclasses.replace(world.services, runs=runs))
    async with (
        world.serving() as address,
        live(address, headers=world.alice.headers) as client,
        asyncio.timeout(PATIENCE_S),
    ):
        yield client, runs


async def test_a_runs_output_streams_and_ends_with_the_exit_code(world: World) -> None:
    async with (
        prompts(world) as (client, runs),
        client.stream("POST", "/api/prompts", json=PROMPT) as answer,
    ):
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines)) == {"stream": "out", "text": "codex: hi"}
        runs.may_end.set()
        assert json.loads(await anext(lines)) == {"exit": 3}


async def test_closing_a_run_ends_the_tool(world: World) -> None:
    async with prompts(world) as (client, runs):
        async with client.stream("POST", "/api/prompts", json=PROMPT) as answer:
            await anext(answer.aiter_lines())
            assert not runs.ended.is_set()
        await runs.ended.wait()


@pytest.mark.usefixtures("looks_only_when_told")
async def test_a_run_ends_with_the_key_that_started_it(world: World) -> None:
    async with (
        prompts(world) as (client, runs),
        client.stream("POST", "/api/prompts", json=PROMPT) as answer,
    ):
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["text"] == "codex: hi"
        await client.delete(f"/api/keys/{world.alice.key_id}")
        assert standing.ENDED in json.loads(await anext(lines))["text"]
        assert await anext(lines, None) is None
        await runs.ended.wait()


async def test_a_run_without_a_credential_is_a_conflict(world: World) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.post("/api/prompts", json={"provider": "codex", "prompt": "hi"})
    assert answer.status_code == 409
