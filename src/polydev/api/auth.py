"""Who is asking. Everything under /api and /metrics needs an answer before any route runs.

Two ways: an API key in the Authorization header (programs), or the dashboard's cookie. The cookie
goes with every request that a browser makes, so a change by cookie also needs our own Origin and
the CSRF token, which a foreign page cannot read. WebSockets carry tickets instead
(`polydev.stream.tickets`) and are let through to them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from polydev.api.security import Sites
from polydev.domain.secret import Secret
from polydev.errors import Forbidden, NotSignedIn

COOKIE: Final = "polydev_session"
CSRF_HEADER: Final = "x-csrf-token"

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN: Final = frozenset({("POST", "/api/login/redeem")})
"""Gives a cookie for a one-time link, so it cannot ask for one; checks the Origin itself."""

_MAX_CREDENTIAL: Final = 256


@dataclass(frozen=True, slots=True)
class Principal:
    """The person behind a request, and how they showed it."""

    user_id: str
    role: Literal["admin", "member"]
    via: Literal["key", "cookie"]
    login_id: str
    """Id of the API key or of the web login."""
    only_session_id: str | None = None
    """Set by a single-session link: nothing else may be seen."""
    csrf_token: str | None = None

    @property
    def admin(self) -> bool:
        return self.role == "admin" and self.only_session_id is None


Lookup = Callable[[Secret], Awaitable[Principal | None]]


def csrf_token(cookie: str) -> str:
    """The token that belongs to one cookie; it cannot be made without it and does not show it."""
    return hmac.new(cookie.encode(), b"polydev csrf v1", hashlib.sha256).hexdigest()


def cookie_of(headers: Headers) -> str | None:
    """The dashboard's cookie, if it is there once and of a sane size."""
    for line in headers.getlist("cookie"):
        try:
            jar = SimpleCookie(line)
        except CookieError:
            continue
        if COOKIE in jar and 0 < len(jar[COOKIE].value) <= _MAX_CREDENTIAL:
            return jar[COOKIE].value
    return None


class Authentication:
    """Default deny: finds the principal or refuses."""

    def __init__(self, app: ASGIApp, *, by_key: Lookup, by_cookie: Lookup, sites: Sites) -> None:
        self._app = app
        self._by_key = by_key
        self._by_cookie = by_cookie
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _guarded(scope["method"], scope["path"]):
            scope.setdefault("state", {})["principal"] = await self._identify(scope)
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        given = headers.getlist("authorization")
        if len(given) > 1:
            raise NotSignedIn("Send one Authorization header, not several.")
        if given:
            scheme, _, value = given[0].partition(" ")
            if scheme.lower() != "bearer" or not 0 < len(value.strip()) <= _MAX_CREDENTIAL:
                raise NotSignedIn("Send an API key as `Authorization: Bearer pdk_…`.")
            principal = await self._by_key(Secret(value.strip()))
            if principal is None:
                raise NotSignedIn("This API key is not valid (any more). Make a new one.")
            return principal
        cookie = cookie_of(headers)
        if cookie is None:
            raise NotSignedIn("Sign in first: with an API key or a sign-in link.")
        principal = await self._by_cookie(Secret(cookie))
        if principal is None:
            raise NotSignedIn("Your sign-in has ended. Ask for a new link: `polydev dashboard`.")
        if scope["method"] not in _SAFE:
            self._check_change(headers, cookie)
        return principal

    def _check_change(self, headers: Headers, cookie: str) -> None:
        if not self._sites.origin_allowed(headers.get("origin"), headers.get("host")):
            raise Forbidden("Changes by cookie are taken only from this server's own pages.")
        sent = headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), csrf_token(cookie).encode()):
            raise Forbidden("The X-CSRF-Token header is missing or wrong. Reload the page.")


def _guarded(method: str, path: str) -> bool:
    under = path in {"/metrics", "/api"} or path.startswith("/api/")
    return under and (method, path) not in _OPEN
