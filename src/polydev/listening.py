"""The server's sockets: taken before anything else is touched."""

import contextlib
import errno
import socket
from typing import Any, Final

from polydev.errors import SettingsError
from polydev.settings import Settings

_BACKLOG: Final = 2048
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def listen(settings: Settings) -> list[socket.socket]:
    """Listen on every address that ``api.host`` stands for; connections wait from here on.

    A port that is only bound could still be taken by another that listens, so both are done.

    Raises:
        SettingsError: names `api.port` or `api.host`.
    """
    host, port = settings.api.host, settings.api.port
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "not a name"
        raise _wrong_host(host, why) from None
    with contextlib.ExitStack() as undo:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sockets.append(undo.enter_context(_listener(family, kind, protocol, address)))
            except OSError as error:
                # "localhost" may stand for an IPv6 address that this machine does not have.
                if error.errno not in _NOT_HERE:
                    raise _refused(host, port, error) from None
                missing = error
        if not sockets:
            raise _wrong_host(host, missing.strerror if missing else "no address")
        undo.pop_all()
        return sockets


def _listener(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _refused(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            f"api.port: Port {port} is taken at {host} by another program, maybe a Polydev that "
            "runs already. End it, or set POLYDEV_API__PORT to a free one."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SettingsError(
            f"api.port: Only root may listen on port {port}. Set POLYDEV_API__PORT to one from "
            "1024 on."
        )
    return _wrong_host(host, error.strerror)


def _wrong_host(host: str, why: str | None) -> SettingsError:
    return SettingsError(
        f"api.host: {host!r} is not an address of this machine ({why}). Set POLYDEV_API__HOST to "
        "127.0.0.1, or to 0.0.0.0 for all of its addresses."
    )
