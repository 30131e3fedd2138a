"""One TLS server that plays every provider, told apart by the Host header."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from tests.standins.acme_provider import play_acme
from tests.standins.anthropic import play_anthropic
from tests.standins.ca import CertificateFiles, write_certificates
from tests.standins.faults import Faults
from tests.standins.google import play_google
from tests.standins.openai import play_openai
from tests.standins.people import Person
from tests.standins.provider import Provider, World


@dataclass(frozen=True, slots=True)
class Seen:
    """One request; ``status`` is 0 if it was never answered. Neither query nor header is kept:
    both carry secrets."""

    method: str
    host: str
    path: str
    status: int


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # Signals belong to the test run or the demo, not to a server inside it.
        yield


class StandIn:
    """``async with StandIn() as s:`` serves on a free loopback port until the block ends.

    ``s.providers["codex"].oauth`` holds a provider's grants and knobs, ``s.faults`` its wrong
    answers, ``s.seen`` the requests so far, ``s.world.clock`` its time.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        people: Sequence[Person] = (),
    ) -> None:
        self.world = World(tuple(people) or (Person(),))
        self.providers: dict[str, Provider] = {
            provider.name: provider
            for play in (play_openai, play_anthropic, play_google, play_acme)
            for provider in [play(self.world)]
        }
        self.faults = Faults()
        self.seen: list[Seen] = []
        self._port = port
        self._directory = directory
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._routers = {
            host: Router(routes)
            for provider in self.providers.values()
            for host, routes in provider.hosts.items()
        }
        self._files: CertificateFiles | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def person(self) -> Person:
        return self.world.people[0]

    @property
    def hosts(self) -> list[str]:
        return list(self._routers)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def ca_pem(self) -> Path:
        assert self._files is not None, "the stand-in has not been started"
        return self._files.ca_pem

    def resolve_override(self) -> dict[str, str]:
        """Provider host name -> where it is played."""
        return dict.fromkeys(self.hosts, self.address)

    def paths(self, host: str) -> list[str]:
        """The paths asked for at one host, in order."""
        return [seen.path for seen in self.seen if seen.host == host]

    async def __aenter__(self) -> Self:
        if self._directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="standin-")
            self._directory = Path(self._temporary.name)
        self._files = write_certificates(self._directory, self.hosts)
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            ws="none",
            ssl_certfile=self._files.leaf_pem,
            ssl_keyfile=self._files.leaf_key,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            # A client's next request must not meet the end of a connection that idled too long.
            timeout_keep_alive=3600,
        )
        self._server = _Server(config)
        # The listener queues connections before the server's loop runs: no need to wait for it.
        self._task = asyncio.create_task(self._server.serve([listener]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._task is not None
        self.faults.clear()
        self._server.should_exit = True
        await self._task
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _host(scope)
        answered = False

        def seen(status: int) -> None:
            self.seen.append(Seen(scope["method"], host, scope["path"], status))

        async def watched(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                seen(message["status"])  # before whoever asked can know the answer
            await send(message)

        try:
            fault = self.faults.take(host, scope["path"])
            if fault is not None:
                await self.faults.play(fault, scope, receive, watched)
            elif router := self._routers.get(host):
                await router(scope, receive, watched)
            else:
                unknown = JSONResponse({"error": "not a host of the stand-in"}, status_code=421)
                await unknown(scope, receive, watched)
        finally:
            if not answered:
                seen(0)


def _host(scope: Scope) -> str:
    headers = dict(scope["headers"])
    return headers.get(b"host", b"").decode("ascii", "replace").partition(":")[0].lower()
