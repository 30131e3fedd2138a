"""Plays what Gemini CLI needs: Google's sign-in, the account, and Code Assist as a stream."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.jwt import jwt
from tests.standins.oauth import OAuth, OAuthError, Policy
from tests.standins.pages import success_page
from tests.standins.provider import Provider, World
from tests.standins.web import event_stream, oauth_error, read_form, sign_in_routes, unauthorized

_BRAND = "Google"
_PROJECT = "standin-project"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Gemini CLI first asks a model which model to take, in JSON, and repeats until it gets it.
_ROUTE = json.dumps(
    {"reasoning": "", "model_choice": "flash", "complexity_reasoning": "", "complexity_score": 1}
)
_TIER = {"id": "free-tier", "name": "Stand-in for individuals", "isDefault": True}


def play_google(world: World) -> Provider:
    # The loopback flow of Gemini CLI sends a state but no code challenge.
    # No rotation: the real tool (0.61) writes the refresh token that it had back to its file,
    # whatever a refresh answers, so with rotation its second refresh is a replay and it exits with
    # 41. `test_gemini_does_not_follow_a_rotation` sets ``oauth.rotate`` and shows that; a stand-in
    # that rotates would sign out a tool that its real provider keeps signed in.
    policy = Policy(pkce_required=False, rotate=False, access_seconds=3599)
    oauth = OAuth(policy, world.people, world.clock)

    async def token(request: Request) -> Response:
        form = await read_form(request)
        try:
            issued = oauth.token(form)
        except OAuthError as error:
            return oauth_error(error)
        first = form.get("grant_type") == "authorization_code"
        claims = {"iss": "https://accounts.google.com", "sub": issued.person.id}
        return JSONResponse(
            {
                "access_token": issued.access_token,
                **({"refresh_token": issued.refresh_token} if first or oauth.rotate else {}),
                "expires_in": issued.expires_in,
                "scope": issued.scope,
                "token_type": "Bearer",
                "id_token": jwt({**claims, "email": issued.person.user}),
            }
        )

    async def token_info(request: Request) -> Response:
        form = await read_form(request)
        bearer = form.get("access_token") or request.query_params.get("access_token", "")
        person = oauth.person_of(f"Bearer {bearer}")
        if person is None:
            person = oauth.person_of(request.headers.get("authorization"))
        if person is None:
            return JSONResponse({"error": "invalid_token"}, status_code=400)
        info = {"email": person.user, "sub": person.id, "scope": _SCOPE, "expires_in": 3000}
        return JSONResponse(info)

    async def user_info(request: Request) -> Response:
        person = oauth.person_of(request.headers.get("authorization"))
        if person is None:
            return unauthorized()
        return JSONResponse(
            {"id": person.id, "email": person.user, "verified_email": True, "name": person.name}
        )

    async def success(_request: Request) -> Response:
        return success_page(_BRAND)

    async def code_assist(request: Request) -> Response:
        if oauth.person_of(request.headers.get("authorization")) is None:
            return unauthorized()
        match request.path_params["method"]:
            case "loadCodeAssist":
                return JSONResponse(
                    {
                        "currentTier": _TIER,
                        "allowedTiers": [_TIER],
                        "cloudaicompanionProject": _PROJECT,
                    }
                )
            case "onboardUser":
                project = {"id": _PROJECT, "name": _PROJECT}
                return JSONResponse(
                    {"done": True, "response": {"cloudaicompanionProject": project}}
                )
            case "generateContent":
                wants_json = b"application/json" in await request.body()
                return JSONResponse(_chunk(_ROUTE if wants_json else world.answer))
            case "streamGenerateContent":
                return event_stream([(None, _chunk(world.answer))])
            case "countTokens":
                return JSONResponse({"totalTokens": 3})
            case _:
                return JSONResponse({})

    return Provider(
        "gemini_cli",
        oauth,
        {
            "accounts.google.com": sign_in_routes(oauth, _BRAND, "/o/oauth2/v2/auth"),
            "oauth2.googleapis.com": [
                Route("/token", token, methods=["POST"]),
                Route("/tokeninfo", token_info, methods=["GET", "POST"]),
            ],
            "www.googleapis.com": [Route("/oauth2/v2/userinfo", user_info)],
            "developers.google.com": [
                Route("/gemini-code-assist/auth_success_gemini", success),
            ],
            "cloudcode-pa.googleapis.com": [
                Route("/v1internal:{method}", code_assist, methods=["GET", "POST"]),
            ],
        },
    )


def _chunk(text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
    return {
        "response": {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
            "modelVersion": "standin",
        },
        "traceId": "standin",
    }
