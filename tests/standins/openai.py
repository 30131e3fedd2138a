"""Plays what codex needs: sign-in with a JWT id token, and the responses API as a stream."""

import secrets
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.jwt import jwt
from tests.standins.oauth import Issued, OAuth, OAuthError, Policy
from tests.standins.people import Person
from tests.standins.provider import Provider, World
from tests.standins.web import event_stream, oauth_error, read_form, sign_in_routes, unauthorized

_CLAIM = "https://api.openai.com/auth"
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def play_openai(world: World) -> Provider:
    def claims(person: Person, expires: float) -> dict[str, Any]:
        account = {"chatgpt_account_id": person.organization_id, "chatgpt_plan_type": person.plan}
        return {
            "iss": "https://auth.openai.com",
            "sub": person.id,
            "email": person.user,
            "email_verified": True,
            "iat": int(world.clock.now()),
            "exp": int(expires),
            _CLAIM: {**account, "chatgpt_user_id": person.id, "user_id": person.id},
        }

    # codex reads the end of the access token out of the token itself.
    policy = Policy(
        access_seconds=10 * 24 * 3600,
        mint_access=lambda person, expires: jwt(claims(person, expires)),
    )
    oauth = OAuth(policy, world.people, world.clock)
    id_tokens: set[str] = set()

    def tokens(issued: Issued) -> JSONResponse:
        id_token = jwt(claims(issued.person, world.clock.now() + 3600))
        id_tokens.add(id_token)
        return JSONResponse(
            {
                "id_token": id_token,
                "access_token": issued.access_token,
                "refresh_token": issued.refresh_token,
                "token_type": "Bearer",
                "expires_in": issued.expires_in,
            }
        )

    def api_key(subject_token: str | None) -> JSONResponse:
        if subject_token not in id_tokens:
            raise OAuthError("invalid_grant", "subject_token is unknown")
        key = "standin-api-key-" + secrets.token_urlsafe(18)
        return JSONResponse({"access_token": key, "token_type": "Bearer"})

    async def token(request: Request) -> Response:
        form = await read_form(request)
        try:
            if form.get("grant_type") == _TOKEN_EXCHANGE:
                return api_key(form.get("subject_token"))
            return tokens(oauth.token(form))
        except OAuthError as error:
            if form.get("grant_type") == "refresh_token":
                reason = {"code": "refresh_token_invalidated", "message": error.description}
                return JSONResponse({"error": reason}, status_code=401)
            return oauth_error(error)

    async def responses(request: Request) -> Response:
        if request.method == "GET":
            # codex tries a WebSocket first; this status sends it to server-sent events at once.
            return Response(status_code=426)
        if oauth.person_of(request.headers.get("authorization")) is None:
            return unauthorized()
        return event_stream(_answer(world.answer))

    async def models(request: Request) -> Response:
        if oauth.person_of(request.headers.get("authorization")) is None:
            return unauthorized()
        return JSONResponse({"models": []})

    async def accounts(request: Request) -> Response:
        # codex asks before its first prompt which backend serves the account.
        person = oauth.person_of(request.headers.get("authorization"))
        if person is None:
            return unauthorized()
        account = {
            "id": person.organization_id,
            "name": person.organization,
            "profile_picture_url": None,
            "structure": "personal",
            "plan_type": person.plan,
            "workspace_backend_origin": "https://chatgpt.com",
            "account_routing_override": "NO_CONSTRAINT",
        }
        return JSONResponse({"accounts": [account], "account_ordering": [account["id"]]})

    return Provider(
        "codex",
        oauth,
        {
            "auth.openai.com": [
                *sign_in_routes(oauth, "OpenAI", "/oauth/authorize"),
                Route("/oauth/token", token, methods=["POST"]),
            ],
            "chatgpt.com": [
                Route("/backend-api/codex/responses", responses, methods=["GET", "POST"]),
                Route("/backend-api/codex/models", models),
                Route("/backend-api/wham/accounts/check", accounts),
            ],
            "api.openai.com": [],
        },
    )


def _answer(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    response = {"id": "resp_standin", "object": "response", "model": "standin"}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_standin", "role": "assistant"}
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    done = {**item, "status": "completed", "content": [part]}

    def event(kind: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        return f"response.{kind}", {"type": f"response.{kind}", **fields}

    yield event("created", response={**response, "status": "in_progress", "output": []})
    yield event("output_item.added", output_index=0, item={**item, "content": []})
    yield event(
        "output_text.delta", item_id=item["id"], output_index=0, content_index=0, delta=text
    )
    yield event("output_item.done", output_index=0, item=done)
    yield event(
        "completed",
        response={**response, "status": "completed", "output": [done], "usage": usage},
    )
