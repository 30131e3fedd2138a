"""A request id for every request, and one log line when it is over: never a query string."""

from __future__ import annotations

import secrets
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polydev.api.metrics import REQUEST_SECONDS, REQUESTS

log = structlog.get_logger("polydev.access")

_QUIET_PATHS = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class Access:
    """Outermost: binds ``request_id``, answers it as ``X-Request-ID``, logs and counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        status = 0
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                message.setdefault("headers", [])
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode("ascii")),
                ]
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close" and not status:
                status = 403
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sending)
            finally:
                _record(scope, status or 500, time.perf_counter() - began)


def _record(scope: Scope, status: int, seconds: float) -> None:
    method: str = scope.get("method", "WEBSOCKET")
    route: Any = scope.get("route")
    # The template, so that a metric has few label values and ids stay out of it.
    template: str = getattr(route, "path", None) or "other"
    known = method if method in _METHODS else "OTHER"
    REQUESTS.labels(known, template, str(status)).inc()
    if scope["type"] == "http":
        REQUEST_SECONDS.labels(known, template).observe(seconds)
    level = "debug" if scope["path"] in _QUIET_PATHS and status < 500 else "info"
    principal = scope.get("state", {}).get("principal")
    getattr(log, level)(
        "request",
        method=method,
        path=scope["path"],
        status=status,
        ms=round(seconds * 1000, 1),
        user_id=getattr(principal, "user_id", None),
    )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
