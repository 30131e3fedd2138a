"""A terminal over a WebSocket: bytes both ways, resizes as text, the exit code at the end."""

import asyncio
import contextlib
import json
from typing import cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from polydev.guest.agent.environment import program_environment
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.process import find_program
from polydev.guest.agent.terminal import Terminal
from polydev.guest.codec import decode, loads
from polydev.guest.protocol import CODE_CLI_MISSING, ProtocolError, PtyRequest

_REQUEST_TIMEOUT_S = 10.0


async def serve_terminal(socket: WebSocket, layout: Layout) -> None:
    """Run the requested program until it ends or the client goes, which ends it."""
    await socket.accept()
    try:
        async with asyncio.timeout(_REQUEST_TIMEOUT_S):
            request = decode(PtyRequest, loads(await socket.receive_text()))
        terminal = _open(request, layout)
    except (ProtocolError, KeyError, TimeoutError, OSError) as error:
        await _refuse(socket, error)
        return
    except WebSocketDisconnect:
        return
    output = asyncio.create_task(_send_output(socket, terminal))
    typing = asyncio.create_task(_take_input(socket, terminal))
    try:
        await asyncio.wait([output, typing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        code = await terminal.close()
        for task in (output, typing):
            task.cancel()
        await asyncio.gather(output, typing, return_exceptions=True)
    if socket.client_state is WebSocketState.CONNECTED:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            await socket.send_text(json.dumps({"exit": code}))
            await socket.close()


def _open(request: PtyRequest, layout: Layout) -> Terminal:
    env = program_environment(layout, request.env, terminal=True)
    program = find_program(request.argv[0], env)
    if program is None:
        raise FileNotFoundError(2, "is not installed in this machine", request.argv[0])
    return Terminal(
        (program, *request.argv[1:]),
        env,
        cwd=request.cwd,
        columns=request.columns,
        rows=request.rows,
    )


async def _send_output(socket: WebSocket, terminal: Terminal) -> None:
    while data := await terminal.read():
        await socket.send_bytes(data)


async def _take_input(socket: WebSocket, terminal: Terminal) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("bytes"):
            terminal.write(cast("bytes", message["bytes"]))
        elif message.get("text"):
            _control(terminal, cast("str", message["text"]))


def _control(terminal: Terminal, text: str) -> None:
    """Only a resize is known; anything else of the client is not worth ending the terminal."""
    with contextlib.suppress(ProtocolError):
        match loads(text):
            case {"resize": [int(columns), int(rows)]}:
                if 0 < columns <= 2000 and 0 < rows <= 2000:
                    terminal.resize(columns, rows)
            case _:
                pass


async def _refuse(socket: WebSocket, error: Exception) -> None:
    code = "invalid"
    if isinstance(error, FileNotFoundError):
        code = CODE_CLI_MISSING
    detail = "no request came" if isinstance(error, KeyError | TimeoutError) else str(error)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        await socket.send_text(json.dumps({"code": code, "detail": detail}))
        await socket.close(1008)
