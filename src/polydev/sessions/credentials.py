"""What can be done with a stored credential: deliver, prove, revoke; and the receipt."""

import asyncio
import shlex
from collections import defaultdict

import structlog

from polydev.errors import NotFound, PolydevError, VaultError
from polydev.guest.protocol import ExecRequest
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.providers.plan import status_exec
from polydev.providers.schema import Provider
from polydev.providers.status import StatusVerdict, judge
from polydev.sessions.delivery import Delivery, differ
from polydev.sessions.output import collect
from polydev.store.database import Database
from polydev.store.records import CredentialRecord, MachineRecord
from polydev.store.repositories import audit, credentials, receipts, sessions
from polydev.vault.service import Vault

log = structlog.get_logger("polydev.credentials")


class CredentialService:
    """Every method takes the person; another person's credential does not exist."""

    def __init__(
        self, db: Database, vault: Vault, machines: MachineManager, catalog: Catalog
    ) -> None:
        self._db = db
        self._vault = vault
        self._machines = machines
        self._catalog = catalog
        self._delivery = Delivery(db, vault, machines, catalog)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def deliver(self, user_id: str, credential_id: str) -> CredentialRecord:
        """Write the stored files into the person's CLI machine (started if need be), unless it has
        newer ones: those are stored instead."""
        await self._get(user_id, credential_id)
        machine = await self._machines.cli_machine(user_id)
        await self.deliver_into(user_id, credential_id, machine)
        return await self.verify(user_id, credential_id)

    async def deliver_into(self, user_id: str, credential_id: str, machine: MachineRecord) -> None:
        """The one place where a credential leaves the vault. Takes turns with `revoke`."""
        async with self._turns[user_id]:
            await self._delivery.deliver(await self._get(user_id, credential_id), machine)

    async def verify(self, user_id: str, credential_id: str) -> CredentialRecord:
        """Ask the tool itself, in the CLI machine, whether it is signed in; keep its answer.

        A row that is not what was stored, and a tool that is signed in to another account, is a
        "no" with its text: the person asked whether this credential works.
        """
        credential = await self._get(user_id, credential_id)
        try:
            await self._vault.check(user_id, credential_id)
        except VaultError as error:
            # Without the traceback: a row that was edited is no fault of the code.
            log.error("credential.refused", credential_id=credential_id, detail=error.detail)  # noqa: TRY400
            verdict = StatusVerdict(ok=False, text=error.person)
        else:
            provider = self._catalog.get(credential.provider)
            machine = await self._machines.cli_machine(user_id)
            verdict = _of_this_account(await self._ask(machine, provider), credential, provider)
        async with self._db.transaction() as tx:
            return await credentials.set_verified(
                tx,
                user_id,
                credential_id,
                ok=verdict.ok,
                output=verdict.text,
            )

    async def _ask(self, machine: MachineRecord, provider: Provider) -> StatusVerdict:
        request: ExecRequest = status_exec(provider)
        agent = self._machines.agent(machine)
        try:
            answer = await collect(agent.exec(request), max_bytes=request.max_output_bytes)
        finally:
            await agent.close()
        return judge(provider, answer.exit, answer.out, answer.err)

    async def revoke(self, user_id: str, credential_id: str) -> None:
        """Take the files out of the CLI machine, then erase them in the vault.

        Raises:
            AgentError, MachineError: the machine that holds the files could not be reached. Nothing
                was erased, so that "revoked" is never said of a credential that is still in use; a
                machine that is broken for good can be destroyed, and then this works.
        """
        async with self._turns[user_id]:
            await self._revoke(user_id, credential_id)

    async def _revoke(self, user_id: str, credential_id: str) -> None:
        credential = await self._get(user_id, credential_id)
        if credential.machine_id is not None:
            machine = await self._machines.cli_machine(user_id)
            await self._delivery.remove(credential, machine)
        async with self._db.transaction() as tx:
            await self._vault.revoke(tx, user_id, credential_id)
            await audit.append(
                tx, actor=user_id, action="credential.revoke", target=credential_id, data={}
            )

    async def make_receipt(self, session_id: str) -> None:
        """Record what was captured and where it went, from what the rows say. Idempotent."""
        async with self._db.transaction() as tx:
            session = await sessions.any_get(tx, session_id)
            if session is None or session.credential_id is None:
                raise PolydevError(f"Session {session_id} has nothing to receipt.")
            if session.receipt_id is not None:
                return
            credential = await credentials.get(tx, session.user_id, session.credential_id)
            captured = await sessions.last_event(tx, session_id, "captured")
            delivered = await sessions.last_event(tx, session_id, "delivered")
            if credential is None or captured is None or delivered is None:
                raise NotFound(f"There is no credential {session.credential_id}.")
            if credential.verified_at is None:
                raise PolydevError(f"Session {session_id} has not been verified.")
            provider = self._catalog.get(session.provider)
            gone_at = session.machine_gone_at  # already, where its place was needed
            body: dict[str, object] = {
                "provider": session.provider,
                "account": credential.account,
                "plan": credential.plan,
                "version": captured.data["version"],
                "files": captured.data["files"],
                "ciphertext_sha256": captured.data["ciphertextSha256"],
                "key_id": captured.data["keyId"],
                "browser_machine_id": session.machine_id,
                "cli_machine_id": session.cli_machine_id,
                "delivered_at": delivered.at.isoformat(),
                "verified_at": credential.verified_at.isoformat(),
                "status_command": shlex.join(provider.status.command),
                "status_output": credential.status_output or "",
                "machine_gone_at": gone_at.isoformat() if gone_at else None,
            }
            receipt_id = await receipts.insert(
                tx,
                user_id=session.user_id,
                session_id=session_id,
                credential_id=credential.id,
                body=body,
            )
            await sessions.set_receipt(tx, session_id, receipt_id)

    async def _get(self, user_id: str, credential_id: str) -> CredentialRecord:
        async with self._db.reading() as tx:
            record = await credentials.get(tx, user_id, credential_id)
        if record is None:
            raise NotFound(f"There is no credential {credential_id}.")
        return record


def _of_this_account(
    verdict: StatusVerdict, credential: CredentialRecord, provider: Provider
) -> StatusVerdict:
    """A "yes" of another account is a "no". A tool that names no account is believed."""
    if not verdict.ok or not differ(verdict.account, credential.account):
        return verdict
    return StatusVerdict(
        ok=False,
        text=f"{provider.title} is signed in as {verdict.account} in your CLI machine, but this "
        f"credential is {credential.account}'s. Deliver it again, or sign in again.",
        account=verdict.account,
        plan=verdict.plan,
    )
