"""The server: all services of one process, in the order in which they need each other."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import structlog

from polydev.egress.policy import EgressPolicy
from polydev.errors import SettingsError
from polydev.guest.ship import build_agent_tree
from polydev.listening import listen
from polydev.logs import configure_logging
from polydev.machines.driver import Driver
from polydev.machines.manager import MachineManager
from polydev.machines.sandbox.driver import SandboxDriver, SandboxOptions
from polydev.machines.sandbox.nesting import can_nest, find_bwrap
from polydev.machines.sandbox.root import Shared
from polydev.providers.catalog import Catalog
from polydev.sessions.credentials import CredentialService
from polydev.sessions.engine import Engine
from polydev.sessions.journey import Journey
from polydev.sessions.runs import RunService
from polydev.sessions.service import SessionService
from polydev.sessions.watchers import Watchers
from polydev.settings import Settings, make_state_dir
from polydev.single import only_server
from polydev.store.database import Database
from polydev.store.migrate import upgrade
from polydev.vault.audit_seal import AuditSeal
from polydev.vault.keyring import Keyring
from polydev.vault.opening import open_keyring
from polydev.vault.service import Vault

log = structlog.get_logger("polydev.server")

_PATTERNS = (
    "A host pattern is example.com, *.example.com, an address, or a network such as 203.0.113.0/24."
)
_OVERRIDES = 'It leads from a host name to "address:port".'
_SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Services:
    """What the API is made of. One a process."""

    settings: Settings
    db: Database
    keyring: Keyring
    vault: Vault
    catalog: Catalog
    machines: MachineManager
    sessions: SessionService
    credentials: CredentialService
    runs: RunService


def database_url(settings: Settings) -> str:
    """Where the tables are: the setting, else a SQLite file in the state directory."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{settings.state_dir / 'polydev.db'}"


def egress_policy(settings: Settings) -> EgressPolicy:
    """What the guests may reach.

    Raises:
        SettingsError: names the setting whose pattern or address is wrong.
    """
    egress = settings.egress
    for field in ("allow", "deny", "testing_resolve_override"):
        name = field.removeprefix("testing_")
        try:
            EgressPolicy(**{name: getattr(egress, field)})
        except ValueError as error:
            how = _OVERRIDES if name == "resolve_override" else _PATTERNS
            raise SettingsError(f"egress.{field}: {error}. {how}") from None
    return EgressPolicy(
        allow=egress.allow,
        deny=egress.deny,
        max_connections=egress.max_connections,
        max_bytes_total=egress.max_bytes,
        resolve_override=egress.testing_resolve_override,
    )


def make_driver(settings: Settings) -> Driver:
    """The driver that the settings name, given what all its machines share."""
    state = settings.state_dir
    shared = Shared(
        agent=build_agent_tree(state / "agents"),
        tools=settings.tools_dir,
        node=state / "node",
    )
    for folder in (shared.tools, shared.node):
        folder.mkdir(parents=True, exist_ok=True)
    extra = settings.egress.extra_ca
    extra_ca = extra.read_text(encoding="ascii") if extra is not None else None
    try:
        system_ca = _SYSTEM_CA.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{_SYSTEM_CA} cannot be read; install the ca-certificates package."
        ) from error
    sandbox = settings.machines.sandbox
    return SandboxDriver(
        SandboxOptions(
            state_dir=state,
            shared=shared,
            egress=egress_policy(settings),
            ca_bundle=system_ca + (extra_ca or ""),
            extra_ca=extra_ca,
            browser_sandbox=sandbox.browser_sandbox == "on"
            or (sandbox.browser_sandbox == "auto" and can_nest()),
            uid_base=sandbox.uid_base,
            uid_count=sandbox.uid_count,
        )
    )


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[Services]:
    """All services, started; at the end stopped, with CLI machines left running.

    Raises:
        SettingsError, VaultError: something must be mended first; nothing has been touched.
    """
    egress_policy(settings)
    find_bwrap()
    make_state_dir(settings)
    url = database_url(settings)
    async with contextlib.AsyncExitStack() as undo:
        undo.enter_context(only_server(settings.state_dir))
        keyring = await asyncio.to_thread(open_keyring, settings.key_file, url)
        await asyncio.to_thread(upgrade, url)
        db = Database(url)
        undo.push_async_callback(db.close)
        vault = Vault(db, keyring, settings.key_file.parent)
        await AuditSeal(db, keyring, settings.key_file.parent).begin()
        catalog = Catalog.load(settings)
        machines = MachineManager(settings, make_driver(settings), db, keyring)
        credentials = CredentialService(db, vault, machines, catalog)
        watchers = Watchers()
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
        await machines.reclaim()
        undo.push_async_callback(engine.close)
        await engine.start(journey)
        machines.pool.start()
        undo.push_async_callback(machines.close)
        yield Services(
            settings=settings,
            db=db,
            keyring=keyring,
            vault=vault,
            catalog=catalog,
            machines=machines,
            sessions=SessionService(db, engine, catalog, machines, watchers),
            credentials=credentials,
            runs=RunService(db, machines, catalog),
        )


async def serve(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        SettingsError: the address cannot be had, or as `running`; nothing has been touched.
    """
    # FastAPI and the routes take a while to import: not for `polydev --help`.
    from polydev.api.app import create_app
    from polydev.api.serving import PolydevServer

    configure_logging(settings.log_format, settings.log_level)
    async with contextlib.AsyncExitStack() as undo:
        sockets = [undo.enter_context(listener) for listener in listen(settings)]
        services = await undo.enter_async_context(running(settings))
        server = PolydevServer(create_app(services), settings)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        log.info("server.listening", url=settings.public_url)
        if ready is not None:
            ready.set()
        await server.serve(sockets=sockets)
    log.info("server.stopped")
