"""What was last seen of the database, kept outside it: the newest version of each credential, and
the newest line of the audit log.

Whoever can restore an old copy of the database could bring back an old version or a revoked
credential, all rows fitting together. The mark beside the key file says more then, and the old row
is refused. In the same way an audit log that lost its last lines, or was chained anew as a whole,
does not lead to the line that was seen.

Order: the database commits, then the mark is raised. A crash between leaves the mark one behind,
which only means that a rollback of that one version would go unseen until the next read raises the
mark; it never makes a good version unreadable.
"""

import contextlib
import fcntl
import hmac
import json
import os
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from polydev.errors import CredentialRolledBack, VaultError
from polydev.vault.keyfile import MARKS, sync_folder
from polydev.vault.keyring import Keyring

REVOKED: Final = -1
"""The mark of a credential that was revoked: no version of it will ever be good again."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A line of the audit log by its number and its hash, which covers all lines before it."""

    seq: int
    hash: str


@dataclass(slots=True)
class Content:
    """What the file says."""

    versions: dict[str, int] = field(default_factory=dict[str, int])
    """Credential id -> newest version seen, or `REVOKED`."""
    audit: AuditLine | None = None


def marks_file(folder: Path) -> Path:
    """Where the marks of the key in this folder are."""
    return folder / MARKS


class Marks:
    """A small file, replaced whole; its content is authenticated by a key of the keyring.

    Several processes may share it: it is read anew each time, and written under a lock. It is made
    by `begin` only. Missing later, it is an error like a changed one: without it an older database
    would go unseen.
    """

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._path = marks_file(folder)
        self._keyring = keyring
        self.read()  # a file that is not there or not ours ends the start

    @classmethod
    def begin(cls, folder: Path, keyring: Keyring, content: Content | None = None) -> "Marks":
        """Write the file whatever was there: for an installation without credentials, and for
        `polydev.vault.accept`."""
        marks = cls.__new__(cls)
        marks._path, marks._keyring = marks_file(folder), keyring
        with marks._lock():
            marks._save(content or Content())
        return marks

    def read(self) -> Content:
        """All that the file says.

        Raises:
            VaultError: it is missing, or its content is not what was written with this key.
        """
        try:
            kept: Any = json.loads(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            raise VaultError(
                f"{self._path} is missing. It shows whether the database is an older copy, so "
                "Polydev does not go on without it. Restore it from your backup, or run `polydev "
                "vault accept-current`, which says what is given up."
            ) from None
        except (OSError, ValueError) as error:
            raise VaultError(f"{self._path} cannot be read; {_RESTORE}") from error
        fields = cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}
        tag = fields.pop("tag", None)
        if not isinstance(tag, str) or not hmac.compare_digest(
            tag.encode(), self._keyring.mark(_canonical(fields)).encode()
        ):
            raise VaultError(
                f"{self._path} does not belong to this key file or was changed; {_RESTORE}"
            )
        # Authenticated, so of the form that `_save` gave it.
        audit = fields["audit"]
        return Content(fields["marks"], AuditLine(*audit) if audit else None)

    def known(self, credential_id: str) -> int:
        """The newest version seen; 0 for none. To be asked *before* the row is read: a version
        stored between the two then looks newer than the mark, not older."""
        return self.read().versions.get(credential_id, 0)

    def check(self, credential_id: str, version: int, known: int) -> None:
        """Refuse a row that is older than what ``known`` said; raise the mark to a newer one."""
        if known == REVOKED:
            raise CredentialRolledBack(
                f"Credential {credential_id} was revoked, and an older database brought it back. "
                "Restore the newer database, or sign in again."
            )
        if version < known:
            raise CredentialRolledBack(
                f"Credential {credential_id} was rolled back: the database says version {version}, "
                f"but version {known} has been stored. Restore the newer database, or sign in "
                "again."
            )
        if version > known:
            self.raise_to(credential_id, version)

    def raise_to(self, credential_id: str, version: int) -> None:
        with self._changing() as marks:
            known = marks.versions.get(credential_id, 0)
            if known != REVOKED:
                marks.versions[credential_id] = max(known, version)

    def revoke(self, credential_id: str) -> None:
        """No version of it will ever be good again."""
        with self._changing() as marks:
            marks.versions[credential_id] = REVOKED

    def raise_audit_to(self, line: AuditLine) -> None:
        """This line was written; an older one changes nothing."""
        with self._changing() as marks:
            if marks.audit is None or marks.audit.seq < line.seq:
                marks.audit = line

    @contextlib.contextmanager
    def _lock(self) -> Generator[None]:
        lock = os.open(
            self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _changing(self) -> Generator[Content]:
        with self._lock():
            content = self.read()
            before = replace(content, versions=dict(content.versions))
            yield content
            if content != before:
                self._save(content)

    def _save(self, content: Content) -> None:
        audit = [content.audit.seq, content.audit.hash] if content.audit else None
        fields: dict[str, object] = {"marks": content.versions, "audit": audit}
        text = json.dumps(fields | {"tag": self._keyring.mark(_canonical(fields))})
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        sync_folder(self._path.parent)


_RESTORE: Final = (
    "restore it and the key file from the same backup, or run `polydev vault accept-current`, "
    "which says what is given up."
)


def _canonical(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
