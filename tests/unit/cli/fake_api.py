"""Plays the server for the command line, on a real socket in a thread of its own.

It answers what the test puts into ``answers``, remembers what it was asked, and can misbehave.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

KEY = "pdk_for-the-tests-only-0123456789"
TIME = "2026-11-23T10:00:00Z"


def session(**changes: Any) -> dict[str, Any]:
    return {
        "sessionId": "ses_1",
        "provider": "codex",
        "state": "completed",
        "reason": None,
        "message": None,
        "detail": None,
        "novncURL": None,
        "browserIP": None,
        "machineId": "mac_1",
        "cliMachineId": "mac_2",
        "credentialId": "cred_1",
        "account": "ada@example.test",
        "plan": "pro",
        "receiptId": "rcpt_1",
        "createdAt": TIME,
        "endedAt": TIME,
        "machineGoneAt": TIME,
        "somethingNew": "of a newer server",
        **changes,
    }


def credential(**changes: Any) -> dict[str, Any]:
    return {
        "credentialId": "cred_1",
        "provider": "codex",
        "account": "ada@example.test",
        "plan": "pro",
        "expiresAt": TIME,
        "version": 1,
        "machineId": "mac_2",
        "createdAt": TIME,
        "verifiedAt": TIME,
        "verifiedOk": True,
        "statusOutput": "Logged in\nas ada",
        **changes,
    }


RECEIPT: dict[str, Any] = {
    "receiptId": "rcpt_1",
    "sessionId": "ses_1",
    "credentialId": "cred_1",
    "provider": "codex",
    "account": "ada@example.test",
    "plan": "pro",
    "version": 1,
    "files": [{"path": ".codex/auth.json", "size": 4321, "mode": "0600"}],
    "ciphertextSha256": "ab" * 32,
    "keyId": "root-1",
    "browserMachineId": "mac_1",
    "cliMachineId": "mac_2",
    "createdAt": TIME,
    "deliveredAt": TIME,
    "verifiedAt": TIME,
    "statusCommand": "codex login status",
    "statusOutput": "Logged in",
    "machineGoneAt": TIME,
}


def event(seq: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"seq": seq, "at": f"2026-11-23T10:00:{seq:02}Z", "kind": kind, "data": data}


JOURNEY = [
    event(1, "state", state="pending"),
    event(2, "url_opened", host="auth.openai.com"),
    event(3, "state", state="awaiting_user"),
    event(4, "state", state="completed"),
]

Answer = tuple[int, Any] | Callable[[Request], Response]


@dataclass
class FakeApi:
    """A context manager; ``url`` is where it listens."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """"METHOD /path" -> (status, JSON body) or a function."""
    events: list[dict[str, Any]] = field(default_factory=lambda: list(JOURNEY))
    break_after: int | None = None
    """Close the first timeline without an end after so many events."""
    hold_events: threading.Event | None = None
    """The timeline waits for this before its last event."""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    shell: Callable[[WebSocket], Any] | None = None
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    timelines: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Self:
        app = Starlette(
            routes=[
                Route("/api/auth/session/{id}/events", self._events),
                Route("/api/prompts", self._prompts, methods=["POST"]),
                WebSocketRoute("/api/stream/{id}/pty", self._pty),
                Route(
                    "/{path:path}", self._answer, methods=["GET", "POST", "DELETE", "PUT", "PATCH"]
                ),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        )
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(60)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)

    def _run(self, started: threading.Event) -> None:
        async def main() -> None:
            # The event is set only when the socket listens, so nobody polls for it.
            startup = self._server.startup

            async def announcing(sockets: Any = None) -> None:
                await startup(sockets=sockets)
                started.set()

            self._server.startup = announcing  # type: ignore[method-assign]
            await self._server.serve()

        asyncio.run(main())

    async def _note(self, request: Request) -> None:
        query = f"?{request.url.query}" if request.url.query else ""
        self.asked.append(f"{request.method} {request.url.path}{query}")
        self.headers.append(dict(request.headers))
        raw = await request.body()
        self.bodies.append(json.loads(raw) if raw else None)

    async def _answer(self, request: Request) -> Response:
        await self._note(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "not_signed_in", "Sign in first.")
        answer = self.answers.get(f"{request.method} {request.url.path}")
        if answer is None:
            return problem(404, "not_found", "There is no such thing.")
        if callable(answer):
            return answer(request)
        status, body = answer
        return JSONResponse(body, status) if body is not None else Response(status_code=status)

    async def _events(self, request: Request) -> Response:
        await self._note(request)
        after = int(request.query_params.get("after", 0))
        self.timelines.append(request.headers["accept"])
        breaks = self.break_after if len(self.timelines) == 1 else None

        async def stream() -> AsyncIterator[str]:
            yield ": a comment, to keep the connection open\n\n"
            left = [e for e in self.events if e["seq"] > after]
            for number, one in enumerate(left):
                if breaks is not None and number == breaks:
                    return
                if self.hold_events is not None and number == len(left) - 1:
                    await asyncio.to_thread(self.hold_events.wait, 120)
                yield f"event: {one['kind']}\nid: {one['seq']}\ndata: {json.dumps(one)}\n\n"
            yield "event: end\ndata: {}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _prompts(self, request: Request) -> Response:
        await self._note(request)
        answer = self.answers.get("POST /api/prompts")
        if answer is not None and not callable(answer):
            return JSONResponse(answer[1], answer[0])

        async def stream() -> AsyncIterator[bytes]:
            for chunk in self.chunks:
                raw = json.dumps(chunk).encode() + b"\n"
                # Cut in the middle, as a network does.
                yield raw[: len(raw) // 2]
                await asyncio.sleep(0)
                yield raw[len(raw) // 2 :]

        return StreamingResponse(stream(), media_type="application/x-ndjson")

    async def _pty(self, socket: WebSocket) -> None:
        self.asked.append(f"WS {socket.url.path}")
        self.headers.append(dict(socket.headers))
        await socket.accept(subprotocol="polydev.pty.v1")
        assert self.shell is not None
        await self.shell(socket)


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    body = {"type": "about:blank", "title": "T", "status": status, "detail": detail, "code": code}
    return JSONResponse({**body, **more}, status, media_type="application/problem+json")
