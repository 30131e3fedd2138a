"""The agent's view of its supervisor: a hello, then changes, and answers to its questions."""

import asyncio
import itertools
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from polydev.guest.agent.supervisor.link import AGENT_LINK_FD, Link, Message
from polydev.guest.codec import decode, decode_list
from polydev.guest.protocol import MachineConfig, UnitReport


@dataclass(frozen=True, slots=True)
class Hello:
    config: MachineConfig
    born: float
    """When the machine came up, on the monotonic clock that all its processes share."""
    notes: dict[str, object]
    """What the agent before this one asked the supervisor to keep."""


@dataclass(frozen=True, slots=True)
class BrowserPipe:
    """Our ends of one Chromium's debugging pipe; owned by whoever receives it."""

    generation: int
    display: str
    write_fd: int
    read_fd: int


class SupervisorLink:
    def __init__(self, end: socket.socket) -> None:
        self.hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self.on_units: Callable[[tuple[UnitReport, ...], dict[str, object]], None] | None = None
        self.on_browser: Callable[[BrowserPipe], None] | None = None
        self._early: list[tuple[Message, list[int]]] = []
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        self._link = Link(end, self._received, self._lost)

    @classmethod
    def inherited(cls) -> "SupervisorLink":
        return cls(socket.socket(fileno=AGENT_LINK_FD))

    def replay(self) -> None:
        """Deliver what came before the handlers were set."""
        early, self._early = self._early, []
        for message, fds in early:
            self._received(message, fds)

    def ready(self) -> None:
        self._link.send({"kind": "ready"})

    def browser_ready(self, generation: int) -> None:
        self._link.send({"kind": "browser_ready", "generation": generation})

    def note(self, name: str, value: object) -> None:
        """Have the supervisor keep a small value for the next agent. Never a secret."""
        self._link.send({"kind": "note", "name": name, "value": value})

    async def log(self, unit: str) -> str:
        number = next(self._numbers)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._link.send({"kind": "log", "id": number, "unit": unit})
        try:
            async with asyncio.timeout(5):
                return await answer
        finally:
            del self._asked[number]

    def _received(self, message: Message, fds: list[int]) -> None:
        match message:
            case {"kind": "hello"}:
                config = decode(MachineConfig, message.get("config"), "config")
                born = cast("float", message.get("born"))
                notes = cast("dict[str, object]", message.get("notes"))
                self.hello.set_result(Hello(config, born, notes))
            case {"kind": "units"} if self.on_units is not None:
                units = decode_list(UnitReport, message.get("units"), "units")
                self.on_units(units, cast("dict[str, object]", message.get("exits")))
            case {"kind": "browser", "generation": int(number)} if self.on_browser is not None:
                display = str(message.get("display") or ":0")
                self.on_browser(BrowserPipe(number, display, fds[0], fds[1]))
            case {"kind": "log", "id": int(number), "text": str(text)}:
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(text)
            case _:
                self._early.append((message, fds))

    def _lost(self) -> None:
        """Without a supervisor there is no machine to be the agent of."""
        os._exit(1)
