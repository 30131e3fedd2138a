"""Errors become RFC 9457 problem documents here and nowhere else.

What a person sent is never echoed: a validation error names the field and says what was expected.
An unexpected error says nothing but an incident id, under which the log has the traceback.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polydev.api.schemas import FieldProblem, Problem
from polydev.errors import InvalidInput, NotSignedIn, PolydevError, TooMany, UserError

PROBLEM_TYPE: Final = "application/problem+json"

_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Python 3.11 still has the old names."""

ANY_PATH: Final = "/{path:path}"
"""The dashboard's last route: its files, and its page for what is not there."""

_HTTP_TEXT: Final = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know that method; see the Allow header."),
}

log = structlog.get_logger("polydev.api")


class RequestRefused(UserError):
    """A request that is refused before any route sees it."""

    def __init__(self, status: int, code: str, person: str, *, field: str | None = None) -> None:
        super().__init__(person)
        self.field = field
        self._status = status
        self._code = code

    @property
    def status(self) -> int:  # type: ignore[override]  # fixed per class elsewhere
        return self._status

    @property
    def code(self) -> str:  # type: ignore[override]
        return self._code


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build one problem document."""
    body = Problem(
        title=_TITLES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors) if errors else None,
    )
    return Response(
        body.model_dump_json(by_alias=True, exclude_none=True),
        status_code=status,
        headers=dict(headers or {}),
        media_type=PROBLEM_TYPE,
    )


def from_error(error: PolydevError) -> Response:
    """The problem document of an error of ours; a fault of ours (5xx) is logged too."""
    headers: dict[str, str] = {}
    errors: list[FieldProblem] | None = None
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = 'Bearer realm="polydev"'
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(max(1, error.retry_after_s))
    if isinstance(error, InvalidInput | RequestRefused) and error.field is not None:
        errors = [FieldProblem(field=error.field, message=error.person)]
    if not isinstance(error, UserError):
        log.error("api.error", code=error.code, detail=error.detail, exc_info=error)
    return problem(error.status, error.code, error.person, errors=errors, headers=headers)


def install_handlers(app: FastAPI) -> None:
    """Make every error that leaves a route a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        match error:
            case PolydevError():
                return from_error(error)
            case RequestValidationError():
                return _invalid(error)
            case HTTPException():
                return _http(request, error)
            case _:
                raise error

    for kind in (PolydevError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def _invalid(error: RequestValidationError) -> Response:
    fields = [
        FieldProblem(field=_field_name(item["loc"]), message=_message(item))
        for item in error.errors()
    ]
    names = ", ".join(dict.fromkeys(field.field for field in fields))
    return problem(422, "invalid_input", f"Not as expected: {names}.", errors=fields)


def _field_name(loc: Sequence[int | str]) -> str:
    """``("body", "files", 0, "path")`` -> ``files.0.path``; an unknown name is not echoed."""
    where, *path = loc
    if path and all(isinstance(part, int) for part in path):
        return str(where)  # malformed JSON: the position is in the message
    return ".".join(str(part) for part in path) or str(where)


def _message(item: Mapping[str, Any]) -> str:
    """What was expected, in words that hold nothing of what came."""
    kind: str = item["type"]
    if kind == "json_invalid":
        return f"This is not JSON (at character {item['loc'][-1]})."
    if kind == "string_pattern_mismatch":
        return f"Should match {item['ctx']['pattern']}"
    if kind in ("literal_error", "enum"):
        return f"Should be {item['ctx']['expected']}"
    if kind in _LIMITS or kind.endswith(("_type", "_parsing")):
        return str(item["msg"])
    return _PLAIN.get(kind, "This value is not accepted.")


_PLAIN: Final = {
    "extra_forbidden": "There is no such field.",
    "missing": "This field is needed.",
}

_LIMITS: Final = frozenset(
    {
        "string_too_short",
        "string_too_long",
        "greater_than_equal",
        "less_than_equal",
        "greater_than",
        "less_than",
    }
)
"""Kinds whose message holds limits of ours and nothing of the input."""


def _http(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    headers = dict(error.headers or {})
    errors: list[FieldProblem] | None = None
    if status == 405 and is_known(request):
        headers["Allow"] = ", ".join(_allowed_methods(request))
    elif status == 405:
        status = 404
        headers.pop("Allow", None)
    if status == 413:
        code, text = "too_large", str(error.detail)
    elif status in _HTTP_TEXT:
        code, text = _HTTP_TEXT[status]
    elif status == 400:
        # FastAPI's answer when the body cannot be read as text at all.
        code, text = "bad_request", "The body of this request cannot be read."
    else:
        code, text = "http_error", HTTPStatus(status).phrase + "."
    if status in (400, 413):
        errors = [FieldProblem(field="body", message=text)]
    return problem(status, code, text, errors=errors, headers=headers)


def is_known(request: Request) -> bool:
    """Whether anything is at this address, whatever the method: the last route takes them all."""
    return any(
        getattr(route, "path", None) != ANY_PATH
        and route.matches(request.scope)[0] is not Match.NONE
        for route in request.app.router.routes
    )


def _allowed_methods(request: Request) -> list[str]:
    """All methods of an address (the router itself names only those of its first match)."""
    routes = [r for r in request.app.router.routes if getattr(r, "path", None) != ANY_PATH]
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


class Incidents:
    """Outermost but for headers and the access log: no exception leaves without an answer.

    A WebSocket that is not open yet is answered in the same way (an HTTP response).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except PolydevError as error:
            if started:
                log.exception("api.broken_off", code=error.code, detail=error.detail)
                raise
            await from_error(error)(scope, receive, send)
        except Exception:
            incident = secrets.token_hex(6)
            log.exception("api.fault", incident=incident)
            if started:
                raise
            text = f"Polydev had a fault of its own. Tell the operator this number: {incident}."
            await problem(500, "internal", text)(scope, receive, send)
