"""Runs one program for the host and streams what it says."""

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Final

from polydev.guest.agent.environment import program_environment
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.process import find_program
from polydev.guest.agent.web import AgentProblem
from polydev.guest.codec import dumps
from polydev.guest.protocol import CODE_CLI_MISSING, ExecRequest

_CHUNK: Final = 16_384
_WAITING: Final = 16
"""Chunks read ahead of a slow client."""


async def execute(request: ExecRequest, layout: Layout) -> AsyncIterator[bytes]:
    """Start the program and return its output as NDJSON lines.

    Raises `AgentProblem` when it cannot be started. Whoever closes the iterator early ends the
    program and its process group.
    """
    env = program_environment(layout, request.env)
    program = find_program(request.argv[0], env)
    if program is None:
        raise AgentProblem(
            422, CODE_CLI_MISSING, f"{request.argv[0]} is not installed in this machine"
        )
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *request.argv[1:],
            env=env,
            cwd=request.cwd,
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise AgentProblem(
            422, "cannot_start", f"{request.argv[0]} cannot be started: {error.strerror}"
        ) from None
    return _Run(process, request).lines()


class _Run:
    def __init__(self, process: asyncio.subprocess.Process, request: ExecRequest) -> None:
        self._process = process
        self._request = request
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_WAITING)
        self._left = request.max_output_bytes
        self._ended: str | None = None

    async def lines(self) -> AsyncIterator[bytes]:
        tasks: list[asyncio.Task[None]] = []
        try:
            tasks.append(asyncio.create_task(self._feed()))
            tasks.append(asyncio.create_task(self._watchdog()))
            tasks.append(asyncio.create_task(self._gather()))
            while (item := await self._queue.get())[0] != "end":
                name, data = item
                yield dumps({name: base64.b64encode(data).decode()})
            code = await self._process.wait()
            last: dict[str, object] = {"exit": code}
            if self._ended is not None:
                last["ended"] = self._ended
            yield dumps(last)
        finally:
            self._kill()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._process.wait()

    async def _gather(self) -> None:
        process = self._process
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        readers = [
            asyncio.create_task(self._read("out", process.stdout)),
            asyncio.create_task(self._read("err", process.stderr)),
        ]
        try:
            await process.wait()
            # What it left running may hold its pipes open; its output ends with it all the same.
            self._kill()
            await asyncio.wait(readers, timeout=2)
        finally:
            for reader in readers:
                reader.cancel()
        await self._queue.put(("end", b""))

    async def _read(self, name: str, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(_CHUNK):
            if self._left <= 0:
                continue
            part, self._left = data[: self._left], self._left - len(data)
            await self._queue.put((name, part))
            if self._left <= 0:
                self._stop("output")

    async def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            stdin.write(self._request.stdin)
            await stdin.drain()
        with contextlib.suppress(OSError):
            stdin.close()

    async def _watchdog(self) -> None:
        await asyncio.sleep(self._request.timeout_s)
        self._stop("timeout")

    def _stop(self, why: str) -> None:
        self._ended = why
        self._kill()

    def _kill(self) -> None:
        # The group is the process's own: nothing else of the machine can be in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
