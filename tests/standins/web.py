"""What every played provider serves alike: the sign-in pages, and small helpers for the rest."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.standins.oauth import OAuth, OAuthError
from tests.standins.pages import consent_page, error_page, login_page


async def read_form(request: Request) -> dict[str, str]:
    """A body as names and values, whether it came as a form or as JSON."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        return {key: str(value) for key, value in json.loads(body or b"{}").items()}
    return dict(parse_qsl(body.decode()))


def sign_in_routes(oauth: OAuth, brand: str, authorize_path: str) -> list[BaseRoute]:
    """Authorization endpoint, login form and consent page."""

    async def authorize(request: Request) -> Response:
        try:
            flow = oauth.begin(request.query_params)
        except OAuthError as error:
            return error_page(brand, error.description)
        return login_page(brand, flow.id)

    async def login(request: Request) -> Response:
        form = await read_form(request)
        try:
            flow = oauth.flow(form.get("flow", ""))
        except OAuthError as error:
            return error_page(brand, error.description)
        outcome = oauth.login(flow, form.get("user", ""), form.get("password", ""))
        if outcome == "refused":
            return _back_to_tool(oauth.deny(flow))
        if outcome == "wrong" or flow.person is None:
            return login_page(brand, flow.id, wrong=flow.wrong_passwords)
        return consent_page(brand, flow.id, flow.person, flow.scope)

    async def consent(request: Request) -> Response:
        form = await read_form(request)
        try:
            flow = oauth.flow(form.get("flow", ""))
        except OAuthError as error:
            return error_page(brand, error.description)
        if flow.person is None:
            return login_page(brand, flow.id)
        allowed = form.get("decision") == "authorize"
        return _back_to_tool(oauth.allow(flow) if allowed else oauth.deny(flow))

    return [
        Route(authorize_path, authorize),
        Route("/standin/login", login, methods=["POST"]),
        Route("/standin/consent", consent, methods=["POST"]),
    ]


def _back_to_tool(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def oauth_error(error: OAuthError) -> JSONResponse:
    return JSONResponse(
        {"error": error.error, "error_description": error.description}, status_code=400
    )


def unauthorized() -> JSONResponse:
    return JSONResponse(
        {"error": {"type": "authentication_error", "message": "sign in again"}}, status_code=401
    )


def event_stream(events: Iterable[tuple[str | None, Mapping[str, Any]]]) -> Response:
    """Server-sent events, each in its own chunk as a model's answer would come."""

    async def body() -> AsyncIterator[bytes]:
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            yield f"{head}data: {json.dumps(data)}\n\n".encode()

    return StreamingResponse(body(), media_type="text/event-stream")
