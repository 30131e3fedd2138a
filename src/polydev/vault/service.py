"""`Vault`: put a captured bundle in, get it out for delivery, erase it."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from polydev.domain.credential import Bundle, Identity
from polydev.domain.ids import new_id
from polydev.errors import Conflict, CredentialTampered, NotFound, VaultError
from polydev.store.database import Database, after_commit
from polydev.store.models import CredentialRow, CredentialVersionRow
from polydev.vault.bundle import pack, top_level_keys, unpack
from polydev.vault.cipher import Binding, Sealed, seal, unseal
from polydev.vault.keyring import Keyring
from polydev.vault.marks import REVOKED, Marks

log = structlog.get_logger("polydev.vault")

_MEANWHILE = "This credential was changed by somebody else meanwhile. Try again."


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What may be said about a version that was just stored."""

    credential_id: str
    version: int
    key_id: str
    ciphertext_sha256: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Where a stored file lies in a home."""

    path: str
    keys: tuple[str, ...] = ()
    """Of a merged file: the top-level keys that are the credential's."""


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
        credential_id = row.id if row else new_id("cred")
        known = self._marks.known(credential_id)
        if row is not None and known == REVOKED:
            # An older database brought a revoked credential back: it ends again, for good.
            await self._erase(tx, row)
            row, credential_id, known = None, new_id("cred"), 0
        version = await self._next_version(tx, row, known)
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
        try:
            await tx.flush()
        except IntegrityError:
            raise Conflict(_MEANWHILE) from None

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

    async def _next_version(self, tx: AsyncSession, row: CredentialRow | None, known: int) -> int:
        """Above all that was there: the row may have been set back, the mark shows what a database
        restored since held, and the versions may be more than the row says."""
        if row is None:
            return 1
        newest = await tx.scalar(
            select(func.max(CredentialVersionRow.version)).where(
                CredentialVersionRow.credential_id == row.id
            )
        )
        return max(row.current_version, newest or 0, known) + 1

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
        """Decrypt the newest version. For delivery, and to compare with what is in a machine.

        Raises:
            NotFound: no such credential of this person.
            VaultError: a row was edited, moved or rolled back, or the key is not the right one.
        """
        known = self._marks.known(credential_id)
        async with self._db.reading() as tx:
            row = await self._row(tx, user_id, credential_id)
            bundle = await self._open(tx, row)
            self._marks.check(row.id, row.current_version, known)
            return bundle

    async def check(self, user_id: str, credential_id: str) -> None:
        """Hold the row against its tag and its mark, without decrypting. Raises as `get`."""
        known = self._marks.known(credential_id)
        async with self._db.reading() as tx:
            row = await self._row(tx, user_id, credential_id)
            await self._authentic(tx, row)
            self._marks.check(row.id, row.current_version, known)

    async def files(self, user_id: str, credential_id: str) -> tuple[StoredFile, ...]:
        """Where the stored files lie in a home, never what is in them. Raises as `get`."""
        bundle = await self.get(user_id, credential_id)
        return tuple(
            StoredFile(file.path, top_level_keys(file) if file.merge_json else ())
            for file in bundle.files
        )

    async def _row(self, tx: AsyncSession, user_id: str, credential_id: str) -> CredentialRow:
        row = await tx.get(CredentialRow, credential_id)
        if row is None or row.user_id != user_id or row.revoked_at is not None:
            raise NotFound(f"There is no credential {credential_id}.")
        return row

    async def _open(self, tx: AsyncSession, row: CredentialRow) -> Bundle:
        binding, sealed = await self._authentic(tx, row)
        return unpack(unseal(self._keyring.kek(binding.key_id), binding, sealed))

    async def _authentic(self, tx: AsyncSession, row: CredentialRow) -> tuple[Binding, Sealed]:
        """The version that the row points at, once the row's tag has been found to be right."""
        version = await tx.get(CredentialVersionRow, (row.id, row.current_version))
        if version is None:
            raise CredentialTampered(
                f"Credential {row.id} has lost its version {row.current_version}. Sign in again."
            )
        binding = Binding(row.user_id, row.provider, row.id, row.current_version, version.key_id)
        sealed = Sealed(version.wrapped_key, version.ciphertext)
        self._keyring.kek(version.key_id)  # a key that is not at hand is said to be that
        identity = Identity(row.account, row.plan, row.expires_at)
        if not hmac.compare_digest(row.version_tag, self._tag(binding, identity, sealed)):
            raise CredentialTampered(
                f"Credential {row.id} is not what was stored: its row was changed. Sign in again; "
                "tell the operator."
            )
        return binding, sealed

    async def revoke(self, tx: AsyncSession, user_id: str, credential_id: str) -> None:
        """Erase every version's ciphertext and key; the row stays, revoked, for the record."""
        row = await self._row(tx, user_id, credential_id)
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
