"""The API with everything real but machines: two people, an admin, and things that are theirs."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import update

from polydev.api.app import create_app
from polydev.api.serving import PolydevServer
from polydev.domain.credential import Bundle, CapturedFile, Identity
from polydev.domain.ids import new_id
from polydev.domain.machine import Channel, MachineKind, MachineSpec
from polydev.domain.session import SessionState
from polydev.errors import MachineError, MachineGone
from polydev.machines.driver import Driver, DriverState, Exited, Finding, Leftover, Running
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.server import Services
from polydev.sessions.credentials import CredentialService
from polydev.sessions.runs import RunService
from polydev.sessions.service import SessionService
from polydev.sessions.watchers import Watchers
from polydev.settings import Settings, load_settings
from polydev.store import migrate
from polydev.store.database import Database
from polydev.store.models import CredentialRow
from polydev.store.records import Role
from polydev.store.repositories import keys, machines, receipts, sessions, users, web_logins
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks
from polydev.vault.service import Vault

ORIGIN = "http://127.0.0.1:4000"
PATIENCE_S = 60.0
"""How long a test waits for what should come at once, on a busy machine."""


class FakeDriver(Driver):
    """Machines without machines: `displays` gives a test the guest's end of each display."""

    name = "fake"

    def __init__(self) -> None:
        self.displays: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def start(self, spec: MachineSpec) -> DriverState:
        raise MachineError("This host makes no machines.", detail="the fake driver never does")

    async def poll(self, state: DriverState) -> Running | Exited:
        return Running()

    async def dial(self, state: DriverState, channel: Channel) -> socket.socket:
        if channel is not Channel.DISPLAY:
            raise MachineGone("Nothing listens.")
        ours, guest = socket.socketpair()
        ours.setblocking(False)
        guest.setblocking(False)
        self.displays.put_nowait(guest)
        return ours

    async def stop(self, state: DriverState) -> None: ...

    async def destroy(self, machine_id: str, state: DriverState | None) -> None: ...

    async def console(self, machine_id: str, *, max_bytes: int = 65536) -> bytes:
        return b"\x1b[31mhello\x07 from the console\n"

    async def forget_console(self, machine_id: str) -> None: ...

    async def leftovers(self, keep: frozenset[str]) -> list[Leftover]:
        return []

    async def remove_leftover(self, leftover: Leftover) -> None: ...

    async def check_host(self) -> list[Finding]:
        return []


class FakeEngine:
    """Starts no workflow; remembers which would have been."""

    def __init__(self) -> None:
        self.started: list[str] = []

    async def run(self, session_id: str) -> None:
        self.started.append(session_id)


@dataclass
class Person:
    """Somebody, their key, and the ids of what is theirs."""

    user_id: str
    key: str
    key_id: str
    session_id: str = ""
    machine_id: str = ""
    cli_machine_id: str = ""
    credential_id: str = ""
    receipt_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass
class World:
    services: Services
    app: FastAPI
    driver: FakeDriver
    watchers: Watchers
    engine: FakeEngine
    alice: Person = field(init=False)
    bob: Person = field(init=False)
    admin: Person = field(init=False)

    @property
    def db(self) -> Database:
        return self.services.db

    def client(self, **options: Any) -> httpx.AsyncClient:
        """In process. Streams need `serving`: this transport collects whole bodies."""
        options.setdefault("base_url", ORIGIN)
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, **options)

    def rebuild(self, services: Services) -> None:
        self.services = services
        self.app = create_app(services)

    async def person(self, name: str, role: Role = "member") -> Person:
        async with self.db.transaction() as tx:
            user = await users.create(tx, name, role)
            key, secret = await keys.create(tx, user.id, "test")
        return Person(user.id, secret.reveal(), key.id)

    async def person_with_things(self, name: str) -> Person:
        """A live session with its browser machine, a stored credential in a CLI machine, a
        receipt."""
        person = await self.person(name)
        async with self.db.transaction() as tx:
            session, _ = await sessions.start(
                tx, user_id=person.user_id, provider="codex", idempotency_key=None
            )
            machine = await self._machine(tx, person.user_id, MachineKind.BROWSER, session.id)
            cli = await self._machine(tx, person.user_id, MachineKind.CLI, None)
            for state in (
                SessionState.PROVISIONING,
                SessionState.STARTING_LOGIN,
                SessionState.AWAITING_USER,
            ):
                await sessions.transition(tx, session.id, state)
            stored = await self.services.vault.put(
                tx,
                person.user_id,
                "codex",
                Bundle((CapturedFile(".codex/auth.json", 0o600, b"{}"),)),
                Identity(account=f"{name}@example.test", plan="plus"),
            )
            await tx.execute(
                update(CredentialRow)
                .where(CredentialRow.id == stored.credential_id)
                .values(machine_id=cli)
            )
            receipt = await receipts.insert(
                tx,
                user_id=person.user_id,
                session_id=session.id,
                credential_id=stored.credential_id,
                body=receipt_body(name, machine, cli),
            )
        person.session_id, person.machine_id, person.cli_machine_id = session.id, machine, cli
        person.credential_id, person.receipt_id = stored.credential_id, receipt
        return person

    async def _machine(
        self, tx: Any, user_id: str, kind: MachineKind, session_id: str | None
    ) -> str:
        record = await machines.insert(
            tx,
            user_id=user_id,
            session_id=session_id,
            executor_id="local",
            kind=kind,
            driver="fake",
            incarnation=new_id("inc"),
        )
        await machines.set_driver_state(tx, record.id, record.incarnation, {"fake": 1})
        await machines.mark_ready(tx, record.id, record.incarnation)
        return record.id

    async def cookie_of(self, person: Person, *, session_id: str | None = None) -> str:
        async with self.db.transaction() as tx:
            _, secret = await web_logins.create(
                tx, person.user_id, "cookie", timedelta(hours=1), session_id=session_id
            )
        return secret.reveal()

    async def link_of(self, person: Person, *, session_id: str | None = None) -> str:
        async with self.db.transaction() as tx:
            _, secret = await web_logins.create(
                tx, person.user_id, "link", timedelta(minutes=5), session_id=session_id
            )
        return secret.reveal()

    async def end_session(self, session_id: str) -> None:
        async with self.db.transaction() as tx:
            await sessions.transition(tx, session_id, SessionState.CANCELLED)
            await sessions.set_machine_gone(tx, session_id)
        self.watchers.notify(session_id)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """A real server on a free port of the loopback; yields ``host:port``."""
        server = PolydevServer(self.app, self.services.settings)
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        # It listens already: what connects now is served as soon as uvicorn is up.
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            listener.close()


def live(address: str, **options: Any) -> httpx.AsyncClient:
    """A client of a server that is `serving`, as patient as the tests are."""
    return httpx.AsyncClient(
        base_url=f"http://{address}", timeout=PATIENCE_S, trust_env=False, **options
    )


async def cookie_headers(world: World, cookie: str) -> dict[str, str]:
    """What the dashboard's own pages send with a change."""
    headers = {"Cookie": f"polydev_session={cookie}", "Origin": ORIGIN}
    async with world.client(headers=headers) as client:
        token = (await client.get("/api/me")).json()["csrfToken"]
    return {**headers, "X-CSRF-Token": token}


def receipt_body(name: str, machine: str, cli: str) -> dict[str, Any]:
    at = "2026-01-02T03:04:05+00:00"
    return {
        "provider": "codex",
        "account": f"{name}@example.test",
        "plan": "plus",
        "version": 1,
        "files": [{"path": ".codex/auth.json", "size": 2, "mode": "0600"}],
        "ciphertext_sha256": "0" * 64,
        "key_id": "kek_0",
        "browser_machine_id": machine,
        "cli_machine_id": cli,
        "delivered_at": at,
        "verified_at": at,
        "status_command": "codex login status",
        "status_output": "Logged in",
        "machine_gone_at": None,
    }


def make_world(tmp_path: Path, **settings: Any) -> World:
    """Without people yet."""
    options: Settings = load_settings(state_dir=tmp_path, **settings)
    url = f"sqlite:///{tmp_path / 'polydev.db'}"
    migrate.upgrade(url)
    db, keyring, driver = Database(url), Keyring(b"k" * 32), FakeDriver()
    Marks.begin(tmp_path, keyring)
    vault, catalog, watchers = Vault(db, keyring, tmp_path), Catalog.load(options), Watchers()
    manager = MachineManager(options, driver, db, keyring)
    engine: Any = FakeEngine()
    services = Services(
        settings=options,
        db=db,
        keyring=keyring,
        vault=vault,
        catalog=catalog,
        machines=manager,
        sessions=SessionService(db, engine, catalog, manager, watchers),
        credentials=CredentialService(db, vault, manager, catalog),
        runs=RunService(db, manager, catalog),
    )
    return World(services, create_app(services), driver, watchers, engine)


@contextlib.asynccontextmanager
async def peopled_world(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    """With alice and bob, who each own one of everything, and an admin who owns nothing."""
    world = make_world(tmp_path, **settings)
    try:
        world.alice = await world.person_with_things("alice")
        world.bob = await world.person_with_things("bob")
        world.admin = await world.person("root", "admin")
        yield world
    finally:
        await world.db.close()
