"""A vault on each kind of database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polydev.store.database import Database
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks
from polydev.vault.service import Vault
from tests.vault_rows import ROOT


@pytest.fixture
def reopen(db: Database, tmp_path: Path) -> Callable[..., Vault]:
    """The vault as a new process finds it."""

    def open_it(folder: str = "keys", root: bytes = ROOT) -> Vault:
        if not (tmp_path / folder).exists():
            (tmp_path / folder).mkdir(mode=0o700)
            Marks.begin(tmp_path / folder, Keyring(root))
        return Vault(db, Keyring(root), tmp_path / folder)

    return open_it


@pytest.fixture
def vault(reopen: Callable[..., Vault]) -> Vault:
    return reopen()
