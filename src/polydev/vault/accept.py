"""Takes the database as it is for the newest: the way out when the marks are lost.

A person decides it (`polydev vault accept-current`), since it gives up what the marks are for.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from polydev.errors import VaultError
from polydev.store.database import Database
from polydev.store.models import CredentialRow
from polydev.store.repositories import audit
from polydev.vault.keyring import Keyring
from polydev.vault.marks import REVOKED, AuditLine, Content, Marks


@dataclass(frozen=True, slots=True)
class Lowered:
    """A credential whose newest version in the database is older than its mark."""

    credential_id: str
    version: int
    seen: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What would be accepted."""

    versions: dict[str, int]
    """The marks that would be written."""
    lost: str | None
    """Why the old marks cannot be read; None when they can."""
    missing: int
    """How many credentials the marks know that the database does not have."""
    lowered: tuple[Lowered, ...]
    shortened: bool
    """The audit log does not lead to the line that was last seen."""

    @property
    def credentials(self) -> int:
        return sum(version != REVOKED for version in self.versions.values())


async def survey(db: Database, keyring: Keyring, folder: Path) -> Survey:
    """Look at the database and at the marks, if they can be read. Changes nothing."""
    try:
        old, lost = Marks(folder, keyring).read(), None
    except VaultError as error:
        old, lost = Content(), error.person
    # What was revoked stays revoked, also where this database does not know of it.
    versions = {key: mark for key, mark in old.versions.items() if mark == REVOKED}
    lowered: list[Lowered] = []
    there: set[str] = set()
    async with db.reading() as tx:
        for row in await tx.scalars(select(CredentialRow).order_by(CredentialRow.id)):
            there.add(row.id)
            if row.revoked_at is not None:
                versions[row.id] = REVOKED
            elif row.id not in versions:
                versions[row.id] = row.current_version
                seen = old.versions.get(row.id, 0)
                if seen > row.current_version:
                    lowered.append(Lowered(row.id, row.current_version, seen))
        shortened = old.audit is not None and (
            await audit.hash_at(tx, old.audit.seq) != old.audit.hash
        )
    missing = len(old.versions.keys() - there)
    return Survey(versions, lost, missing, tuple(lowered), shortened)


async def accept(db: Database, keyring: Keyring, folder: Path, found: Survey) -> None:
    """Write the marks of what was surveyed, and a line of the audit log first. No server may be
    running meanwhile."""
    async with db.transaction() as tx:
        await audit.append(
            tx,
            actor="operator",
            action="vault.accept_current",
            target=None,
            data={
                "credentials": found.credentials,
                "missing": found.missing,
                "lowered": [row.credential_id for row in found.lowered],
                "marksLost": found.lost is not None,
                "auditShortened": found.shortened,
            },
        )
        last = await audit.last(tx)
    line = AuditLine(last.seq, last.hash) if last else None
    Marks.begin(folder, keyring, Content(found.versions, line))
