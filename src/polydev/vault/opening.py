"""Opens the vault's key and marks at a start, and makes them at the first one only.

A key that is made beside a filled database would open nothing in it, and marks that begin anew
would take an older database for the newest. So both are refused, before anything is written.
"""

import os
from pathlib import Path

from polydev.errors import VaultError, VaultKeyMissing
from polydev.store.held import held
from polydev.vault.keyfile import load_or_create
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks, marks_file


def open_keyring(key_file: Path, database_url: str) -> Keyring:
    """The keys of this installation, with their marks beside them.

    Synchronous. Raises, and then has written nothing:
        VaultError: the key file or the marks are missing where credentials exist, or the database
            where the marks know some; or they are not what they must be.
        VaultKeyMissing: stored credentials name a key that the key file does not hold.
        SettingsError: the database does not answer.
    """
    there = held(database_url)
    keyring = load_keyring(key_file, there.key_ids)
    marks = marks_file(key_file.parent)
    if not there.credentials and not os.path.lexists(marks):
        Marks.begin(key_file.parent, keyring)
    seen = Marks(key_file.parent, keyring).read().versions
    if seen and not there.credentials:
        raise VaultError(
            f"The database holds no credential, but {marks} has seen {len(seen)}: it is missing, "
            "or another one. Restore it from your backup, or run `polydev vault accept-current`, "
            "which says what is given up."
        )
    return keyring


def load_keyring(key_file: Path, key_ids: frozenset[str]) -> Keyring:
    """The keys, without a look at the marks; a new key only where ``key_ids`` is empty and there
    are no marks. Raises as `open_keyring`."""
    if key_ids and not os.path.lexists(key_file):
        raise VaultError(
            f"The key file {key_file} is missing, and the database holds credentials that only "
            "its key opens. Restore it from your backup. (Is it lost for good, so are they: move "
            "the database and the key's folder away and begin anew.)"
        )
    keyring = Keyring(load_or_create(key_file))
    unknown = sorted(key_id for key_id in key_ids if not keyring.has(key_id))
    if unknown:
        raise VaultKeyMissing(
            f"The key file {key_file} is not the one that belongs to this database: credentials in "
            f"it are encrypted with {', '.join(unknown)}, the file holds {keyring.key_id}. Restore "
            "the key file from your backup."
        )
    return keyring
