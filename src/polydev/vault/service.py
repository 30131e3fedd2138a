"""`Vault`: put a captured bundle in, get it out for delivery, erase it."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.credential import Bundle, Identity
from polydev.domain.ids import new_id
from polydev.errors import Conflict, CredentialTampered, NotFound, VaultError
from polydev.store.database import Database, after_commit
from polydev.store.models import CredentialRow, CredentialVersionRow
from polydev.vault.bundle import pack, unpack
from polydev.vault.cipher import Binding, Sealed, seal, unseal
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks

log = structlog.get_logger("polydev.vault")

_MEANWHILE = "This credential was changed by somebody else meanwhile. Try again."


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What may be said about a version that was just stored."""

    credential_id: str
    version: int
    key_id: str
    ciphertext_sha256: str


class Vault:
    """Every method takes the person; another person's credential does not exist."""

    def __init__(self, db: Database, keyring: Keyring, marks_folder: Path) -> None:
        self._db = db
        self._keyring = keyring
        self._marks = Marks(marks_folder, keyring)

    async def put(
        self, tx: AsyncSession, user_id: str, provider: str, bundle: Bundle, identity: Identity
    ) -> StoredVersion:
        """Encrypt and store a bundle as the next version of the person's credential.

        Raises:
            Conflict: somebody else stored a version meanwhile; nothing was written.
        """
        row = await tx.scalar(
            select(CredentialRow).where(
                CredentialRow.user_id == user_id,
                CredentialRow.provider == provider,
                CredentialRow.revoked_at.is_(None),
            )
        )
        if row is not None and self._marks.revoked(row.id):
            # An older database brought a revoked credential back: it ends again, for good.
            await self._erase(tx, row)
            row = None
        credential_id = row.id if row else new_id("cred")
        # Above the mark too: after a rollback the next version must not be taken for an old one.
        version = max(row.current_version, self._marks.known(row.id)) + 1 if row else 1
        binding = Binding(user_id, provider, credential_id, version, self._keyring.key_id)
        sealed = seal(self._keyring.kek(binding.key_id), binding, pack(bundle))
        tag = self._tag(binding, identity, sealed)
        if row is None:
            await self._insert(tx, binding, tag, identity)
        else:
            await self._advance(tx, row, version, tag, identity)
        tx.add(
            CredentialVersionRow(
                credential_id=credential_id,
                version=version,
                key_id=binding.key_id,
                wrapped_key=sealed.wrapped_key,
                ciphertext=sealed.ciphertext,
                created_at=datetime.now(UTC),
            )
        )
        await tx.flush()

        async def raise_mark() -> None:
            try:
                self._marks.raise_to(credential_id, version)
            except (OSError, VaultError):
                # The version is stored and good; the next read raises the mark.
                log.exception("vault.mark_not_raised", credential_id=credential_id)

        after_commit(tx, raise_mark)
        return StoredVersion(
            credential_id, version, binding.key_id, hashlib.sha256(sealed.ciphertext).hexdigest()
        )

    async def _insert(
        self, tx: AsyncSession, binding: Binding, tag: str, identity: Identity
    ) -> None:
        try:
            async with tx.begin_nested():
                tx.add(
                    CredentialRow(
                        id=binding.credential_id,
                        user_id=binding.user_id,
                        provider=binding.provider,
                        account=identity.account,
                        plan=identity.plan,
                        expires_at=identity.expires_at,
                        current_version=binding.version,
                        version_tag=tag,
                        created_at=datetime.now(UTC),
                    )
                )
        except IntegrityError:
            raise Conflict(_MEANWHILE) from None

    async def _advance(
        self, tx: AsyncSession, row: CredentialRow, version: int, tag: str, identity: Identity
    ) -> None:
        changed = await tx.execute(
            update(CredentialRow)
            .where(CredentialRow.id == row.id, CredentialRow.current_version == row.current_version)
            .values(
                current_version=version,
                version_tag=tag,
                account=identity.account,
                plan=identity.plan,
                expires_at=identity.expires_at,
                verified_at=None,
                verified_ok=None,
                status_output=None,
            )
            .returning(CredentialRow.id)
        )
        if changed.scalar_one_or_none() is None:
            raise Conflict(_MEANWHILE)

    async def get(self, user_id: str, credential_id: str) -> Bundle:
        """Decrypt the newest version. For delivery only.

        Raises:
            NotFound: no such credential of this person.
            VaultError: a row was edited, moved or rolled back, or the key is not the right one.
        """
        known = self._marks.known(credential_id)
        async with self._db.reading() as tx:
            row = await tx.get(CredentialRow, credential_id)
            if row is None or row.user_id != user_id or row.revoked_at is not None:
                raise NotFound(f"There is no credential {credential_id}.")
            bundle = await self._open(tx, row)
            self._marks.check(row.id, row.current_version, known)
            return bundle

    async def _open(self, tx: AsyncSession, row: CredentialRow) -> Bundle:
        version = await tx.get(CredentialVersionRow, (row.id, row.current_version))
        if version is None:
            raise CredentialTampered(
                f"Credential {row.id} has lost its version {row.current_version}. Sign in again."
            )
        binding = Binding(row.user_id, row.provider, row.id, row.current_version, version.key_id)
        sealed = Sealed(version.wrapped_key, version.ciphertext)
        kek = self._keyring.kek(version.key_id)
        identity = Identity(row.account, row.plan, row.expires_at)
        if not hmac.compare_digest(row.version_tag, self._tag(binding, identity, sealed)):
            raise CredentialTampered(
                f"Credential {row.id} is not what was stored: its row was changed. Sign in again; "
                "tell the operator."
            )
        return unpack(unseal(kek, binding, sealed))

    async def revoke(self, tx: AsyncSession, user_id: str, credential_id: str) -> None:
        """Erase every version's ciphertext and key; the row stays, revoked, for the record."""
        row = await tx.get(CredentialRow, credential_id)
        if row is None or row.user_id != user_id or row.revoked_at is not None:
            raise NotFound(f"There is no credential {credential_id}.")
        await self._erase(tx, row)

        async def mark() -> None:
            self._marks.revoke(credential_id)

        after_commit(tx, mark)

    async def _erase(self, tx: AsyncSession, row: CredentialRow) -> None:
        await tx.execute(
            delete(CredentialVersionRow).where(CredentialVersionRow.credential_id == row.id)
        )
        row.revoked_at = datetime.now(UTC)
        row.machine_id = None
        await tx.flush()

    async def verify_all(self) -> tuple[int, list[str]]:
        """Read every credential; (how many are whole, one line for each that is not)."""
        whole, broken = 0, list[str]()
        marks = self._marks
        async with self._db.reading() as tx:
            rows = await tx.scalars(select(CredentialRow).where(CredentialRow.revoked_at.is_(None)))
            for row in rows.all():
                known = marks.known(row.id)
                try:
                    await self._open(tx, row)
                    marks.check(row.id, row.current_version, known)
                    whole += 1
                except VaultError as error:
                    broken.append(error.person)
        return whole, broken

    def _tag(self, binding: Binding, identity: Identity, sealed: Sealed) -> str:
        """Binds what the row says in clear to the version that it points at."""
        digest = hashlib.sha256(sealed.wrapped_key + sealed.ciphertext).hexdigest()
        expires = identity.expires_at.astimezone(UTC).isoformat() if identity.expires_at else None
        said = [identity.account, identity.plan, expires, digest]
        message = json.dumps(said, separators=(",", ":")).encode()
        return self._keyring.tag(binding.encode("row") + b"\n" + message)
