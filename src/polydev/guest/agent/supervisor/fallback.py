"""Answers on the agent's socket once the agent itself is in a crash loop.

A tiny HTTP/1.1 server: health and logs, 503 for the rest. Without it, the host would only see a
socket that nobody accepts on.
"""

import asyncio
import hmac
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from polydev.guest import protocol
from polydev.guest.codec import dumps
from polydev.guest.protocol import Health

_MAX_HEAD: Final = 16_384
_HEAD_TIMEOUT_S: Final = 10.0


async def serve_fallback(
    listener: socket.socket,
    token: str,
    health: Callable[[], Health],
    log_of: Callable[[str], str],
) -> asyncio.Server:
    """Start to accept on ``listener`` in the agent's place."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = _answer(head, token, health, log_of)
            phrase = HTTPStatus(status).phrase
            writer.write(
                f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {kind}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return await asyncio.start_unix_server(handle, sock=listener, limit=_MAX_HEAD)


def _answer(
    head: bytes, token: str, health: Callable[[], Health], log_of: Callable[[str], str]
) -> tuple[int, str, bytes]:
    request, *lines = head.decode("latin-1").split("\r\n")
    words = request.split(" ")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    wanted = f"Bearer {token}".encode()
    if not hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), wanted):
        return _problem(401, "unauthorized", "the machine's token is missing or wrong")
    target = urlsplit(words[1] if len(words) > 2 else "")
    if target.path == protocol.HEALTH:
        return 200, "application/json", dumps(health())
    if target.path == protocol.LOGS:
        unit = parse_qs(target.query).get("unit", ["agent"])[0]
        return 200, "text/plain; charset=utf-8", log_of(unit).encode()
    return _problem(503, "agent_crash_loop", "the agent kept crashing; see health and logs")


def _problem(status: int, code: str, detail: str) -> tuple[int, str, bytes]:
    body = json.dumps({"code": code, "detail": detail}).encode()
    return status, "application/problem+json", body
