"""High-water marks: the newest version of each credential, kept outside the database.

Whoever can restore an old copy of the database could bring back an old version, all rows fitting
together. The mark beside the key file is newer then, and the old version is refused.

Order: the database commits, then the mark is raised. A crash between leaves the mark one behind,
which only means that a rollback of that one version would go unseen until the next read raises the
mark; it never makes a good version unreadable.
"""

import contextlib
import hmac
import json
import os
from pathlib import Path

from polydev.errors import VaultError
from polydev.vault.keyring import Keyring


class Marks:
    """A small file, replaced whole; its content is authenticated by a key of the keyring."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._path = folder / "versions.json"
        self._keyring = keyring
        self._marks = self._load()

    def check(self, credential_id: str, version: int) -> None:
        """Refuse a version older than one that was seen; raise the mark to a newer one."""
        known = self._marks.get(credential_id, 0)
        if version < known:
            raise VaultError(
                f"Credential {credential_id} was rolled back: the database says version {version}, "
                f"but version {known} has been stored. Restore the newer database, or revoke the "
                "credential and sign in again."
            )
        if version > known:
            self.raise_to(credential_id, version)

    def raise_to(self, credential_id: str, version: int) -> None:
        if self._marks.get(credential_id, 0) < version:
            self._marks[credential_id] = version
            self._save()

    def _load(self) -> dict[str, int]:
        try:
            kept = json.loads(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise VaultError(f"{self._path} cannot be read; restore it from backup.") from error
        marks: dict[str, int] = kept.get("marks", {})
        if not hmac.compare_digest(str(kept.get("tag", "")), self._keyring.mark(_canonical(marks))):
            raise VaultError(
                f"{self._path} does not belong to this key file or was changed. Restore both from "
                "the same backup."
            )
        return marks

    def _save(self) -> None:
        text = json.dumps(
            {"marks": self._marks, "tag": self._keyring.mark(_canonical(self._marks))}
        )
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


def _canonical(marks: dict[str, int]) -> bytes:
    return json.dumps(marks, sort_keys=True, separators=(",", ":")).encode()
