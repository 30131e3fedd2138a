"""High-water marks: the newest version of each credential, kept outside the database.

Whoever can restore an old copy of the database could bring back an old version or a revoked
credential, all rows fitting together. The mark beside the key file says more then, and the old row
is refused.

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
from pathlib import Path
from typing import Any, Final, cast

from polydev.errors import CredentialRolledBack, VaultError
from polydev.vault.keyfile import sync_folder
from polydev.vault.keyring import Keyring

_REVOKED: Final = -1


class Marks:
    """A small file, replaced whole; its content is authenticated by a key of the keyring.

    Several processes may share it: it is read anew each time, and written under a lock.
    """

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._path = folder / "versions.json"
        self._keyring = keyring
        self._load()  # a file that is not ours ends the start

    def known(self, credential_id: str) -> int:
        """The newest version seen; 0 for none. To be asked *before* the row is read: a version
        stored between the two then looks newer than the mark, not older."""
        return self._load().get(credential_id, 0)

    def revoked(self, credential_id: str) -> bool:
        return self.known(credential_id) == _REVOKED

    def check(self, credential_id: str, version: int, known: int) -> None:
        """Refuse a row that is older than what ``known`` said; raise the mark to a newer one."""
        if known == _REVOKED:
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
            known = marks.get(credential_id, 0)
            if known != _REVOKED:
                marks[credential_id] = max(known, version)

    def revoke(self, credential_id: str) -> None:
        """No version of it will ever be good again."""
        with self._changing() as marks:
            marks[credential_id] = _REVOKED

    @contextlib.contextmanager
    def _changing(self) -> Generator[dict[str, int]]:
        lock = os.open(
            self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            marks = self._load()
            before = dict(marks)
            yield marks
            if marks != before:
                self._save(marks)
        finally:
            os.close(lock)

    def _load(self) -> dict[str, int]:
        try:
            kept: Any = json.loads(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise VaultError(f"{self._path} cannot be read; restore it from backup.") from error
        fields = cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}
        marks, tag = fields.get("marks"), fields.get("tag")
        if (
            not isinstance(marks, dict)
            or not isinstance(tag, str)
            or not hmac.compare_digest(
                tag.encode(), self._keyring.mark(_canonical(cast("object", marks))).encode()
            )
        ):
            raise VaultError(
                f"{self._path} does not belong to this key file or was changed. Restore both from "
                "the same backup."
            )
        return cast("dict[str, int]", marks)

    def _save(self, marks: dict[str, int]) -> None:
        text = json.dumps({"marks": marks, "tag": self._keyring.mark(_canonical(marks))})
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


def _canonical(marks: object) -> bytes:
    return json.dumps(marks, sort_keys=True, separators=(",", ":")).encode()
