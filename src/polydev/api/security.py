"""What protects a browser that talks to us: headers, the Host check and the Origin check."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polydev.api.problems import RequestRefused
from polydev.settings import Settings

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

NONCE_PLACEHOLDER: Final = "__CSP_NONCE__"
"""In the dashboard's index.html; replaced at each answer. Mantine takes the nonce for the style
elements that it makes, so ``'unsafe-inline'`` is not needed. (Style *attributes* that scripts set
through the CSSOM, as React and noVNC do, are outside of CSP.)"""

_PROBES: Final = frozenset({"/health", "/livez", "/readyz"})
"""Load balancers ask these by address; they tell nothing that a foreign page could use."""

_API_CSP: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_PAGE_CSP: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'nonce-{nonce}'",
        # noVNC draws its cursor from data: URLs.
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        # 'self' covers WebSockets to the same host and port (CSP 3).
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "clipboard-read=(self), clipboard-write=(self), fullscreen=(self), "
    "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()",
}

_HSTS: Final = "max-age=31536000"


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


def page_csp(nonce: str) -> str:
    """The policy of the dashboard's page."""
    return _PAGE_CSP.format(nonce=nonce)


class SecurityHeaders:
    """Adds the headers to every answer; a route may have set its own CSP and caching."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", _API_CSP)
                headers.setdefault("Cache-Control", "no-store")
                if self._https:
                    headers["Strict-Transport-Security"] = _HSTS
            await send(message)

        await self._app(scope, receive, sending)


def plain_headers() -> list[tuple[bytes, bytes]]:
    """The headers of an answer that no application gave (see `polydev.api.connection`)."""
    named = {**_HEADERS, "Content-Security-Policy": _API_CSP, "Cache-Control": "no-store"}
    return [(name.lower().encode(), value.encode()) for name, value in named.items()]


class Sites:
    """Which names people may use for this server, from the settings.

    The Host check stops DNS rebinding: a foreign page's name that suddenly points at us is not
    one of ours. The Origin check stops foreign pages that use a person's cookie.
    """

    def __init__(self, settings: Settings) -> None:
        self._public = urlsplit(settings.public_url)
        self._hosts = LOOPBACK_NAMES | {_bare(self._public.netloc)}
        if settings.api.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = settings.api.host.lower()
            self._hosts |= {f"[{host}]" if ":" in host else host}

    @property
    def https(self) -> bool:
        return self._public.scheme == "https"

    def host_allowed(self, host: str | None) -> bool:
        return host is not None and _bare(host) in self._hosts

    def origin_allowed(self, origin: str | None, host: str | None) -> bool:
        """Whether ``origin`` is this site as the browser sees it (``null`` and none are not)."""
        if not origin or host is None or not self.host_allowed(host):
            return False
        if origin.lower() == f"{self._public.scheme}://{self._public.netloc}".lower():
            return True
        # The host and port under which this very request came; without TLS only if the public
        # address has none either, or the name never leaves this machine.
        same = origin.lower() == f"http://{host}".lower()
        return same and (not self.https or _bare(host) in LOOPBACK_NAMES)


def _bare(netloc: str) -> str:
    """The host of ``host:port``, lower case; brackets of an IPv6 address are kept."""
    netloc = netloc.lower()
    if netloc.startswith("["):
        return netloc.partition("]")[0] + "]"
    return netloc.partition(":")[0]


class HostCheck:
    """Refuses requests for a host name that is not ours."""

    def __init__(self, app: ASGIApp, *, allowed: Callable[[str | None], bool]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in _PROBES:
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or not self._allowed(hosts[0]):
                raise RequestRefused(
                    421,
                    "wrong_host",
                    "This server does not answer under that name. The operator can set "
                    "POLYDEV_API__PUBLIC_URL to the address that people use.",
                )
        await self._app(scope, receive, send)
