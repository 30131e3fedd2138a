"""Plays the made-up fourth provider, whose tool is ``acme/acme-login``."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.oauth import OAuth, OAuthError, Policy
from tests.standins.pages import success_page
from tests.standins.provider import Provider, World
from tests.standins.web import oauth_error, read_form, sign_in_routes, unauthorized


def play_acme(world: World) -> Provider:
    oauth = OAuth(Policy(), world.people, world.clock)

    async def token(request: Request) -> Response:
        try:
            issued = oauth.token(await read_form(request))
        except OAuthError as error:
            return oauth_error(error)
        return JSONResponse(
            {
                "access_token": issued.access_token,
                "refresh_token": issued.refresh_token,
                "expires_in": issued.expires_in,
                "token_type": "Bearer",
                "account": issued.person.user,
                "plan": issued.person.plan,
            }
        )

    async def who(request: Request) -> Response:
        person = oauth.person_of(request.headers.get("authorization"))
        if person is None:
            return unauthorized()
        return JSONResponse({"account": person.user, "plan": person.plan})

    async def echo(request: Request) -> Response:
        if oauth.person_of(request.headers.get("authorization")) is None:
            return unauthorized()
        return JSONResponse({"text": world.answer})

    async def done(_request: Request) -> Response:
        return success_page("Acme")

    return Provider(
        "acme",
        oauth,
        {
            "login.acme.test": [
                *sign_in_routes(oauth, "Acme", "/authorize"),
                Route("/token", token, methods=["POST"]),
                Route("/whoami", who),
                Route("/prompt", echo, methods=["POST"]),
                Route("/done", done),
            ],
        },
    )
