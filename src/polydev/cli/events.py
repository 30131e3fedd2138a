"""A session's timeline as it happens: server-sent events, taken up again when they break off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from polydev.cli.failures import ServerProblem, Unreachable

if TYPE_CHECKING:
    from polydev.cli.client import Api

_EVENT_STREAM: Final = "text/event-stream"
_RETRIES: Final = 8


async def follow(api: Api, session_id: str) -> AsyncGenerator[dict[str, Any]]:
    """Every event of the session in order, once each, until it has ended.

    Raises:
        Unreachable: the server stayed away through all retries.
    """
    after = 0
    failures = 0
    while True:
        try:
            async for name, data in _events(api, session_id, after):
                failures = 0
                if name == "end":
                    return
                seq = data.get("seq")
                if isinstance(seq, int) and seq > after:
                    after = seq
                    yield data
            failures += 1  # the stream ended without saying so: a server that restarts
        except Unreachable:
            failures += 1
            if failures > _RETRIES:
                raise
        if failures > _RETRIES:
            raise Unreachable("The server keeps closing the timeline. Look at its log.")
        await asyncio.sleep(min(0.25 * 2**failures, 5))


async def _events(
    api: Api, session_id: str, after: int
) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    import httpx
    from httpx_sse import EventSource, SSEError

    path = f"/api/auth/session/{quote(session_id, safe='')}/events"
    async with api.stream("GET", path, params={"after": after}, accept=_EVENT_STREAM) as response:
        try:
            async for event in EventSource(response).aiter_sse():
                if event.event == "end":
                    yield "end", {}
                elif event.data:
                    yield event.event, _parse(event.data)
        except SSEError:
            raise ServerProblem(
                502, "unexpected_answer", "The server answered with something other than events."
            ) from None
        except httpx.TransportError:
            raise Unreachable("The connection to the server broke.") from None


def _parse(text: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise ServerProblem(502, "unexpected_answer", "The server sent a broken event.")
    return data  # pyright: ignore[reportUnknownVariableType]
