"""The dashboard's sign-in: a one-time link becomes a cookie."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.api import schemas, views
from polydev.api.auth import COOKIE, Principal, cookie_of, csrf_token
from polydev.api.deps import Anybody, Person, Svc
from polydev.api.gate import Gate
from polydev.api.security import Sites
from polydev.api.standing import standing_of
from polydev.domain.secret import Secret
from polydev.errors import Forbidden, NotSignedIn, OtherPerson
from polydev.store.records import UserRecord, WebLoginRecord
from polydev.store.repositories import audit, users, web_logins

router = APIRouter(tags=["dashboard sign-in"])

LINK_LIFETIME = timedelta(minutes=10)


@router.post("/api/login/link", summary="A one-time link that signs a browser in (API key only)")
async def create_login_link(who: Person, svc: Svc) -> schemas.LoginLink:
    if who.via != "key":
        # For the command line; a browser that is signed in has no use for one. (It can make an API
        # key, which is listed, audited and can be revoked; a link would be none of that.)
        raise Forbidden("A sign-in link is made with an API key: `polydev dashboard`.")
    async with svc.db.transaction() as tx:
        record, secret = await web_logins.create(tx, who.user_id, "link", LINK_LIFETIME)
    return schemas.LoginLink(
        url=f"{svc.settings.public_url}/login#token={secret.reveal()}",
        expires_at=record.expires_at,
    )


@router.post("/api/login/redeem", summary="Use a one-time link up: sets the cookie")
async def redeem_login_link(
    request: Request, response: Response, body: schemas.RedeemLink, svc: Svc
) -> schemas.Me:
    """Needs this server's own Origin. A link for one session, used where the same person is
    signed in already, leaves that wider sign-in as it is; where somebody else is, it is refused
    unless `replace` says that this is meant: nobody should sign their account into another
    person's by opening a link. The sign-in that is replaced ends."""
    sites = Sites(svc.settings)
    if not sites.origin_allowed(request.headers.get("origin"), request.headers.get("host")):
        raise Forbidden("A sign-in link works only in this server's own pages.")
    before = cookie_of(request.headers)
    signed_in = await Gate(svc.db).by_cookie(Secret(before)) if before else None
    async with svc.db.transaction() as tx:
        link = await web_logins.redeem_link(tx, body.token)
        user = await users.get(tx, link.user_id) if link else None
        if link is None or user is None or user.disabled_at is not None:
            raise NotSignedIn(
                "This sign-in link is not valid: it works once and for a short time. "
                "Ask for a new one."
            )
        if signed_in is not None and _covers(signed_in, link):
            return _me(user, signed_in.csrf_token, None)
        if signed_in is not None:
            if signed_in.user_id != user.id and not body.replace:
                # Raised in the transaction: the link stays good.
                raise await _other_person(tx, signed_in, user)
            await web_logins.revoke(tx, signed_in.login_id)
        lifetime = _lifetime(svc, link)
        _, secret = await web_logins.create(
            tx, user.id, "cookie", lifetime, session_id=link.session_id
        )
        await audit.append(
            tx, actor=user.id, action="login", target=link.session_id, data={"link": link.id}
        )
    standing_of(request.app).announce()
    response.set_cookie(
        COOKIE,
        secret.reveal(),
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=sites.https,
        httponly=True,
        samesite="strict",
    )
    return _me(user, csrf_token(secret.reveal()), link.session_id)


@router.post("/api/logout", status_code=204, summary="End this dashboard sign-in")
async def logout(request: Request, response: Response, who: Anybody, svc: Svc) -> None:
    """Closes what was opened with it, too."""
    if who.via != "cookie":
        raise Forbidden("An API key is not signed out; revoke it instead.")
    async with svc.db.transaction() as tx:
        await web_logins.revoke(tx, who.login_id)
    standing_of(request.app).announce()
    response.delete_cookie(
        COOKIE, path="/", secure=Sites(svc.settings).https, httponly=True, samesite="strict"
    )
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


@router.get("/api/me", summary="Who you are")
async def get_me(who: Anybody, svc: Svc) -> schemas.Me:
    async with svc.db.reading() as tx:
        user = await users.get(tx, who.user_id)
    if user is None:
        raise NotSignedIn("Sign in first.")
    return _me(user, who.csrf_token, who.only_session_id)


async def _other_person(tx: AsyncSession, here: Principal, link: UserRecord) -> OtherPerson:
    signed_in = await users.get(tx, here.user_id)
    name = signed_in.name if signed_in else "somebody else"
    return OtherPerson(
        f"{name} is signed in in this browser, and this link is {link.name}'s. "
        f"Continue only if you are {link.name}."
    )


def _covers(signed_in: Principal, link: WebLoginRecord) -> bool:
    """Whether a browser can do already what the link for one session would let it."""
    return (
        link.session_id is not None
        and signed_in.user_id == link.user_id
        and signed_in.only_session_id is None
    )


def _lifetime(svc: Svc, link: WebLoginRecord) -> timedelta:
    if link.session_id is None:
        return timedelta(days=svc.settings.api.cookie_days)
    # The session itself may last that long from now, and its result is worth a look.
    return timedelta(seconds=2 * svc.settings.timeouts.session)


def _me(user: UserRecord, csrf: str | None, only_session_id: str | None) -> schemas.Me:
    return schemas.Me(user=views.user(user), csrf_token=csrf, only_session_id=only_session_id)
