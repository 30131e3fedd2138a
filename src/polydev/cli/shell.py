"""`polydev shell`: an interactive terminal in your CLI machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from polydev.cli.base import provider_names, with_api
from polydev.cli.exits import Exit
from polydev.errors import InvalidInput

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from polydev.cli.client import Api

_PROTOCOL: Final = "polydev.pty.v1"
_MAX_MESSAGE: Final = 1 << 20


def add_to(app: typer.Typer) -> None:
    app.command()(shell)


def shell(
    provider: Annotated[
        str, typer.Argument(help="Which tool's environment.", autocompletion=provider_names)
    ],
) -> None:
    """Open a terminal in your CLI machine, where the tool is signed in.

    The exit code is the shell's. Enter, then "~." leaves a terminal that does not answer. What
    runs in there can draw on your screen, but it cannot reach your clipboard, files or keys.

    Example: polydev shell codex
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput(
            "`polydev shell` needs a terminal. For one prompt use `polydev run`.", field="terminal"
        )
    raise typer.Exit(with_api(lambda api: _shell(api, provider)))


async def _shell(api: Api, provider: str) -> int:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, WebSocketException
    from websockets.typing import Subprotocol

    from polydev.api.schemas import StreamTicket
    from polydev.cli.client import parse
    from polydev.cli.failures import Unreachable

    ticket = parse(
        StreamTicket, await api.post("/api/shell/ticket", {"provider": provider}, slow=True)
    )
    address = "ws" + api.server.removeprefix("http") + ticket.websocket_path
    try:
        async with connect(
            address,
            subprotocols=[Subprotocol(_PROTOCOL), Subprotocol(f"ticket.{ticket.ticket}")],
            origin=cast("Any", api.server),
            proxy=None if api.loopback else True,
            max_size=_MAX_MESSAGE,
            compression=None,
        ) as connection:
            with _raw_terminal():
                return await _relay(connection)
    except (InvalidHandshake, WebSocketException, OSError) as error:
        raise Unreachable(
            f"The terminal could not be opened at {api.server} ({type(error).__name__})."
        ) from None


async def _relay(connection: ClientConnection) -> int:
    from websockets.exceptions import ConnectionClosed

    loop = asyncio.get_running_loop()
    size = shutil.get_terminal_size()
    await connection.send(json.dumps({"columns": size.columns, "rows": size.lines}))
    outgoing: asyncio.Queue[bytes | str | None] = asyncio.Queue()
    escape = EscapeKey()

    def typed() -> None:
        try:
            data = os.read(sys.stdin.fileno(), 65536)
        except OSError:
            data = b""
        if data:
            outgoing.put_nowait(escape.feed(data))
        if not data or escape.leave:
            loop.remove_reader(sys.stdin.fileno())
            outgoing.put_nowait(None)

    def resized() -> None:
        now = shutil.get_terminal_size()
        outgoing.put_nowait(json.dumps({"resize": [now.columns, now.lines]}))

    loop.add_reader(sys.stdin.fileno(), typed)
    loop.add_signal_handler(signal.SIGWINCH, resized)
    receiving = asyncio.create_task(_receive(connection))
    sending = asyncio.create_task(_send(connection, outgoing))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            return int(Exit.INTERRUPTED)
        return receiving.result()
    except ConnectionClosed:
        return int(Exit.FAILED)
    finally:
        loop.remove_reader(sys.stdin.fileno())
        loop.remove_signal_handler(signal.SIGWINCH)
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


async def _send(connection: ClientConnection, outgoing: asyncio.Queue[bytes | str | None]) -> None:
    while (message := await outgoing.get()) is not None:
        if message:
            await connection.send(message)


async def _receive(connection: ClientConnection) -> int:
    """Draw what comes; returns the exit code."""
    from polydev.cli.terminal import ShellFilter

    screen = ShellFilter()
    async for message in connection:
        if isinstance(message, bytes):
            _write_all(sys.stdout.fileno(), screen.feed(message))
            continue
        with contextlib.suppress(ValueError, AttributeError):
            code = json.loads(message).get("exit")
            if isinstance(code, int):
                return code if 0 <= code <= 255 else int(Exit.FAILED)
    return int(Exit.FAILED)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class EscapeKey:
    """Finds "~." at the start of a line, as ssh does."""

    def __init__(self) -> None:
        self._seen = "line"
        self.leave = False

    def feed(self, data: bytes) -> bytes:
        """What to send on; sets ``leave`` when the person wants to go."""
        out = bytearray()
        for byte in data:
            if self._seen == "tilde":
                if byte == ord("."):
                    self.leave = True
                    return bytes(out)
                out += b"~"
                if byte == ord("~"):  # "~~" is one "~"
                    self._seen = "text"
                    continue
            elif self._seen == "line" and byte == ord("~"):
                self._seen = "tilde"
                continue
            self._seen = "line" if byte in b"\r\n" else "text"
            out.append(byte)
        return bytes(out)


@contextlib.contextmanager
def _raw_terminal() -> Generator[None]:
    """Every key goes through as it is; afterwards the terminal is as it was."""
    import termios
    import tty

    from polydev.cli.terminal import RESTORE

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        _write_all(sys.stdout.fileno(), RESTORE)
        # An answer that the machine made the terminal type must not reach the person's own shell.
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
