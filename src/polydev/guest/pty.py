"""Our end of a terminal in a machine."""

import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from polydev.domain.secret import Secret
from polydev.domain.session import Reason
from polydev.domain.text import clean
from polydev.errors import AgentError, SessionFailed
from polydev.guest import protocol
from polydev.guest.codec import dumps, loads
from polydev.guest.protocol import ProtocolError, PtyRequest
from polydev.guest.transport import CONNECT_TIMEOUT_S, AgentUnreachable, Dial

_MAX_MESSAGE: Final = 1 << 20


class Pty:
    """Iterate it for the program's output; ``exit`` is its code once the iteration has ended.

    `close` (or leaving the context) ends the program.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.exit: int | None = None

    @classmethod
    async def open(cls, dial: Dial, token: Secret, request: PtyRequest) -> Self:
        try:
            socket = await connect(
                f"ws://agent{protocol.PTY}",
                sock=await dial(),
                additional_headers={"Authorization": f"Bearer {token.reveal()}"},
                proxy=None,
                compression=None,
                max_size=_MAX_MESSAGE,
                ping_interval=None,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=2,
            )
            await socket.send(dumps(request).decode())
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            raise AgentUnreachable(
                "The machine's agent did not open a terminal.", detail=type(error).__name__
            ) from error
        return cls(socket)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    yield message
                elif self._ended(message):
                    return
        except ConnectionClosed as error:
            raise AgentUnreachable("The terminal's connection broke.") from error

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            raise AgentUnreachable("The terminal has ended.") from error

    async def resize(self, columns: int, rows: int) -> None:
        try:
            await self._socket.send(json.dumps({"resize": [columns, rows]}))
        except ConnectionClosed as error:
            raise AgentUnreachable("The terminal has ended.") from error

    async def close(self) -> None:
        await self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _ended(self, text: str) -> bool:
        """Whether this is the last message; raises when the program could not be started."""
        try:
            message = loads(text)
        except ProtocolError:
            return False
        fields = cast("dict[str, object]", message) if isinstance(message, dict) else {}
        code = fields.get("exit")
        if isinstance(code, int):
            self.exit = code
            return True
        if "code" not in fields:
            return False
        detail = clean(str(fields.get("detail", "")), max_chars=500)
        if fields["code"] == protocol.CODE_CLI_MISSING:
            raise SessionFailed(Reason.CLI_MISSING, detail=detail)
        raise AgentError(f"The terminal was refused: {detail}")
