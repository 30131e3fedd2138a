"""Which URLs the `BROWSER` shim may have opened."""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

MAX_URL: Final = 8192


class UrlRefused(ValueError):
    """Says why; never repeats more of the URL than its host."""


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_login_url(url: str, hosts: tuple[str, ...]) -> str:
    """Return the URL's host, or raise `UrlRefused`.

    https to one of ``hosts`` (any host if there are none); http only to loopback, where tools run
    pages of their own.
    """
    if not 0 < len(url) <= MAX_URL:
        raise UrlRefused("the URL is empty or too long")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UrlRefused("the URL holds characters that are not allowed")
    parts, host = _split(url)
    if parts.username is not None or parts.password is not None:
        raise UrlRefused("the URL holds a user name")
    if parts.scheme == "http" and is_loopback(host):
        return host
    if parts.scheme != "https":
        raise UrlRefused("only https pages are opened")
    if hosts and host not in {allowed.lower() for allowed in hosts}:
        raise UrlRefused(f"{host} is not a sign-in host of this tool")
    return host


def _split(url: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        _ = parts.port
    except ValueError:
        raise UrlRefused("the URL is not well formed") from None
    if not host:
        raise UrlRefused("the URL has no host")
    return parts, host
