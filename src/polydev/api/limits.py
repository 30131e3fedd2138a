"""Limits on what a client may send: the size and the kind of a body."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polydev.api.problems import RequestRefused

_BODYLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimits:
    """413 for a body that is too long (said or sent), 415 for one that is not JSON."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max:
            raise self._too_long()
        has_body = length not in ("", "0") or "transfer-encoding" in headers
        if has_body and scope["method"] not in _BODYLESS:
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise RequestRefused(
                    415,
                    "unsupported_media_type",
                    "Send JSON, as application/json.",
                    field="Content-Type",
                )
        seen = 0

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max:
                    # FastAPI reads the body inside its own error handling, which lets only this
                    # class pass; `problems` gives it the same document.
                    raise HTTPException(413, self._too_long().person)
            return message

        await self._app(scope, receiving, send)

    def _too_long(self) -> RequestRefused:
        return RequestRefused(
            413,
            "too_large",
            f"The body is too long; at most {self._max} bytes are read.",
            field="body",
        )
