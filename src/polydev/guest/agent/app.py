"""The agent's routes: `polydev.guest.protocol` as HTTP, one line each to who does the work."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from polydev.guest import protocol
from polydev.guest.agent.browser.assist import Activity
from polydev.guest.agent.capture import NotComplete
from polydev.guest.agent.credentials import Credentials
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.execute import execute
from polydev.guest.agent.homefs import FileRefused
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.login_desk import LoginDesk
from polydev.guest.agent.machine import MachineView
from polydev.guest.agent.pty_socket import serve_terminal
from polydev.guest.agent.supervisor_link import SupervisorLink
from polydev.guest.agent.web import AgentProblem, StreamedLines, TokenGate, json_body
from polydev.guest.codec import decode, decode_bundle, decode_member, dumps, encode
from polydev.guest.protocol import (
    ExecRequest,
    LoginPlan,
    ManifestEntry,
    ProtocolError,
    RemoveRequest,
)


@dataclass(frozen=True, slots=True)
class Agent:
    """The parts behind the routes."""

    layout: Layout
    machine: MachineView
    events: EventLog
    link: SupervisorLink
    logins: LoginDesk
    credentials: Credentials
    activity: Activity

    # What the machine is and does

    async def health(self, request: Request) -> Response:
        wait = min(_number(request, "wait"), 30.0)
        health = await self.machine.settled(wait) if wait > 0 else self.machine.health()
        return JSONResponse(encode(health))

    async def stream_events(self, request: Request) -> Response:
        after = int(_number(request, "after"))

        async def lines() -> AsyncIterator[bytes]:
            async for event in self.events.follow(after):
                yield dumps(event)

        return StreamedLines(lines())

    async def logs(self, request: Request) -> Response:
        return PlainTextResponse(await self.link.log(request.query_params.get("unit", "agent")))

    async def note_activity(self, _: Request) -> Response:
        self.activity.touch()
        return JSONResponse({})

    # The login

    async def start_login(self, request: Request) -> Response:
        await self.logins.start(decode(LoginPlan, await json_body(request)))
        return JSONResponse(encode(self.logins.status()), 202)

    async def login_status(self, _: Request) -> Response:
        return JSONResponse(encode(self.logins.status()))

    async def end_login(self, _: Request) -> Response:
        await self.logins.end()
        return JSONResponse({})

    # Credential files

    async def capture(self, request: Request) -> Response:
        manifest = decode_member(ManifestEntry, await json_body(request), "manifest")
        files = encode(self.credentials.capture(manifest))
        return JSONResponse({"files": files}, headers={"cache-control": "no-store"})

    async def deliver(self, request: Request) -> Response:
        bundle = decode_bundle(await json_body(request))
        return JSONResponse({"written": self.credentials.deliver(bundle.files)})

    async def remove(self, request: Request) -> Response:
        asked = decode(RemoveRequest, await json_body(request))
        return JSONResponse({"removed": self.credentials.remove(asked)})

    async def watch(self, request: Request) -> Response:
        self.credentials.watch(decode_member(ManifestEntry, await json_body(request), "manifest"))
        return JSONResponse({})

    # Programs

    async def execute(self, request: Request) -> Response:
        asked = decode(ExecRequest, await json_body(request))
        return StreamedLines(await execute(asked, self.layout))

    async def terminal(self, socket: WebSocket) -> None:
        await serve_terminal(socket, self.layout)


def make_app(agent: Agent) -> TokenGate:
    app = Starlette(
        routes=[
            Route(protocol.HEALTH, agent.health),
            Route(protocol.EVENTS, agent.stream_events),
            Route(protocol.LOGS, agent.logs),
            Route(protocol.ACTIVITY, agent.note_activity, methods=["POST"]),
            Route(protocol.LOGIN, agent.start_login, methods=["POST"]),
            Route(protocol.LOGIN, agent.login_status, methods=["GET"]),
            Route(protocol.LOGIN, agent.end_login, methods=["DELETE"]),
            Route(protocol.CAPTURE, agent.capture, methods=["POST"]),
            Route(protocol.DELIVER, agent.deliver, methods=["POST"]),
            Route(protocol.REMOVE, agent.remove, methods=["POST"]),
            Route(protocol.WATCH, agent.watch, methods=["PUT"]),
            Route(protocol.EXEC, agent.execute, methods=["POST"]),
            WebSocketRoute(protocol.PTY, agent.terminal),
        ],
        exception_handlers={
            AgentProblem: _problem,
            ProtocolError: _not_understood,
            FileRefused: _refused,
            NotComplete: _not_complete,
            404: _no_route,
            405: _no_route,
            500: _fault,
        },
    )
    return TokenGate(app, agent.machine.config.token)


def _number(request: Request, name: str) -> float:
    try:
        value = float(request.query_params.get(name, 0))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ProtocolError(f"{name}: must be a number, 0 or more")
    return value


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, AgentProblem)  # noqa: S101
    return error.response()


async def _not_understood(_: Request, error: Exception) -> Response:
    return AgentProblem(400, "invalid", str(error)).response()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, FileRefused)  # noqa: S101
    extra = {"offender": error.offender}
    return AgentProblem(422, protocol.CODE_CAPTURE_REFUSED, str(error), **extra).response()


async def _not_complete(_: Request, error: Exception) -> Response:
    return AgentProblem(409, protocol.CODE_NOT_COMPLETE, str(error)).response()


async def _no_route(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return AgentProblem(status, "no_such_route", "there is no such route").response()


async def _fault(_: Request, error: Exception) -> Response:
    return AgentProblem(500, "fault", f"a fault of the agent: {type(error).__name__}").response()
