"""Server-sent events of a session's timeline.

Ends when the timeline does, when the client goes, and when the server stops (`Stopping`): an open
stream must not keep a server from ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, cast

import anyio
from fastapi import FastAPI, Request
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from polydev.api import views
from polydev.errors import NotSignedIn
from polydev.store.records import SessionEventRecord

KEEPALIVE_S = 15.0
_RETRY_MS: Final = 1000


def stopping_of(app: FastAPI) -> asyncio.Event:
    """Set once the server is about to stop (see `polydev.api.serving`)."""
    return cast("asyncio.Event", app.state.stopping)


def wanted(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return "text/event-stream" in kinds


def stream(source: AsyncIterator[SessionEventRecord], stopping: asyncio.Event) -> StreamingResponse:
    return StreamingResponse(
        _frames(source, stopping),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _frames(
    source: AsyncIterator[SessionEventRecord], stopping: asyncio.Event
) -> AsyncGenerator[bytes]:
    async def following() -> SessionEventRecord | None:
        return await anext(source, None)

    yield format_sse_event(comment="polydev", retry=_RETRY_MS)
    stop = asyncio.create_task(stopping.wait())
    step: asyncio.Task[SessionEventRecord | None] | None = None
    try:
        while True:
            step = step or asyncio.create_task(following())
            done, _ = await asyncio.wait(
                {step, stop}, timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if step in done:
                record = step.result()
                step = None
                if record is None:
                    yield format_sse_event(event="end", data_str="{}")
                    return
                yield _frame(record)
            elif stop in done:
                return
            else:
                yield format_sse_event(comment="keepalive")
    except NotSignedIn:
        return  # without `end`: whoever comes back is told why
    finally:
        # When the client goes, anyio cancels whatever is awaited here, again and again; a database
        # connection that is cancelled while it closes is never closed.
        with anyio.CancelScope(shield=True):
            stop.cancel()
            if step is not None:
                step.cancel()
                await asyncio.wait({step})
            if isinstance(source, AsyncGenerator):
                await source.aclose()


def _frame(record: SessionEventRecord) -> bytes:
    data = views.event(record).model_dump_json(by_alias=True)
    return format_sse_event(event=record.kind, data_str=data, id=str(record.seq))
