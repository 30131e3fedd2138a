"""The WebSockets: a session's display and a terminal. Both are let in by ticket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketState

from polydev.api.handshake import admit
from polydev.api.security import Sites
from polydev.api.services import Services
from polydev.api.sse import stopping_of
from polydev.api.standing import ENDED, standing_of
from polydev.domain.session import SessionState
from polydev.errors import NotFound, NotSignedIn, PolydevError
from polydev.store.repositories import machines
from polydev.stream.metrics import STREAMS
from polydev.stream.pty import PtyMessageError, parse_first, relay_pty
from polydev.stream.relay import ViewerProtocolError, relay
from polydev.stream.tickets import Grant, StreamKind, ticket_office

router = APIRouter()
log = structlog.get_logger("polydev.stream")

HEARTBEAT_S = 20.0
_FIRST_MESSAGE_S = 10.0
_CLOSE_S = 3.0

NORMAL, GOING_AWAY, REFUSED, FAULT, RESTART = 1000, 1001, 1003, 1011, 1012


@router.websocket("/api/stream/{session_id}/vnc")
async def stream_display(websocket: WebSocket, session_id: str) -> None:
    svc: Services = websocket.app.state.services
    grant = _admit(websocket, svc, StreamKind.VNC, session_id, "binary")
    await _still_allowed(websocket, grant)
    display = await svc.sessions.open_display(grant.user_id, session_id)
    with display:
        await websocket.accept(subprotocol="binary")
        with STREAMS.labels("vnc").track_inprogress():

            async def carry() -> tuple[int, str]:
                try:
                    await relay(websocket, display, lambda: svc.sessions.note_activity(session_id))
                except ViewerProtocolError:
                    return REFUSED, "binary only"
                return GOING_AWAY, "the display has gone"

            await _race(
                websocket,
                carry(),
                _until_over(svc, grant),
                _login_ended(websocket, grant),
                _viewer_alive(svc, grant),
                _until_stopping(websocket),
            )


@router.websocket("/api/stream/{machine_id}/pty")
async def stream_terminal(websocket: WebSocket, machine_id: str) -> None:
    svc: Services = websocket.app.state.services
    grant = _admit(websocket, svc, StreamKind.PTY, machine_id, "polydev.pty.v1")
    await _still_allowed(websocket, grant)
    async with svc.db.reading() as tx:
        machine = await machines.cli_machine_of(tx, grant.user_id)
    if machine is None or machine.id != machine_id:
        raise NotFound(f"There is no machine {machine_id}.")
    await websocket.accept(subprotocol="polydev.pty.v1")
    with STREAMS.labels("pty").track_inprogress():
        await _race(
            websocket,
            _terminal(websocket, svc, grant),
            _login_ended(websocket, grant),
            _until_stopping(websocket),
        )


@router.websocket("/{path:path}")
async def no_stream(websocket: WebSocket, path: str) -> None:
    del websocket, path
    raise NotFound("There is no stream at this address.")


async def _terminal(websocket: WebSocket, svc: Services, grant: Grant) -> tuple[int, str]:
    try:
        async with asyncio.timeout(_FIRST_MESSAGE_S):
            first = await websocket.receive()
        if first["type"] == "websocket.disconnect":
            return NORMAL, ""
        size = parse_first(first.get("text") or "")
        pty = await svc.runs.shell(grant.user_id, grant.provider or "", size.columns, size.rows)
        try:
            exit_code = await relay_pty(websocket, pty)
        finally:
            await asyncio.shield(pty.close())
        if exit_code is not None:
            await websocket.send_json({"exit": exit_code})
    except TimeoutError:
        return REFUSED, "the first message did not come"
    except PtyMessageError as error:
        return REFUSED, str(error)
    except PolydevError as error:
        log.warning("terminal.failed", code=error.code, detail=error.detail)
        return FAULT, error.person
    return NORMAL, ""


def _admit(
    websocket: WebSocket, svc: Services, kind: StreamKind, target: str, subprotocol: str
) -> Grant:
    return admit(
        websocket,
        ticket_office(websocket.app),
        Sites(svc.settings),
        kind=kind,
        target=target,
        subprotocol=subprotocol,
    )


async def _until_over(svc: Services, grant: Grant) -> tuple[int, str]:
    """Ends with the session's terminal state, not only when its machine has gone."""
    async with contextlib.aclosing(_events(svc, grant)) as events:
        async for state in events:
            if state.terminal:
                break
    return NORMAL, "the session has ended"


async def _events(svc: Services, grant: Grant) -> AsyncGenerator[SessionState]:
    async for event in svc.sessions.watch(grant.user_id, grant.target, 0):
        if event.kind == "state":
            yield SessionState(event.data["state"])


async def _viewer_alive(svc: Services, grant: Grant) -> tuple[int, str]:
    """While a viewer is open, the person's time is counted from now."""
    pause = min(HEARTBEAT_S, svc.settings.timeouts.person / 3)
    while True:
        await svc.sessions.heartbeat(grant.user_id, grant.target)
        await asyncio.sleep(pause)


async def _still_allowed(websocket: WebSocket, grant: Grant) -> None:
    if not await standing_of(websocket.app).holds(grant):
        raise NotSignedIn(ENDED)


async def _login_ended(websocket: WebSocket, grant: Grant) -> tuple[int, str]:
    await standing_of(websocket.app).until_ended(grant)
    return NORMAL, ENDED


async def _until_stopping(websocket: WebSocket) -> tuple[int, str]:
    await stopping_of(websocket.app).wait()
    return RESTART, "the server is stopping"


async def _race(websocket: WebSocket, *ways: Coroutine[Any, Any, tuple[int, str]]) -> None:
    """The first of several ways for a stream to end decides how it is closed."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # In the order given: when the display goes because the session ended, either will do.
    code, reason = _verdict(next(task for task in tasks if task in done))
    if websocket.client_state is not WebSocketState.DISCONNECTED:
        # The client may have gone meanwhile, or does not read what we send.
        with contextlib.suppress(RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await websocket.close(code, _short(reason))


def _verdict(task: asyncio.Task[tuple[int, str]]) -> tuple[int, str]:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, PolydevError):
        return NORMAL, error.person
    log.error("stream.fault", exc_info=error)
    return FAULT, "Polydev had a fault of its own"


def _short(reason: str) -> str:
    """A close frame has room for 123 bytes."""
    return reason.encode()[:120].decode("utf-8", "ignore")
