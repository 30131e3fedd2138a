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
from polydev.guest.agent.process import Child, find_program
from polydev.guest.agent.web import AgentProblem
from polydev.guest.codec import dumps
from polydev.guest.protocol import CODE_CLI_MISSING, ExecRequest

_CHUNK: Final = 16_384
_WAITING: Final = 16
"""Chunks read ahead of a slow client."""
_DRAIN_S: Final = 2.0
"""What has left a program's group may hold its output open: so long nothing came, it is over."""
_LONGEST_DRAIN_S: Final = 10.0
"""... and so long if something does come, as from a daemon that goes on talking."""


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
        return _Run(request, *_spawn(request, program, env)).lines()
    except OSError as error:
        raise AgentProblem(
            422, "cannot_start", f"{request.argv[0]} cannot be started: {error.strerror}"
        ) from None


def _spawn(request: ExecRequest, program: str, env: dict[str, str]) -> tuple[Child, int, int]:
    """The program, and the ends of its output and errors that we read.

    Its standard input is a file in memory: there is nobody who would have to feed a pipe.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:

        def pipe() -> tuple[int, int]:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            ours.callback(os.close, read_end)
            theirs.callback(os.close, write_end)
            return read_end, write_end

        out, their_out = pipe()
        err, their_err = pipe()
        stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
        theirs.callback(os.close, stdin)
        with os.fdopen(os.dup(stdin), "wb") as file:
            file.write(request.stdin)
        os.lseek(stdin, 0, os.SEEK_SET)
        fds = {0: stdin, 1: their_out, 2: their_err}
        argv = (program, *request.argv[1:])
        child = Child.spawn(argv, env, fds=fds, cwd=request.cwd)
        ours.pop_all()  # whoever reads them closes them
        return child, out, err


class _Run:
    def __init__(self, request: ExecRequest, child: Child, out: int, err: int) -> None:
        self._child = child
        self._request = request
        self._pipes = {"out": out, "err": err}
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_WAITING)
        self._left = request.max_output_bytes
        self._ended: str | None = None
        self._deadline = asyncio.get_running_loop().time() + request.timeout_s

    async def lines(self) -> AsyncIterator[bytes]:
        tasks: list[asyncio.Task[None]] = []
        try:
            tasks.append(asyncio.create_task(self._watchdog()))
            tasks.append(asyncio.create_task(self._gather()))
            while (item := await self._queue.get())[0] != "end":
                name, data = item
                yield dumps({name: base64.b64encode(data).decode()})
            last: dict[str, object] = {"exit": await self._child.exited}
            if self._ended is not None:
                last["ended"] = self._ended
            yield dumps(last)
        finally:
            self._child.send(signal.SIGKILL)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._child.exited

    async def _gather(self) -> None:
        readers = [asyncio.create_task(self._read(name, fd)) for name, fd in self._pipes.items()]
        try:
            # The end of its time kills it, so this wait ends.
            await asyncio.wait([self._child.exited])
            await self._drain(set(readers))
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        await self._queue.put(("end", b""))

    async def _drain(self, reading: set[asyncio.Task[None]]) -> None:
        """Read what is left. With its end its group is killed, so nothing of it keeps the pipes
        open; what has left the group could, and is not waited for: not after its time, and not
        for long, unless it is the client that is slow."""
        loop = asyncio.get_running_loop()
        longest = loop.time() + _LONGEST_DRAIN_S
        last = max(self._deadline, loop.time()) + _DRAIN_S
        before = None
        while reading and loop.time() < last:
            quiet = before == self._left or loop.time() >= longest
            if quiet and not self._queue.full():
                return
            before = self._left
            wait_s = min(_DRAIN_S, last - loop.time())
            _, reading = await asyncio.wait(reading, timeout=wait_s)

    async def _read(self, name: str, fd: int) -> None:
        stream = asyncio.StreamReader(limit=_CHUNK)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(fd, "rb", 0)
        )
        try:
            while data := await stream.read(_CHUNK):
                if self._left <= 0:
                    continue
                part, self._left = data[: self._left], self._left - len(data)
                await self._queue.put((name, part))
                if self._left <= 0:
                    self._stop("output")
        finally:
            transport.close()

    async def _watchdog(self) -> None:
        await asyncio.sleep(self._request.timeout_s)
        self._stop("timeout")

    def _stop(self, why: str) -> None:
        self._ended = why
        self._child.send(signal.SIGKILL)
