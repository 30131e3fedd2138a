"""HTTP habits of the agent: who may ask, bodies with a bound, problems, endless answers."""

import hmac
from collections.abc import AsyncIterator
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from polydev.guest.codec import loads

MAX_BODY: Final = 8 << 20
"""A bundle of 4 MiB in base 64, with room."""


class AgentProblem(Exception):
    """An answer other than the one asked for. ``extra`` joins the problem object."""

    def __init__(self, status: int, code: str, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.extra = extra

    def response(self) -> JSONResponse:
        body = {"code": self.code, "detail": self.detail, **self.extra}
        return JSONResponse(body, self.status, media_type="application/problem+json")


class TokenGate:
    """Lets a request through only with the machine's token; else 401, whatever the path."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if len(given) == 1 and hmac.compare_digest(given[0], self._wanted):
            await self._app(scope, receive, send)
            return
        refusal = AgentProblem(401, "unauthorized", "the machine's token is missing or wrong")
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(refusal.response())
        else:
            await refusal.response()(scope, receive, send)


async def json_body(request: Request) -> object:
    """The parsed body, refused above `MAX_BODY` before it is all in memory."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise AgentProblem(413, "too_large", f"body: more than {MAX_BODY} bytes")
        parts.append(part)
    return loads(b"".join(parts))


class StreamedLines(Response):
    """An NDJSON answer that ends its source at once when the client goes away.

    Starlette's own streaming response notices that only when it next sends something, which for
    a silent program may be never.
    """

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # The head goes out now: a client must know that it is connected before the first line.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async with anyio.create_task_group() as group:

            async def until_gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(until_gone)
            try:
                async for line in self._lines:
                    await send(
                        {"type": "http.response.body", "body": line + b"\n", "more_body": True}
                    )
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except OSError:
                pass
            finally:
                with anyio.CancelScope(shield=True):
                    aclose = getattr(self._lines, "aclose", None)
                    if aclose is not None:
                        await aclose()
            group.cancel_scope.cancel()
