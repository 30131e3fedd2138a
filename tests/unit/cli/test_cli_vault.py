"""`polydev vault accept-current`: asks, says what is given up, and opens the vault again."""

import asyncio
import json
from pathlib import Path

import pytest

from polydev.errors import VaultError
from polydev.single import only_server
from polydev.store.database import Database
from polydev.vault.opening import open_keyring
from polydev.vault.service import Vault
from tests.unit.cli.conftest import Polydev
from tests.vault_rows import person, put


@pytest.fixture
def keys(polydev: Polydev, own_home: Path) -> Path:
    """The keys' folder of an installation that holds one credential."""
    polydev("init", "--name", "ada")
    folder = own_home / "state" / "keys"

    async def fill() -> None:
        db = Database(url(own_home))
        await put(db, Vault(db, opened(own_home), folder), await person(db, "eve"))
        await db.close()

    asyncio.run(fill())
    return folder


def url(own_home: Path) -> str:
    return f"sqlite:///{own_home / 'state' / 'polydev.db'}"


def opened(own_home: Path):
    return open_keyring(own_home / "state" / "keys" / "root.key", url(own_home))


def test_lost_marks_are_accepted_after_a_yes(
    polydev: Polydev, own_home: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("polydev.cli.base._has_terminal", lambda: True)
    (keys / "versions.json").unlink()
    with pytest.raises(VaultError):
        opened(own_home)
    refused = polydev("vault", "accept-current", input="n\n")
    assert refused.exit_code != 0
    assert "versions.json is missing" in " ".join(refused.stderr.split())
    assert "an older version of a credential counts as good" in " ".join(refused.stderr.split())
    assert not (keys / "versions.json").exists()

    result = polydev("vault", "accept-current", input="y\n")
    assert result.exit_code == 0, result.output
    assert "Accepted 1 credentials" in result.stdout
    opened(own_home)


def test_without_a_terminal_it_needs_a_yes(polydev: Polydev, keys: Path):
    (keys / "versions.json").unlink()
    assert polydev("vault", "accept-current").exit_code == 65
    assert not (keys / "versions.json").exists()
    answer = json.loads(polydev("vault", "accept-current", "--yes", "--json").stdout)
    assert answer == {
        "credentials": 1,
        "marksLost": True,
        "missing": 0,
        "lowered": [],
        "auditShortened": False,
    }


def test_a_missing_key_is_not_made_by_it(polydev: Polydev, keys: Path):
    for file in keys.iterdir():
        file.unlink()
    result = polydev("vault", "accept-current", "--yes")
    assert result.exit_code == 78
    assert "root.key is missing" in " ".join(result.stderr.split())
    assert list(keys.iterdir()) == []


def test_a_running_server_is_left_alone(polydev: Polydev, own_home: Path, keys: Path):
    (keys / "versions.json").unlink()
    with only_server(own_home / "state"):
        result = polydev("vault", "accept-current", "--yes")
    assert result.exit_code == 78
    assert "Another Polydev server" in result.stderr
    assert not (keys / "versions.json").exists()
