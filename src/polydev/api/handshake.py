"""Who may open a stream: the subprotocols carry the ticket, and a browser its Origin."""

from __future__ import annotations

from typing import Final

from starlette.websockets import WebSocket

from polydev.api.security import Sites
from polydev.domain.secret import Secret
from polydev.errors import Forbidden, NotSignedIn, UserError
from polydev.stream.tickets import Grant, StreamKind, TicketOffice

_TICKET: Final = "ticket."


def admit(
    websocket: WebSocket,
    office: TicketOffice,
    sites: Sites,
    *,
    kind: StreamKind,
    target: str,
    subprotocol: str,
) -> Grant:
    """Check a WebSocket before it is accepted.

    A ticket that a cookie bought needs our own Origin; one that a key bought may come without
    any (programs send none), but not with a foreign one. Checked before the ticket is used up.
    """
    origins = websocket.headers.getlist("origin")
    if origins and not (len(origins) == 1 and _ours(websocket, sites)):
        raise Forbidden("Streams are opened only from this server's own pages.")
    offered: list[str] = websocket.scope.get("subprotocols", [])
    tickets = [name.removeprefix(_TICKET) for name in offered if name.startswith(_TICKET)]
    if len(tickets) != 1:
        raise NotSignedIn("A stream needs one ticket, as the subprotocol `ticket.<ticket>`.")
    if subprotocol not in offered:
        raise UserError(f"This stream speaks the subprotocol `{subprotocol}`.")
    grant = office.redeem(Secret(tickets[0]), kind, target)
    if grant.via == "cookie" and not origins:
        raise Forbidden("Streams are opened only from this server's own pages.")
    return grant


def _ours(websocket: WebSocket, sites: Sites) -> bool:
    return sites.origin_allowed(websocket.headers.get("origin"), websocket.headers.get("host"))
