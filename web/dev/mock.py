"""A stand-in for the API, for the dashboard's screenshots: fixtures, no machines.

It answers in the real wire types and serves the built dashboard through the real code, so the
Content-Security-Policy is the one of the product. The cookie ``mock`` chooses a situation:
``empty``, ``down`` (every list fails), ``slow``, ``signedout``, ``single``.

    python web/dev/mock.py PORT [RFB_SOCKET]
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Cookie, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from polydev.api import schemas
from polydev.api.dashboard import add_dashboard
from polydev.api.problems import problem
from polydev.api.security import SecurityHeaders
from polydev.stream.relay import relay

sys.path.insert(0, str(Path(__file__).parent))
import fixtures

app = FastAPI()
Mock = Annotated[str, Cookie(alias="mock")]
KIND = {session_id: kind for kind, session_id in fixtures.SESSIONS.items()}
CONSOLE = "/api/auth/session/{sid}/console"
FORBIDDEN_TO_SINGLE = ("/api/tools", "/api/info", "/api/receipts", "/api/machines")


@app.middleware("http")
async def situations(request: Request, call_next):
    mock, path = request.cookies.get("mock", ""), request.url.path
    if path.startswith("/api/") and path not in ("/api/me", "/api/info"):
        if mock == "down":
            return problem(503, "unavailable", "The database does not answer. Try again shortly.")
        if mock == "slow":
            await asyncio.sleep(60)
    if mock == "single" and path.startswith(FORBIDDEN_TO_SINGLE):
        return problem(403, "single_session", "This link opens one sign-in only.")
    return await call_next(request)


@app.get("/api/me")
async def me(mock: Mock = "") -> Response:
    if mock == "signedout":
        return problem(401, "not_signed_in", "Sign in first.")
    answer = schemas.Me(
        user=fixtures.people().users[0],
        csrf_token="invented",  # noqa: S106 - it protects nothing here
        only_session_id=fixtures.SESSIONS["live"] if mock == "single" else None,
    )
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


@app.post("/api/login/redeem")
async def redeem(body: schemas.RedeemLink, mock: Mock = "") -> Response:
    del body
    if mock == "otherperson":
        return problem(
            409,
            "other_person",
            "mira is signed in in this browser, and this link is jonas's. "
            "Continue only if you are jonas.",
        )
    return problem(401, "link_spent", "This link was used before or has expired.")


@app.get("/api/info")
async def info() -> schemas.ServerInfo:
    return schemas.ServerInfo(version="0.1.0", driver="sandbox", pool_warm=1, pool_size=2)


@app.get("/api/tools")
async def tools(mock: Mock = "") -> schemas.ToolList:
    return schemas.ToolList(tools=[]) if mock == "empty" else fixtures.tools()


@app.get("/api/auth/sessions")
async def sessions(mock: Mock = "", state: str | None = None) -> schemas.SessionList:
    shown = [] if mock == "empty" else [fixtures.session(kind) for kind in fixtures.SESSIONS]
    shown = [view for view in shown if state in (None, view.state)]
    return schemas.SessionList(sessions=shown, next="more" if len(shown) > 4 else None)


@app.get("/api/auth/session/{sid}", response_model=schemas.SessionView)
async def session(sid: str) -> schemas.SessionView | Response:
    if sid not in KIND:
        return problem(404, "not_found", f"There is no session {sid}.")
    return fixtures.session(KIND[sid])


@app.get("/api/auth/session/{sid}/events")
async def events(sid: str, after: int = 0) -> Response:
    async def frames() -> AsyncIterator[str]:
        for event in fixtures.events(KIND[sid]):
            if event.seq > after:
                data = event.model_dump_json(by_alias=True)
                yield f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n"
        if fixtures.session(KIND[sid]).ended_at is None:
            await asyncio.sleep(3600)
        yield "event: end\ndata: {}\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


@app.post("/api/auth/session/{sid}/ticket")
async def ticket(sid: str) -> schemas.StreamTicket:
    return schemas.StreamTicket(
        ticket=secrets.token_urlsafe(24),
        websocket_path=f"/api/stream/{sid}/vnc",
        expires_at=fixtures.NOW,
    )


@app.post("/api/auth/session/{sid}/heartbeat", status_code=204)
async def heartbeat(sid: str) -> None:
    del sid


@app.get(CONSOLE)
@app.get("/api/machines/{sid}/console")
async def console(sid: str) -> schemas.ConsoleLog:
    del sid
    return schemas.ConsoleLog(machine_id=fixtures.BROWSER_MACHINE, text=fixtures.CONSOLE)


@app.get("/api/receipts")
async def receipts(mock: Mock = "") -> schemas.ReceiptList:
    return schemas.ReceiptList(receipts=[] if mock == "empty" else [fixtures.receipt()])


@app.get("/api/receipts/{rid}")
async def receipt(rid: str) -> schemas.ReceiptView:
    del rid
    return fixtures.receipt()


@app.get("/api/machines")
async def machines(mock: Mock = "", scope: str = "mine") -> schemas.MachineList:
    return schemas.MachineList(machines=[]) if mock == "empty" else fixtures.machines(scope)


@app.get("/api/keys")
async def keys(mock: Mock = "") -> schemas.ApiKeyList:
    return schemas.ApiKeyList(keys=[]) if mock == "empty" else fixtures.keys()


@app.post("/api/keys", status_code=201)
async def create_key(body: schemas.CreateApiKey) -> schemas.CreatedApiKey:
    first = fixtures.keys().keys[0].model_dump()
    return schemas.CreatedApiKey(**first | {"label": body.label, "key": "pdk_" + "invented" * 5})


@app.get("/api/users")
async def users() -> schemas.UserList:
    return fixtures.people()


@app.websocket("/api/stream/{sid}/vnc")
async def stream(websocket: WebSocket, sid: str) -> None:
    del sid
    if not any(p.startswith("ticket.") for p in websocket.scope["subprotocols"]):
        await websocket.close()
        return
    display = socket.socket(socket.AF_UNIX)
    display.setblocking(False)
    await asyncio.get_running_loop().sock_connect(display, RFB_SOCKET)
    await websocket.accept(subprotocol="binary")

    async def nothing() -> None: ...

    with display:
        await relay(websocket, display, nothing)


add_dashboard(app)
app.add_middleware(SecurityHeaders, https=False)

if __name__ == "__main__":
    RFB_SOCKET = sys.argv[2] if len(sys.argv) > 2 else ""
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
