"""Delivering, proving and revoking a credential, with a real vault and a home on the disk.

The machine is played: its agent's own functions work on a folder, and end the process where a test
says so.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from polydev.domain.credential import Bundle, CapturedFile
from polydev.domain.machine import MachineKind
from polydev.errors import AgentError, CaptureRefused, Conflict, InvalidInput
from polydev.guest.acceptance import accept
from polydev.guest.agent import capture as capturing
from polydev.guest.agent import deliver as delivering
from polydev.guest.agent.homefs import FileRefused, Home
from polydev.guest.client import AgentUnreachable, ExecChunk
from polydev.guest.protocol import ExecRequest, ManifestEntry
from polydev.providers.check import parse_provider
from polydev.providers.identity import identity_of
from polydev.providers.schema import Provider
from polydev.sessions.credentials import CredentialService
from polydev.store.database import Database
from polydev.store.records import CredentialRecord, MachineRecord
from polydev.store.repositories import audit, credentials, machines
from polydev.vault.keyring import Keyring
from polydev.vault.marks import Marks
from polydev.vault.service import Vault
from tests.unit.providers.conftest import GOOD
from tests.vault_rows import ROOT, person, run

ADA = "ada@example.test"
TOKEN, ACCOUNT, STATE = ".made-up/token.json", ".made-up/account.json", ".made-up/state.json"
TOML = (
    GOOD
    + """
[[capture]]
path = ".made-up/state.json"
only_keys = ["signedIn"]
"""
)


class PowerCut(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class CliHome:
    """The CLI machine: what lies in its home, and how its agent behaves."""

    folder: Path
    cut_before: str | None = None
    cut_after: str | None = None
    unreachable: bool = False
    told: list[str] = field(default_factory=list[str])
    answer: bytes = b'{"ok": true, "who": "Ada@example.test"}'

    def write(self, path: str, content: object) -> None:
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(json.dumps(content))

    def read(self, path: str) -> Any:
        file = self.folder / path
        return json.loads(file.read_text()) if file.exists() else None

    def refresh(self, token: str) -> None:
        """What the tool does where it is used."""
        self.write(TOKEN, {"token": token})

    def agent(self) -> Any:
        return Agent(self)


class Agent:
    def __init__(self, machine: CliHome) -> None:
        self._machine = machine
        self._home = Home(machine.folder)

    @contextlib.contextmanager
    def _doing(self, what: str):
        if self._machine.unreachable:
            raise AgentUnreachable("It does not answer.")
        if self._machine.cut_before == what:
            raise PowerCut
        self._machine.told.append(what)
        try:
            yield
        except FileRefused as error:
            raise CaptureRefused("No.", offender=str(error)) from error
        except capturing.NotComplete as error:
            raise AgentError("No.", detail=str(error)) from error
        if self._machine.cut_after == what:
            raise PowerCut

    async def capture(self, manifest: Sequence[ManifestEntry]) -> Bundle:
        with self._doing("capture"):
            return accept(Bundle(capturing.capture(self._home, tuple(manifest))), manifest)

    async def deliver(self, bundle: Bundle) -> None:
        with self._doing("deliver"):
            delivering.deliver(self._home, bundle.files)

    async def remove(self, manifest: Sequence[ManifestEntry]) -> None:
        with self._doing("remove"):
            keys = {entry.path: entry.only_keys for entry in manifest if entry.only_keys}
            delivering.remove(self._home, [entry.path for entry in manifest], keys)

    async def watch(self, manifest: Sequence[ManifestEntry]) -> None:
        with self._doing("watch"):
            del manifest

    async def exec(self, request: ExecRequest) -> AsyncIterator[ExecChunk]:
        with self._doing("exec"):
            yield ExecChunk("out", self._machine.answer)
            yield ExecChunk(None, exit=0)

    async def close(self) -> None: ...


@dataclass
class Shelf:
    """The catalog: one provider, until somebody removes its file."""

    provider: Provider | None

    def get(self, name: str) -> Provider:
        if self.provider is None:
            raise InvalidInput(f"There is no provider {name!r}.", field="provider")
        return self.provider

    def names(self) -> tuple[str, ...]:
        return (self.provider.name,) if self.provider else ()


@dataclass
class Desk:
    """A person with a CLI machine, and everything that a test asks of it."""

    db: Database
    folder: Path
    user_id: str
    home: CliHome
    machine: MachineRecord
    shelf: Shelf
    vault: Vault

    async def cli_machine(self, user_id: str) -> MachineRecord:
        assert user_id == self.user_id
        return self.machine

    def agent(self, machine: MachineRecord) -> Any:
        assert machine.id == self.machine.id
        return self.home.agent()

    @property
    def service(self) -> CredentialService:
        """As a process that has just started has it."""
        shelf: Any = self.shelf
        myself: Any = self
        return CredentialService(self.db, self.vault, myself, shelf)

    async def sign_in(self, token: str, account: str = ADA) -> str:
        """A browser machine's files are stored; they are not delivered yet."""
        bundle = Bundle(
            (
                CapturedFile(TOKEN, 0o600, json.dumps({"token": token}).encode()),
                CapturedFile(ACCOUNT, 0o600, json.dumps({"email": account}).encode()),
                CapturedFile(STATE, 0o600, b'{"signedIn": true}', merge_json=True),
            )
        )
        provider = parse_provider(TOML, "made-up.toml")
        async with self.db.transaction() as tx:
            identity = identity_of(provider, bundle)
            stored = await self.vault.put(tx, self.user_id, "made_up", bundle, identity)
        return stored.credential_id

    async def deliver(self, credential_id: str) -> None:
        await self.service.deliver_into(self.user_id, credential_id, self.machine)

    async def record(self, credential_id: str) -> CredentialRecord:
        async with self.db.reading() as tx:
            found = await credentials.get(tx, self.user_id, credential_id)
        assert found is not None
        return found

    async def stored_token(self, credential_id: str) -> str:
        bundle = await self.vault.get(self.user_id, credential_id)
        return json.loads({file.path: file for file in bundle.files}[TOKEN].content)["token"]

    async def actions(self) -> list[str]:
        async with self.db.reading() as tx:
            return [line.action for line in reversed(await audit.list_recent(tx))]

    async def machine_of_its_own(self) -> MachineRecord:
        async with self.db.transaction() as tx:
            return await machines.insert(
                tx,
                user_id=self.user_id,
                session_id=None,
                executor_id="local",
                kind=MachineKind.CLI,
                driver="played",
                incarnation="inc_1",
            )


@pytest.fixture
async def desk(db: Database, tmp_path: Path) -> Desk:
    (tmp_path / "home").mkdir()
    Marks.begin(tmp_path, Keyring(ROOT))
    nothing: Any = None
    desk = Desk(
        db,
        tmp_path,
        await person(db),
        CliHome(tmp_path / "home"),
        nothing,
        Shelf(parse_provider(TOML, "made-up.toml")),
        Vault(db, Keyring(ROOT), tmp_path),
    )
    desk.machine = await desk.machine_of_its_own()
    return desk


async def test_a_stored_credential_is_delivered_beside_what_is_there(desk: Desk) -> None:
    desk.home.write(STATE, {"mine": 1})
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "first"}
    assert desk.home.read(STATE) == {"mine": 1, "signedIn": True}
    record = await desk.record(credential_id)
    assert (record.machine_id, record.delivered_version) == (desk.machine.id, 1)
    assert await desk.actions() == ["credential.deliver"]


# Delivering again


async def test_delivering_again_keeps_what_the_tool_refreshed_and_stores_it(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.home.refresh("rotated")
    record = await desk.service.deliver(desk.user_id, credential_id)
    assert desk.home.read(TOKEN) == {"token": "rotated"}
    assert await desk.stored_token(credential_id) == "rotated"
    assert (record.current_version, record.account, record.verified_ok) == (2, ADA, True)
    assert "credential.refreshed" in await desk.actions()
    # And once more, in another machine: what is stored now is the refreshed one.
    (desk.folder / "another").mkdir()
    await run(desk.db, "UPDATE machines SET state = 'destroyed'")
    desk.home, desk.machine = CliHome(desk.folder / "another"), await desk.machine_of_its_own()
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "rotated"}


async def test_what_is_there_already_is_not_written_again(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    # The tool has written the same keys in another order, and more of its own.
    desk.home.write(STATE, {"more": [], "signedIn": True})
    desk.home.told.clear()
    await desk.deliver(credential_id)
    assert desk.home.told == ["capture", "watch"]
    assert (await desk.record(credential_id)).current_version == 1


@pytest.mark.parametrize("how", ["gone", "half", "link", "optional gone"])
async def test_files_that_are_gone_or_spoilt_are_written_anew(desk: Desk, how: str) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    file = desk.home.folder / TOKEN
    match how:
        case "gone":
            file.unlink()
        case "half":
            file.write_text('{"token": "rot')
        case "link":
            (desk.home.folder / ACCOUNT).unlink()
            (desk.home.folder / ACCOUNT).symlink_to("/etc/passwd")
        case _:
            (desk.home.folder / ACCOUNT).unlink()
    if how == "link":
        with pytest.raises(CaptureRefused):  # written over, it might be followed
            await desk.deliver(credential_id)
        return
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "first"}
    assert desk.home.read(ACCOUNT) == {"email": ADA}
    assert (await desk.record(credential_id)).current_version == 1


async def test_an_agent_that_does_not_answer_is_not_taken_for_an_empty_home(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.home.refresh("rotated")
    desk.home.unreachable = True
    with pytest.raises(AgentUnreachable):
        await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "rotated"}


async def test_a_sign_in_by_hand_to_another_account_is_no_refresh(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.home.refresh("eves")
    desk.home.write(ACCOUNT, {"email": "eve@example.test"})
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "first"}
    assert (await desk.record(credential_id)).account == ADA


async def test_a_new_sign_in_replaces_what_the_tool_made_of_the_old_one(desk: Desk) -> None:
    credential_id = await desk.sign_in("old")
    await desk.deliver(credential_id)
    desk.home.refresh("old, rotated")
    await desk.sign_in("new")
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": "new"}
    assert await desk.stored_token(credential_id) == "new"


async def test_a_new_sign_in_during_a_delivery_is_not_pushed_aside(desk: Desk) -> None:
    credential_id = await desk.sign_in("old")
    await desk.deliver(credential_id)
    desk.home.refresh("old, rotated")
    before = await desk.record(credential_id)
    await desk.sign_in("new")
    service: Any = desk.service
    with pytest.raises(Conflict):
        # As if the row had been read before the sign-in was stored.
        await service._delivery.deliver(before, desk.machine)
    assert await desk.stored_token(credential_id) == "new"


# Crashes


CUTS = [(name, when) for name in ("capture", "remove", "deliver", "watch") for when in (0, 1)]


@pytest.mark.parametrize(("name", "when"), CUTS)
@pytest.mark.parametrize("used_after", [False, True])
async def test_no_crash_while_delivering_again_loses_a_refreshed_credential(
    desk: Desk, name: str, when: int, used_after: bool
) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.home.refresh("rotated")
    await cut(desk, credential_id, name, when)
    newest = "rotated"
    if used_after:
        desk.home.refresh(newest := "rotated again")
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": newest}
    assert await desk.stored_token(credential_id) == newest


@pytest.mark.parametrize(("name", "when"), CUTS)
async def test_no_crash_while_a_new_sign_in_is_delivered_brings_the_old_one_back(
    desk: Desk, name: str, when: int
) -> None:
    credential_id = await desk.sign_in("old")
    await desk.deliver(credential_id)
    desk.home.refresh("old, rotated")
    await desk.sign_in("new")
    await cut(desk, credential_id, name, when)
    newest = "new"
    if desk.home.read(TOKEN) == {"token": "new"}:  # it had arrived, and its tool goes on
        desk.home.refresh(newest := "new, rotated")
    await desk.deliver(credential_id)
    assert desk.home.read(TOKEN) == {"token": newest}
    assert await desk.stored_token(credential_id) == newest


async def cut(desk: Desk, credential_id: str, name: str, when: int) -> None:
    """Deliver, and end the process before or after what the agent is asked; then a new one."""
    if when:
        desk.home.cut_after = name
    else:
        desk.home.cut_before = name
    with contextlib.suppress(PowerCut):
        await desk.deliver(credential_id)
    desk.home.cut_before = desk.home.cut_after = None


# Proving


async def test_a_tool_that_is_signed_in_to_another_account_is_a_no_with_its_text(
    desk: Desk,
) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    assert (await desk.service.verify(desk.user_id, credential_id)).verified_ok
    desk.home.answer = b'{"ok": true, "who": "eve@example.test"}'
    record = await desk.service.verify(desk.user_id, credential_id)
    assert record.verified_ok is False
    assert record.status_output is not None
    assert "signed in as eve@example.test" in record.status_output
    assert ADA in record.status_output


async def test_a_tool_that_names_no_account_is_believed(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.home.answer = b'{"ok": true}'
    assert (await desk.service.verify(desk.user_id, credential_id)).verified_ok


async def test_a_row_that_was_edited_is_a_no_with_its_text(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    await run(desk.db, "UPDATE credentials SET account = 'eve@example.test', verified_ok = TRUE")
    record = await desk.service.verify(desk.user_id, credential_id)
    assert record.verified_ok is False
    assert "its row was changed" in (record.status_output or "")


# Revoking


async def test_a_removed_providers_credential_is_revoked_and_its_files_go(desk: Desk) -> None:
    desk.home.write(STATE, {"mine": 1})
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    desk.shelf.provider = None
    await desk.service.revoke(desk.user_id, credential_id)
    assert desk.home.read(TOKEN) is None
    assert desk.home.read(ACCOUNT) is None
    assert desk.home.read(STATE) == {"mine": 1}
    async with desk.db.reading() as tx:
        assert await credentials.list_of(tx, desk.user_id) == []


async def test_a_file_that_the_providers_definition_no_longer_names_goes_too(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    moved = TOML.replace('path = ".made-up/token.json"', 'path = ".made-up/new.json"')
    moved = moved.replace('file = ".made-up/token.json"', 'file = ".made-up/new.json"')
    desk.shelf.provider = parse_provider(moved, "made-up.toml")
    await desk.service.revoke(desk.user_id, credential_id)
    assert desk.home.read(TOKEN) is None


async def test_a_spoilt_credential_is_revoked_by_its_providers_definition(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    await run(desk.db, "UPDATE credentials SET plan = 'other'")
    await desk.service.revoke(desk.user_id, credential_id)
    assert desk.home.read(TOKEN) is None


async def test_nothing_is_said_to_be_revoked_when_nobody_knows_its_files(desk: Desk) -> None:
    credential_id = await desk.sign_in("first")
    await desk.deliver(credential_id)
    await run(desk.db, "UPDATE credentials SET plan = 'other'")
    desk.shelf.provider = None
    with pytest.raises(Conflict, match="destroy the CLI machine"):
        await desk.service.revoke(desk.user_id, credential_id)
    async with desk.db.transaction() as tx:
        await machines.mark_destroyed(tx, desk.machine.id, detail="by its person")
    await desk.service.revoke(desk.user_id, credential_id)
