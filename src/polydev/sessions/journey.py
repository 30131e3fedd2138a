"""What each step of a sign-in does. The order is in `polydev.sessions.steps`."""

import asyncio
import contextlib
from collections.abc import Generator

from polydev.domain.session import Reason, SessionState
from polydev.errors import (
    AgentError,
    CaptureRefused,
    Conflict,
    InvalidInput,
    MachineError,
    NotFound,
    PolydevError,
    SessionFailed,
    TooMany,
    VaultError,
)
from polydev.guest.client import AgentUnreachable
from polydev.guest.protocol import EventKind
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.providers.identity import identity_of
from polydev.providers.plan import login_plan, manifest
from polydev.providers.schema import Provider
from polydev.sessions.credentials import CredentialService
from polydev.sessions.deadlines import Deadlines
from polydev.sessions.ending import Ending
from polydev.sessions.login_watch import LoginWatch, last_words, reason_of
from polydev.sessions.lookup import session_of
from polydev.sessions.watchers import Watchers
from polydev.settings import Settings, Timeouts
from polydev.store.database import Database
from polydev.store.records import MachineRecord, SessionRecord
from polydev.store.repositories import sessions
from polydev.vault.service import Vault

_CANCEL_POLL_S = 1.0


class Journey:
    """The steps' bodies and what the workflow asks about a session."""

    def __init__(
        self,
        *,
        settings: Settings,
        db: Database,
        machines: MachineManager,
        catalog: Catalog,
        vault: Vault,
        credentials: CredentialService,
        watchers: Watchers,
    ) -> None:
        self._settings = settings
        self._db = db
        self._machines = machines
        self._catalog = catalog
        self._vault = vault
        self._credentials = credentials
        self._watchers = watchers
        self._login = LoginWatch(db, machines, watchers, settings.timeouts.machine_ready)
        self.ending = Ending(db, machines, watchers)
        self.deadlines = Deadlines(db, settings.timeouts)

    @property
    def timeouts(self) -> Timeouts:
        return self._settings.timeouts

    # The steps

    async def provision(self, session_id: str) -> None:
        """A ready browser machine is the session's own."""
        session = await self._session(session_id)
        if self._catalog.installed(self._provider(session).name) is None:
            raise SessionFailed(Reason.CLI_MISSING)
        try:
            if session.machine_id is not None:
                # Run again after a crash: what the first attempt got is used, if it still lives.
                if await self._machines.adopt(session.machine_id):
                    return
                await self._machines.destroy_machine(session.machine_id, "lost in a restart")
            await self._machines.take_browser(session.user_id, session_id)
        except TooMany as error:
            raise SessionFailed(Reason.NO_ROOM, detail=error.detail) from error
        except MachineError as error:
            raise SessionFailed(reason_of(error), detail=error.detail) from error

    async def start_login(self, session_id: str) -> None:
        """The tool's own login runs and has opened its page in the browser."""
        session, machine = await self._with_machine(session_id)
        provider = self._provider(session)
        async with self._login.agent(machine) as agent:
            status = await agent.login_status()
            if status.state == "idle":
                plan = login_plan(provider, assist=self._settings.assist)
                await agent.start_login(plan)
            elif status.url_opened or status.manifest_satisfied:
                return
            elif status.state == "exited":
                # Told to an earlier process, and so not told again.
                raise SessionFailed(Reason.CLI_EXITED_EARLY, detail=last_words(status.tail))
            async for event in self._login.told(session_id, machine, agent):
                match event.kind:
                    case EventKind.URL_OPENED | EventKind.MANIFEST_SATISFIED:
                        return
                    case EventKind.LOGIN_EXITED:
                        raise SessionFailed(
                            Reason.CLI_EXITED_EARLY, detail=last_words(event.data.get("tail"))
                        )
                    case _:
                        continue

    async def await_person(self, session_id: str) -> None:
        """The person has signed in: the tool has written files that pass their checks."""
        session, machine = await self._with_machine(session_id)
        time = self.deadlines.of_person(session_id)
        async with self._login.agent(machine) as agent:
            watching = asyncio.create_task(self._login.until_signed_in(session.id, machine, agent))
            try:
                while True:
                    left = await time.left()
                    if left <= 0:
                        raise SessionFailed(Reason.PERSON_ABSENT)
                    done, _ = await asyncio.wait({watching}, timeout=min(left, 5.0))
                    if done:
                        watching.result()
                        return
            finally:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError, PolydevError):
                    await watching

    async def capture(self, session_id: str) -> None:
        """The files are in the vault, encrypted, and the session names their credential."""
        if (await self._session(session_id)).credential_id is not None:
            return  # before a look at the machine: what was captured outlives it
        session, machine = await self._with_machine(session_id)
        provider = self._provider(session)
        async with self._login.agent(machine) as agent:
            await self._login.let_cli_finish(session_id, machine, agent)
            try:
                bundle = await agent.capture(manifest(provider))
            except CaptureRefused as error:
                raise SessionFailed(
                    Reason.CAPTURE_REFUSED, detail=f"{error.offender}: {error.detail}"
                ) from error
            except AgentUnreachable as error:
                raise SessionFailed(Reason.CAPTURE_UNANSWERED, detail=error.detail) from error
            except AgentError as error:
                raise SessionFailed(Reason.CREDENTIAL_INVALID, detail=error.detail) from error
        identity = identity_of(provider, bundle)
        try:
            async with self._db.transaction() as tx:
                stored = await self._vault.put(
                    tx, session.user_id, session.provider, bundle, identity
                )
                await sessions.set_credential(tx, session_id, stored.credential_id, identity)
                await sessions.add_event(
                    tx,
                    session_id,
                    "captured",
                    {
                        "version": stored.version,
                        "files": [
                            {
                                "path": file.path,
                                "size": len(file.content),
                                "mode": f"{file.mode:04o}",
                            }
                            for file in bundle.files
                        ],
                        "ciphertextSha256": stored.ciphertext_sha256,
                        "keyId": stored.key_id,
                    },
                )
        except (VaultError, Conflict) as error:
            raise SessionFailed(Reason.VAULT_FAILED, detail=error.detail) from error
        self._watchers.notify(session_id)

    async def deliver(self, session_id: str) -> None:
        """The files are in the person's CLI machine."""
        session = await self._session(session_id)
        if session.credential_id is None:
            raise SessionFailed(Reason.VAULT_FAILED, detail="the session names no credential")
        record = await self._cli_machine(session)
        with _credential_failures(Reason.DELIVERY_FAILED):
            await self._credentials.deliver_into(session.user_id, session.credential_id, record)
        async with self._db.transaction() as tx:
            await sessions.set_cli_machine(tx, session_id, record.id)
            await sessions.add_event(tx, session_id, "delivered", {"machineId": record.id})
        self._watchers.notify(session_id)

    async def verify(self, session_id: str) -> None:
        """The tool itself says, in the CLI machine, that it is signed in; the receipt is made."""
        session = await self._session(session_id)
        if session.credential_id is None:
            raise SessionFailed(Reason.VAULT_FAILED, detail="the session names no credential")
        try:
            with _credential_failures(Reason.VERIFICATION_UNANSWERED):
                credential = await self._credentials.verify(session.user_id, session.credential_id)
        except TooMany as error:
            raise SessionFailed(Reason.CLI_MACHINE_FAILED, detail=error.detail) from error
        if not credential.verified_ok:
            raise SessionFailed(Reason.VERIFICATION_FAILED, detail=credential.status_output)
        await self._credentials.make_receipt(session_id)
        self._watchers.notify(session_id)

    async def _cli_machine(self, session: SessionRecord) -> MachineRecord:
        """The person's CLI machine. On a full host it gets the browser machine's place, which has
        nothing left to do once its files are in the vault."""
        try:
            with contextlib.suppress(TooMany):
                return await self._machines.cli_machine(session.user_id)
            await self.ending.give_back(session.id, "its place was needed")
            return await self._machines.cli_machine(session.user_id)
        except (TooMany, MachineError) as error:
            raise SessionFailed(Reason.CLI_MACHINE_FAILED, detail=error.detail) from error

    # What the workflow asks

    async def enter(self, session_id: str, state: SessionState) -> None:
        """Go into a step's state; a step that runs again is in it already."""
        session = await self._session(session_id)
        if session.state is state:
            return
        async with self._db.transaction() as tx:
            await sessions.transition(tx, session_id, state)
        self._watchers.notify(session_id)

    async def cancel_requested(self, session_id: str) -> bool:
        return (await self._session(session_id)).cancel_requested_at is not None

    async def wait_for_cancel(self, session_id: str) -> None:
        """Return once somebody has asked to cancel, on this host or another."""
        while not await self.cancel_requested(session_id):
            await self._watchers.wait_cancel(session_id, timeout_s=_CANCEL_POLL_S)

    # Rows

    async def _session(self, session_id: str) -> SessionRecord:
        return await session_of(self._db, session_id)

    def _provider(self, session: SessionRecord) -> Provider:
        """Its file can be gone or broken since the session began."""
        try:
            return self._catalog.get(session.provider)
        except InvalidInput as error:
            raise SessionFailed(Reason.CLI_MISSING, detail=error.detail) from error

    async def _with_machine(self, session_id: str) -> tuple[SessionRecord, MachineRecord]:
        session = await self._session(session_id)
        if session.machine_id is None:
            raise SessionFailed(Reason.MACHINE_DIED, detail="the session names no machine")
        machine = await self._machines.get(session.machine_id)
        if not await self._machines.running(machine):
            raise SessionFailed(Reason.MACHINE_DIED)
        return session, machine


@contextlib.contextmanager
def _credential_failures(unreached: Reason) -> Generator[None]:
    """The reasons of what goes wrong with a stored credential; ``unreached``: its machine did
    not do or say what was asked."""
    try:
        yield
    except NotFound as error:
        raise SessionFailed(Reason.CREDENTIAL_REVOKED, detail=error.detail) from error
    except InvalidInput as error:
        raise SessionFailed(Reason.CLI_MISSING, detail=error.detail) from error
    except VaultError as error:
        raise SessionFailed(Reason.VAULT_FAILED, detail=error.detail) from error
    except (AgentError, MachineError, Conflict) as error:
        raise SessionFailed(unreached, detail=error.detail) from error
