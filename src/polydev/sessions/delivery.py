"""Brings a stored credential into its CLI machine, without losing one that was refreshed there.

Tools refresh their credential where they use it, and most providers then take the older one for
stolen. So what lies in the machine comes first: a refreshed credential is stored, as a new version,
and stays where it is.

The row says which version a machine was given, before it is given. Whatever older lies there is
taken out before that. So at every moment, and after a crash at any, a machine whose row names the
newest version holds that version, a part of it, nothing, or what its tool has made of it; and never
what a tool made of an older one.
"""

import json
from typing import cast

import structlog

from polydev.domain.credential import Bundle, CapturedFile, Identity
from polydev.errors import AgentError, Conflict, MachineError, VaultError
from polydev.guest.client import AgentClient, AgentUnreachable
from polydev.guest.protocol import ManifestEntry
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.providers.identity import identity_of
from polydev.providers.plan import manifest
from polydev.store.database import Database
from polydev.store.records import CredentialRecord, MachineRecord
from polydev.store.repositories import audit, credentials
from polydev.vault.service import Vault

log = structlog.get_logger("polydev.delivery")

Manifest = tuple[ManifestEntry, ...]


class Delivery:
    """Its caller sees that a person's deliveries and removals take turns."""

    def __init__(
        self, db: Database, vault: Vault, machines: MachineManager, catalog: Catalog
    ) -> None:
        self._db = db
        self._vault = vault
        self._machines = machines
        self._catalog = catalog

    async def deliver(self, credential: CredentialRecord, machine: MachineRecord) -> None:
        """The machine holds the newest of what is stored and what its tool made of that.

        Raises:
            AgentError, MachineError: the machine does not answer, or refuses the files.
            VaultError: the stored credential is not what it must be. Nothing was changed.
            Conflict: a new sign-in was stored meanwhile.
        """
        if machine.user_id != credential.user_id:
            raise MachineError("This machine is not the person's own.")
        entries = manifest(self._catalog.get(credential.provider))
        stored = await self._vault.get(credential.user_id, credential.id)
        agent = self._machines.agent(machine)
        try:
            if _was_given_the_newest(credential, machine):
                found = await _captured(agent, entries)
                there = found is not None and self._is_of_the_same(credential, found)
                if found is not None and there:
                    if _changed(stored, found):
                        credential = await self._keep(credential, machine, found)
                        stored = found
                    there = len(found.files) >= len(stored.files)
            else:
                await agent.remove(entries)
                there = False
            await self._note(credential, machine)
            if not there:
                await agent.deliver(stored)
            await agent.watch(entries)
        finally:
            await agent.close()

    async def remove(self, credential: CredentialRecord, machine: MachineRecord) -> None:
        """Take the credential's files out of the machine.

        Raises:
            AgentError, MachineError: the machine does not answer.
            Conflict: nothing says any more which files they are.
        """
        entries = await self._entries(credential)
        agent = self._machines.agent(machine)
        try:
            await agent.remove(entries)
        finally:
            await agent.close()

    def _is_of_the_same(self, credential: CredentialRecord, found: Bundle) -> bool:
        """Whether it can be a refreshed one; a person may have signed in otherwise, by hand."""
        account = identity_of(self._catalog.get(credential.provider), found).account
        return not differ(account, credential.account)

    async def _keep(
        self, credential: CredentialRecord, machine: MachineRecord, found: Bundle
    ) -> CredentialRecord:
        """Store what the tool made of the credential. Files and row agree before and after."""
        said = identity_of(self._catalog.get(credential.provider), found)
        identity = Identity(
            said.account or credential.account, said.plan or credential.plan, said.expires_at
        )
        user_id = credential.user_id
        async with self._db.transaction() as tx:
            now = await credentials.get(tx, user_id, credential.id)
            if now is None or now.current_version != credential.current_version:
                raise Conflict("A new sign-in was stored meanwhile. Try again.")
            new = await self._vault.put(tx, user_id, credential.provider, found, identity)
            await audit.append(
                tx,
                actor=user_id,
                action="credential.refreshed",
                target=credential.id,
                data={"machine": machine.id, "version": new.version},
            )
            kept = await credentials.set_machine(
                tx, user_id, credential.id, machine.id, version=new.version
            )
        log.info("credential.refreshed", credential_id=credential.id, version=new.version)
        return kept

    async def _note(self, credential: CredentialRecord, machine: MachineRecord) -> None:
        # First the row, then the files: whatever cuts this short, a later revoke knows where to
        # look, and taking out what never arrived does no harm.
        version = credential.current_version
        async with self._db.transaction() as tx:
            await credentials.set_machine(
                tx, credential.user_id, credential.id, machine.id, version=version
            )
            await audit.append(
                tx,
                actor=credential.user_id,
                action="credential.deliver",
                target=credential.id,
                data={"machine": machine.id, "version": version},
            )

    async def _entries(self, credential: CredentialRecord) -> Manifest:
        """The provider's files as it is now and as it was: its definition may have changed, or be
        gone."""
        entries: dict[str, ManifestEntry] = {}
        if credential.provider in self._catalog.names():
            now = manifest(self._catalog.get(credential.provider))
            entries = {entry.path: entry for entry in now}
        try:
            for file in await self._vault.files(credential.user_id, credential.id):
                entry = ManifestEntry(path=file.path, only_keys=file.keys)
                entries.setdefault(file.path, entry)
        except VaultError as error:
            # What was stored is spoilt: all the more reason to let it be revoked.
            log.warning("credential.unreadable", credential_id=credential.id, detail=error.detail)
        if not entries:
            raise Conflict(
                f"There is no provider {credential.provider!r} any more and the stored credential "
                "cannot be read, so nothing says which files to take out of your CLI machine. Put "
                "the provider's file back, or destroy the CLI machine; then revoke."
            )
        return tuple(entries.values())


def differ(one: str | None, other: str | None) -> bool:
    """Whether two accounts are known and not the same."""
    return one is not None and other is not None and one.casefold() != other.casefold()


def _was_given_the_newest(credential: CredentialRecord, machine: MachineRecord) -> bool:
    given = credential.delivered_version if credential.machine_id == machine.id else None
    return given == credential.current_version


async def _captured(agent: AgentClient, entries: Manifest) -> Bundle | None:
    """What lies in the machine; None if it is gone or not what a credential must be."""
    try:
        return await agent.capture(entries)
    except AgentUnreachable:
        raise  # it may well be there
    except AgentError as error:
        log.info("credential.not_there", detail=error.detail)
        return None


def _changed(stored: Bundle, found: Bundle) -> bool:
    """Whether a file that was found says something else than the stored one."""
    known = {file.path: _meaning(file) for file in stored.files}
    return any(_meaning(file) != known.get(file.path) for file in found.files)


def _meaning(file: CapturedFile) -> object:
    """A merged file's keys come in any order."""
    if not file.merge_json:
        return file.content
    try:
        return cast("object", json.loads(file.content))
    except ValueError:
        return file.content
