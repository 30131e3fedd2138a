"""What routes ask for: the services, the person, and ids of the right form."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Path, Request

from polydev.api.auth import Principal
from polydev.api.services import Services
from polydev.errors import Forbidden, NotFound, NotSignedIn

_RANDOM = "[0-9a-hjkmnp-tv-z]{24}$"

SessionId = Annotated[str, Path(alias="sessionId", pattern="^ses_" + _RANDOM)]
CredentialId = Annotated[str, Path(alias="id", pattern="^cred_" + _RANDOM)]
ReceiptId = Annotated[str, Path(alias="id", pattern="^rcpt_" + _RANDOM)]
MachineId = Annotated[str, Path(alias="id", pattern="^mac_" + _RANDOM)]
UserId = Annotated[str, Path(alias="id", pattern="^usr_" + _RANDOM)]
KeyId = Annotated[str, Path(alias="id", pattern="^key_" + _RANDOM)]


def services_of(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def anybody(request: Request) -> Principal:
    """Whoever is signed in, a single-session link included."""
    principal = getattr(request.state, "principal", None)
    if not isinstance(principal, Principal):
        # `auth.Authentication` guards by path; a route outside of it that asks for a person is a
        # mistake, and must fail closed.
        raise NotSignedIn("Sign in first.")
    return principal


def person(principal: Annotated[Principal, Depends(anybody)]) -> Principal:
    """A person with their whole account."""
    if principal.only_session_id is not None:
        raise Forbidden("This sign-in link shows one session only.")
    return principal


def admin(principal: Annotated[Principal, Depends(person)]) -> Principal:
    if principal.role != "admin":
        raise Forbidden("Only an administrator may do this.")
    return principal


def viewer(session_id: SessionId, principal: Annotated[Principal, Depends(anybody)]) -> Principal:
    """A person who may look at the session in the path, as far as their sign-in reaches."""
    if principal.only_session_id not in (None, session_id):
        raise NotFound("There is no such session.")
    return principal


Svc = Annotated[Services, Depends(services_of)]
Anybody = Annotated[Principal, Depends(anybody)]
Person = Annotated[Principal, Depends(person)]
Admin = Annotated[Principal, Depends(admin)]
Viewer = Annotated[Principal, Depends(viewer)]
