"""Machines without machines: a driver whose guests answer the agent's protocol over real sockets,
and misbehave on demand."""

import asyncio
import base64
import contextlib
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from polydev.domain.credential import CapturedFile
from polydev.domain.machine import Channel, MachineKind, MachineSpec
from polydev.errors import MachineGone
from polydev.guest import protocol
from polydev.guest.codec import decode, decode_bundle, dumps, loads
from polydev.guest.protocol import AgentEvent, EventKind, Health, LoginStatus, RemoveRequest
from polydev.machines.driver import Driver, DriverState, Exited, Finding, Leftover, Running

TOKEN_FILE = ".config/acme/token.json"


def token_file(account: str = "alice@example.test") -> CapturedFile:
    content = json.dumps({"access_token": "a", "refresh_token": "r", "account": account})
    return CapturedFile(TOKEN_FILE, 0o600, content.encode())


class Problem(Exception):
    """A guest's answer that is an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Hangs:
    """Places at which guests stop for ever: ``add`` one, and wait until somebody is there."""

    def __init__(self) -> None:
        self._places: set[str] = set()
        self._reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def add(self, place: str) -> None:
        self._places.add(place)

    def release(self, place: str) -> None:
        """Whoever stands there goes on."""
        self._places.discard(place)
        self._released[place].set()

    def holds(self, place: str) -> bool:
        return place in self._places

    def clear(self) -> None:
        self._places.clear()

    async def at(self, place: str) -> None:
        self._reached[place].set()
        if place in self._places:
            await self._released[place].wait()

    async def reached(self, place: str) -> None:
        async with asyncio.timeout(60):
            await self._reached[place].wait()


@dataclass
class Guest:
    """One incarnation of a machine: its agent, a login in it, its home."""

    spec: MachineSpec
    hangs: Hangs
    home: dict[str, bytes]
    login: str = "idle"
    url_opened: bool = False
    satisfied: bool = False
    denied: bool = False
    exit: int | None = None
    tail: tuple[str, ...] = ()
    events: list[AgentEvent] = field(default_factory=list[AgentEvent])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    logins: int = 0
    deliveries: int = 0
    auto: bool = True
    """The tool needs nobody: it signs in as soon as it has opened its page."""
    quits: str | None = None
    """The tool's last words, which it says instead of opening a page."""
    silent: bool = False
    """Its agent takes every call and answers none about its health."""
    status_ended: str | None = None
    """The limit that ended the status command."""

    def emit(self, kind: EventKind, **data: object) -> None:
        self.events.append(AgentEvent(len(self.events) + 1, 0.0, kind, data))
        self.news.set()
        self.news = asyncio.Event()

    def sign_in(self) -> None:
        """The person has done it: the tool writes its file and ends."""
        self.home[TOKEN_FILE] = token_file().content
        self.satisfied = True
        self.emit(EventKind.MANIFEST_SATISFIED)
        self.end(0)

    def end(self, code: int, *last_words: str, denied: bool = False) -> None:
        self.login, self.exit, self.tail, self.denied = "exited", code, last_words, denied
        self.emit(EventKind.LOGIN_EXITED, exit=code, tail=list(last_words))

    async def answer(self, method: str, target: str, body: bytes) -> AsyncIterator[bytes]:
        path = target.partition("?")[0]
        match method, path:
            case "GET", protocol.HEALTH:
                if self.silent:
                    await asyncio.Event().wait()
                await self.hangs.at(f"ready {self.spec.kind.value}")
                yield dumps(Health(True, self.spec.kind.value, (), 1.0))
            case "GET", protocol.LOGIN:
                yield self._login_status()
            case "POST", protocol.LOGIN:
                self._start_login()
                yield self._login_status()
            case "GET", protocol.EVENTS:
                await self.hangs.at("events")
                seq = int(target.partition("after=")[2] or 0)
                while True:
                    news = self.news
                    for event in self.events[seq:]:
                        seq = event.seq
                        yield dumps(event) + b"\n"
                    await news.wait()
            case "POST", protocol.CAPTURE:
                await self.hangs.at("capture")
                if TOKEN_FILE not in self.home:
                    raise Problem(409, protocol.CODE_NOT_COMPLETE)
                yield dumps({"files": (CapturedFile(TOKEN_FILE, 0o600, self.home[TOKEN_FILE]),)})
            case "POST", protocol.DELIVER:
                await self.hangs.at("deliver")
                files = decode_bundle(loads(body)).files
                self.deliveries += 1
                self.home |= {file.path: file.content for file in files}
                yield dumps({"written": tuple(file.path for file in files)})
            case "POST", protocol.REMOVE:
                gone = [
                    path
                    for path in decode(RemoveRequest, loads(body)).paths
                    if self.home.pop(path, None)
                ]
                yield dumps({"removed": tuple(gone)})
            case "POST", protocol.EXEC:
                await self.hangs.at("exec")
                yield self._status()
            case _:
                yield b"{}"

    def _login_status(self) -> bytes:
        return dumps(
            LoginStatus(
                self.login, self.url_opened, self.satisfied, self.exit, self.denied, self.tail
            )
        )

    def _start_login(self) -> None:
        self.login = "running"
        self.logins += 1
        self.emit(EventKind.LOGIN_STARTED)
        if self.quits is not None:
            self.end(1, self.quits)
        elif not self.hangs.holds("url"):
            self.url_opened = True
            self.emit(EventKind.URL_OPENED, host="login.acme.test")
            if self.auto:
                self.sign_in()

    def _status(self) -> bytes:
        there = self.home.get(TOKEN_FILE)
        answer = {"loggedIn": there is not None, "account": there and json.loads(there)["account"]}
        out = base64.b64encode(json.dumps(answer).encode()).decode()
        end = {"exit": 0 if there else 1}
        if self.status_ended is not None:
            end = {"exit": -9, "ended": self.status_ended}
        lines = [{"out": out}, end]
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@dataclass
class Host:
    """What outlives a server: its machines, and the homes of the persistent ones."""

    hangs: Hangs = field(default_factory=Hangs)
    guests: dict[str, Guest] = field(default_factory=dict[str, Guest])
    """By machine id; a stopped one is not in it."""
    homes: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    orphans: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    made: list[Guest] = field(default_factory=list[Guest])
    auto: bool = True
    quits: str | None = None
    status_ended: str | None = None

    def of(self, kind: MachineKind) -> list[Guest]:
        return [guest for guest in self.guests.values() if guest.spec.kind is kind]

    def the(self, kind: MachineKind) -> Guest:
        (guest,) = self.of(kind)
        return guest


class FakeDriver(Driver):
    """One server's hold on a host. After ``die`` nothing that it is told has an effect."""

    name = "fake"

    def __init__(self, host: Host) -> None:
        self.host = host
        self._dead = False
        self._talks: set[asyncio.Task[None]] = set()

    def die(self) -> None:
        self._dead = True
        self.hang_up()

    def hang_up(self) -> None:
        for talk in self._talks:
            talk.cancel()

    async def start(self, spec: MachineSpec) -> DriverState:
        await self.host.hangs.at("start")
        if self._dead:
            raise MachineGone("The server that asked for it was killed.")
        home = self.host.homes.setdefault(spec.machine_id, {}) if _persistent(spec) else {}
        guest = Guest(
            spec,
            self.host.hangs,
            home,
            auto=self.host.auto,
            quits=self.host.quits,
            status_ended=self.host.status_ended,
        )
        self.host.guests[spec.machine_id] = guest
        self.host.made.append(guest)
        return {"machine_id": spec.machine_id, "incarnation": spec.incarnation}

    def _guest(self, state: DriverState) -> Guest | None:
        guest = self.host.guests.get(str(state["machine_id"]))
        same = guest is not None and guest.spec.incarnation == state["incarnation"]
        return guest if same else None

    async def poll(self, state: DriverState) -> Running | Exited:
        return Running() if self._guest(state) else Exited("it has ended")

    async def dial(self, state: DriverState, channel: Channel) -> socket.socket:
        guest = self._guest(state)
        if guest is None:
            raise MachineGone("The machine is not running.")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        talk = asyncio.create_task(_talk(theirs, guest))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return ours

    async def stop(self, state: DriverState) -> None:
        if not self._dead and self._guest(state):
            del self.host.guests[str(state["machine_id"])]

    async def destroy(self, machine_id: str, state: DriverState | None) -> None:
        if not self._dead:
            self.host.guests.pop(machine_id, None)
            self.host.homes.pop(machine_id, None)

    async def console(self, machine_id: str, *, max_bytes: int = 65536) -> bytes:
        return b""

    async def forget_console(self, machine_id: str) -> None: ...

    async def leftovers(self, keep: frozenset[str]) -> list[Leftover]:
        found = self.host.guests.keys() | self.host.homes.keys()
        return [Leftover("machine", name) for name in sorted(found - keep)]

    async def remove_leftover(self, leftover: Leftover) -> Path | None:
        self.host.guests.pop(leftover.name, None)
        home = self.host.homes.pop(leftover.name, None)
        if home is None:
            return None
        self.host.orphans[leftover.name] = home
        return Path("/orphans") / leftover.name

    async def check_host(self) -> list[Finding]:
        return []


def _persistent(spec: MachineSpec) -> bool:
    return spec.kind is MachineKind.CLI


async def _talk(end: socket.socket, guest: Guest) -> None:
    """One request and its answer, as a stream that ends with the connection."""
    reader, writer = await asyncio.open_connection(sock=end)
    try:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            method, target = head.split(" ", 2)[:2]
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            parts = guest.answer(method.upper(), target, body)
            status = 200
            try:
                first = await anext(parts)
            except Problem as problem:
                status, first = problem.status, dumps({"code": problem.code, "detail": "no"})
            writer.write(f"HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n".encode() + first)
            async for part in parts:
                await writer.drain()
                writer.write(part)
    finally:
        writer.close()
