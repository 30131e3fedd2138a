"""A server without its API: real database, real DBOS, real vault; machines that are not there.

It can be killed and started again: what is not in the database or on the (fake) host is lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polydev.domain.session import SessionState
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.server import database_url
from polydev.sessions.credentials import CredentialService
from polydev.sessions.engine import Engine
from polydev.sessions.journey import Journey
from polydev.sessions.service import SessionService
from polydev.sessions.watchers import Watchers
from polydev.settings import Settings, load_settings
from polydev.store import migrate
from polydev.store.database import Database
from polydev.store.records import SessionRecord
from polydev.store.repositories import sessions, users
from polydev.vault.opening import open_keyring
from polydev.vault.service import Vault
from tests.fake_machines import FakeDriver, Host

ACME = Path(__file__).parent / "standins" / "acme"
PROVIDER = "acme"
PATIENCE_S = 60.0
"""How long a test waits for what should come soon, on a busy machine with a slow disk."""


class Installed(Catalog):
    """Every tool is installed."""

    def installed(self, name: str) -> str | None:
        self.get(name)
        return "1.0"


@dataclass
class Server:
    """The services of one process."""

    settings: Settings
    db: Database
    driver: FakeDriver
    vault: Vault
    machines: MachineManager
    engine: Engine
    journey: Journey
    credentials: CredentialService
    sessions: SessionService

    @classmethod
    def make(cls, settings: Settings, host: Host) -> "Server":
        keyring = open_keyring(settings.key_file, database_url(settings))
        migrate.upgrade(database_url(settings))
        db, driver, watchers = Database(database_url(settings)), FakeDriver(host), Watchers()
        vault = Vault(db, keyring, settings.key_file.parent)
        catalog = Installed.load(settings)
        machines = MachineManager(settings, driver, db, keyring)
        credentials = CredentialService(db, vault, machines, catalog)
        engine = Engine(settings, db)
        journey = Journey(
            settings=settings,
            db=db,
            machines=machines,
            catalog=catalog,
            vault=vault,
            credentials=credentials,
            watchers=watchers,
        )
        return cls(
            settings,
            db,
            driver,
            vault,
            machines,
            engine,
            journey,
            credentials,
            SessionService(db, engine, catalog, machines, watchers),
        )

    async def start(self) -> None:
        await self.machines.reclaim()
        await self.engine.start(self.journey)
        self.machines.pool.start()

    async def stop(self) -> None:
        await self.machines.close()
        await self.engine.close()
        self.driver.hang_up()
        await self.db.close()

    async def kill(self) -> None:
        """From now on nothing of it has an effect, whatever its tasks still do."""

        @contextlib.asynccontextmanager
        async def dead() -> AsyncIterator[Any]:
            raise ConnectionError("killed")
            yield

        self.db.transaction = dead
        self.driver.die()
        await self.machines.pool.close()
        await self.engine.close()
        await self.db.close()


@dataclass
class World:
    state_dir: Path
    host: Host = field(default_factory=Host)
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    server: Server = field(init=False)
    user_id: str = field(init=False)

    def new_server(self, **changed: Any) -> Server:
        """Of the next process; ``changed`` settings stay for those after it."""
        self.options |= changed
        settings = load_settings(state_dir=self.state_dir, providers_dir=ACME, **self.options)
        return Server.make(settings, self.host)

    async def up(self, **changed: Any) -> None:
        self.server = self.new_server(**changed)
        await self.server.start()

    async def kill(self) -> None:
        await self.server.kill()

    async def restart(self, **changed: Any) -> None:
        """``kill -9``, and a new server."""
        await self.kill()
        await self.up(**changed)

    async def person(self, name: str) -> str:
        async with self.server.db.transaction() as tx:
            return (await users.create(tx, name, "member")).id

    async def start(self, user_id: str | None = None) -> str:
        record = await self.server.sessions.start(user_id or self.user_id, PROVIDER, None)
        return record.id

    async def cancel(self, session_id: str) -> None:
        await self.server.sessions.cancel(self.user_id, session_id)

    async def session(self, session_id: str) -> SessionRecord:
        async with self.server.db.reading() as tx:
            record = await sessions.any_get(tx, session_id)
        assert record is not None
        return record

    async def until(self, session_id: str, state: SessionState) -> None:
        """Wait until the session is, or has been, in this state."""
        record = await self.session(session_id)
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.server.sessions.watch(record.user_id, session_id, 0):
                if event.kind == "state" and event.data["state"] == state.value:
                    return
        raise AssertionError(f"{session_id} was never {state.value}")

    async def over(self, session_id: str, *, timeout_s: float = PATIENCE_S) -> SessionRecord:
        """The session, once it has ended and its machine is gone."""
        record = await self.session(session_id)
        async with asyncio.timeout(timeout_s):
            async for _ in self.server.sessions.watch(record.user_id, session_id, 0):
                continue
        return await self.session(session_id)


MakeWorld = Callable[..., Awaitable[World]]


@contextlib.asynccontextmanager
async def session_world(state_dir: Path, **options: Any) -> AsyncIterator[World]:
    """Running, with one person. Without a pool, unless it is asked for."""
    options.setdefault("machines", {"pool_size": 0})
    world = World(state_dir, options=options)
    await world.up()
    world.user_id = await world.person("alice")
    try:
        yield world
    finally:
        await world.server.stop()
