"""Sign-in sessions: start, watch, look at, cancel."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from polydev.api import schemas, sse, views
from polydev.api.deps import Anybody, Person, SessionId, Svc, Viewer
from polydev.api.standing import standing_of
from polydev.domain.session import SessionState
from polydev.errors import Conflict, NotFound
from polydev.store.records import SessionRecord
from polydev.store.repositories import sessions, web_logins
from polydev.stream.tickets import StreamKind, ticket_office

router = APIRouter(tags=["sign-in"])

_IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$"),
]


@router.post("/api/auth/start", summary="Start a sign-in, or find the one that is under way")
async def start_sign_in(
    body: schemas.StartRequest, who: Person, svc: Svc, idempotency_key: _IdempotencyKey = None
) -> schemas.StartResponse:
    """Answers at once; the rest shows in the session's events."""
    record = await svc.sessions.start(who.user_id, body.provider, idempotency_key)
    url = views.view_page(svc.settings.public_url, record.id)
    if who.via == "key" and record.ended_at is None:
        # The browser in which this is opened may not be signed in: let it see this session only.
        lifetime = timedelta(seconds=svc.settings.timeouts.session)
        async with svc.db.transaction() as tx:
            _, secret = await web_logins.create(
                tx, who.user_id, "link", lifetime, session_id=record.id
            )
        url = f"{url}#token={secret.reveal()}"
    return schemas.StartResponse(
        session_id=record.id, provider=record.provider, novncURL=url, browserIP=None
    )


@router.get("/api/auth/sessions", summary="Your sign-ins, newest first")
async def list_sessions(  # noqa: PLR0917 - FastAPI passes them by name
    who: Person,
    svc: Svc,
    provider: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = None,
    state: SessionState | None = None,
    after: Annotated[str | None, Query(pattern=r"^ses_[0-9a-z]{24}$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> schemas.SessionList:
    async with svc.db.reading() as tx:
        found = await sessions.list_of(
            tx, who.user_id, provider=provider, state=state, after=after, limit=limit + 1
        )
    shown = found[:limit]
    return schemas.SessionList(
        sessions=[views.session(record, svc.settings.public_url) for record in shown],
        next=shown[-1].id if len(found) > limit else None,
    )


@router.get("/api/auth/session/{sessionId}", summary="One sign-in")
async def get_session(session_id: SessionId, who: Viewer, svc: Svc) -> schemas.SessionView:
    return views.session(await _own(svc, who.user_id, session_id), svc.settings.public_url)


@router.get(
    "/api/auth/session/{sessionId}/events",
    summary="The timeline, once or as it grows",
    response_model=schemas.SessionEvents,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def get_session_events(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    session_id: SessionId,
    who: Viewer,
    svc: Svc,
    after: Annotated[
        int, Query(ge=0, le=2**53, description="Sequence number of the last event seen.")
    ] = 0,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="As `after`; wins over it.")
    ] = None,
) -> schemas.SessionEvents | Response:
    """With `Accept: text/event-stream` a stream: event = kind, id = seq, data = the event; it ends
    with the event `end` when the session has ended and its machine is gone."""
    await _own(svc, who.user_id, session_id)
    if sse.wanted(request):
        if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 17:
            after = int(last_event_id)
        source = svc.sessions.watch(who.user_id, session_id, after)
        guarded = standing_of(request.app).guard(who, source)
        return sse.stream(guarded, sse.stopping_of(request.app))
    async with svc.db.reading() as tx:
        records = await sessions.events(tx, who.user_id, session_id, after=after)
    return schemas.SessionEvents(events=[views.event(record) for record in records])


@router.post("/api/auth/session/{sessionId}/cancel", summary="End a sign-in")
async def cancel_session(session_id: SessionId, who: Viewer, svc: Svc) -> schemas.SessionView:
    record = await svc.sessions.cancel(who.user_id, session_id)
    return views.session(record, svc.settings.public_url)


@router.post("/api/auth/session/{sessionId}/ticket", summary="A ticket for the live view")
async def create_view_ticket(
    request: Request, session_id: SessionId, who: Viewer, svc: Svc
) -> schemas.StreamTicket:
    record = await _own(svc, who.user_id, session_id)
    if record.ended_at is not None:
        raise Conflict("This session has ended; there is nothing to look at any more.")
    issued = ticket_office(request.app).issue(
        StreamKind.VNC, session_id, user_id=who.user_id, via=who.via, login_id=who.login_id
    )
    return schemas.StreamTicket(
        ticket=issued.secret.reveal(),
        websocket_path=f"/api/stream/{session_id}/vnc",
        expires_at=issued.expires_at,
    )


@router.post(
    "/api/auth/session/{sessionId}/heartbeat", status_code=204, summary="A viewer's sign of life"
)
async def heartbeat_session(session_id: SessionId, who: Viewer, svc: Svc) -> None:
    await svc.sessions.heartbeat(who.user_id, session_id)


@router.get("/api/auth/session/{sessionId}/console", summary="Console log of the sign-in's machine")
async def get_session_console(session_id: SessionId, who: Anybody, svc: Svc) -> schemas.ConsoleLog:
    if who.only_session_id is not None:
        raise NotFound("There is no such session.")
    async with svc.db.reading() as tx:
        record = await sessions.any_get(tx, session_id)
    if record is None or (record.user_id != who.user_id and not who.admin):
        raise _no_session(session_id)
    if record.machine_id is None:
        raise NotFound("This session never had a machine, so there is no console log.")
    text = await svc.machines.console(record.machine_id)
    return schemas.ConsoleLog(machine_id=record.machine_id, text=text)


async def _own(svc: Svc, user_id: str, session_id: str) -> SessionRecord:
    async with svc.db.reading() as tx:
        record = await sessions.get(tx, user_id, session_id)
    if record is None:
        raise _no_session(session_id)
    return record


def _no_session(session_id: str) -> NotFound:
    return NotFound(f"There is no session {session_id}.")
