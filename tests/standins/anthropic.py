"""Plays what Claude Code needs: sign-in with JSON tokens, the account, and streamed messages."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.oauth import OAuth, OAuthError, Policy
from tests.standins.pages import code_page, success_page
from tests.standins.provider import Provider, World
from tests.standins.web import event_stream, oauth_error, read_form, sign_in_routes, unauthorized

_BRAND = "Claude"
_PASTE_REDIRECT = "https://platform.claude.com/oauth/code/callback"


def play_anthropic(world: World) -> Provider:
    policy = Policy(access_seconds=8 * 3600, other_redirects=(_PASTE_REDIRECT,))
    oauth = OAuth(policy, world.people, world.clock)

    async def token(request: Request) -> Response:
        try:
            issued = oauth.token(await read_form(request))
        except OAuthError as error:
            return oauth_error(error)
        person = issued.person
        return JSONResponse(
            {
                "token_type": "Bearer",
                "access_token": issued.access_token,
                "refresh_token": issued.refresh_token,
                "expires_in": issued.expires_in,
                "scope": issued.scope,
                "account": {"uuid": person.id, "email_address": person.user},
                "organization": {"uuid": person.organization_id, "name": person.organization},
            }
        )

    async def profile(request: Request) -> Response:
        person = oauth.person_of(request.headers.get("authorization"))
        if person is None:
            return unauthorized()
        return JSONResponse(
            {
                "account": {
                    "uuid": person.id,
                    "email": person.user,
                    "full_name": person.name,
                    "display_name": person.name,
                    "has_claude_pro": True,
                    "has_claude_max": False,
                    "created_at": "2024-05-01T10:00:00Z",
                },
                "organization": {
                    "uuid": person.organization_id,
                    "name": person.organization,
                    "organization_type": f"claude_{person.plan}",
                    "billing_type": "stripe_subscription",
                    "rate_limit_tier": "default_claude_ai",
                    "has_extra_usage_enabled": False,
                },
            }
        )

    def for_the_signed_in(answer: dict[str, Any]):
        async def endpoint(request: Request) -> Response:
            if oauth.person_of(request.headers.get("authorization")) is None:
                return unauthorized()
            return JSONResponse(answer)

        return endpoint

    async def messages(request: Request) -> Response:
        if oauth.person_of(request.headers.get("authorization")) is None:
            return unauthorized()
        asked = await request.json()
        if asked.get("stream"):
            return event_stream(_answer(world.answer, asked.get("model", "standin")))
        return JSONResponse(_message(world.answer, asked.get("model", "standin")))

    async def root(_request: Request) -> Response:
        return Response(status_code=200)

    async def hello(_request: Request) -> Response:
        return JSONResponse({"message": "hello"})

    async def success(_request: Request) -> Response:
        return success_page(_BRAND)

    async def paste_code(request: Request) -> Response:
        query = request.query_params
        return code_page(_BRAND, query.get("code", ""), query.get("state", ""))

    role = {"organization_role": "admin", "workspace_role": None, "organization_name": None}
    return Provider(
        "claude_code",
        oauth,
        {
            "claude.com": sign_in_routes(oauth, _BRAND, "/cai/oauth/authorize"),
            "claude.ai": sign_in_routes(oauth, _BRAND, "/oauth/authorize"),
            "platform.claude.com": [
                *sign_in_routes(oauth, _BRAND, "/oauth/authorize"),
                Route("/v1/oauth/token", token, methods=["POST"]),
                Route("/v1/oauth/hello", hello),
                Route("/oauth/code/success", success),
                Route("/oauth/code/callback", paste_code),
            ],
            "api.anthropic.com": [
                Route("/", root, methods=["GET", "HEAD"]),
                Route("/api/hello", hello),
                Route("/api/oauth/profile", profile),
                Route("/api/oauth/claude_cli/roles", for_the_signed_in(role)),
                Route(
                    "/api/organization/claude_code_first_token_date",
                    for_the_signed_in({"first_token_date": None}),
                ),
                Route("/api/claude_cli/bootstrap", for_the_signed_in({})),
                Route("/v1/messages", messages, methods=["POST"]),
            ],
        },
    )


def _message(text: str, model: str) -> dict[str, Any]:
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }


def _answer(text: str, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    def event(kind: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        return kind, {"type": kind, **fields}

    empty = {**_message(text, model), "content": [], "stop_reason": None}
    yield event("message_start", message=empty)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    yield event("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=end, usage={"output_tokens": 5})
    yield event("message_stop")
