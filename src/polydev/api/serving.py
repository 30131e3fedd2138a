"""How uvicorn is set up for this application."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from polydev.api.connection import Connection
from polydev.settings import Settings

_MAX_MESSAGE: Final = 4 << 20
"""Bytes of one WebSocket message; the largest is a pasted clipboard."""


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.api.host,
        port=settings.api.port,
        http=Connection,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Which client it was is taken from the connection, never from a header anybody can send.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE,
        ws_per_message_deflate=False,
    )


class PolydevServer(uvicorn.Server):
    """uvicorn that tells open streams to end before it waits for them.

    Signals are the caller's business, so that services stop after it.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(server_config(app, settings))
        self._stopping: asyncio.Event = app.state.stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)

    @property
    def bound_port(self) -> int:
        """The port, once it listens (for port 0)."""
        server: Any = self.servers[0]
        return int(server.sockets[0].getsockname()[1])
