"""The root key's file, and the keys that are made of it."""

import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polydev.errors import VaultError
from polydev.vault.keyfile import load_or_create
from polydev.vault.keyring import Keyring

GOOD = "0123456789abcdef" * 4


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "root.key"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_first_start_makes_a_key_that_only_its_owner_may_read(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "root.key"
    key = load_or_create(file)
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(file.read_text().strip()) == 64


def test_later_starts_find_the_same_key(tmp_path: Path) -> None:
    file = tmp_path / "root.key"
    assert load_or_create(file) == load_or_create(file)


def test_two_installations_have_two_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a") != load_or_create(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o601])
def test_a_key_that_others_may_touch_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    file = written(tmp_path, GOOD, mode)
    with pytest.raises(VaultError, match="chmod 600") as caught:
        load_or_create(file)
    assert str(file) in caught.value.person


@pytest.mark.parametrize("text", ["", GOOD[:-1], GOOD + "0", GOOD * 2, "zz" + GOOD[2:]])
def test_a_key_of_the_wrong_form_is_refused_and_neither_shown_nor_replaced(
    tmp_path: Path, text: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(VaultError, match="64 hexadecimal") as caught:
        load_or_create(file)
    assert GOOD[8:24] not in f"{caught.value!r}{caught.value.detail}"
    assert file.read_text() == text


def test_blanks_do_not_count_as_hexadecimal_characters(tmp_path: Path) -> None:
    with pytest.raises(VaultError):
        load_or_create(written(tmp_path, "aa " * 20 + "aaaa"))  # 64 characters, 22 bytes


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = written(tmp_path, GOOD)
    link = tmp_path / "link.key"
    link.symlink_to(target)
    with pytest.raises(VaultError, match="regular file"):
        load_or_create(link)
    dangling = tmp_path / "dangling.key"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(VaultError):
        load_or_create(dangling)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="not a regular file"):
        load_or_create(tmp_path)


def test_a_pipe_is_no_key_and_does_not_hold_the_start_up(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.key"
    os.mkfifo(pipe, 0o600)
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(load_or_create, pipe)
        try:
            with pytest.raises(VaultError, match="not a regular file"):
                start.result(timeout=30)
        finally:
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # lets the waiting one go


def test_a_first_start_that_was_cut_short_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "root.key"

    class PowerCut(BaseException):
        pass

    def crash(_: int) -> bytes:
        raise PowerCut

    with monkeypatch.context() as broken, pytest.raises(PowerCut):
        broken.setattr(secrets, "token_bytes", crash)
        load_or_create(file)
    assert len(load_or_create(file)) == 32


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_key_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    os.chown(file, 65534, 65534)
    with pytest.raises(VaultError, match="chown"):
        load_or_create(file)


def test_each_purpose_has_its_own_key_and_none_is_the_root() -> None:
    root = bytes.fromhex(GOOD)
    ring = Keyring(root)
    made = [
        ring.kek(ring.key_id).hex(),
        ring.agent_token("mac_a", "inc_a").reveal(),
        ring.agent_token("mac_a", "inc_b").reveal(),
        ring.agent_token("mac_b", "inc_a").reveal(),
        ring.tag(b"x"),
        ring.mark(b"x"),
        root.hex(),
    ]
    assert len(set(made)) == len(made)


def test_the_same_root_makes_the_same_keys_after_a_restart() -> None:
    one, two = Keyring(bytes.fromhex(GOOD)), Keyring(bytes.fromhex(GOOD))
    assert one.key_id == two.key_id
    assert one.agent_token("m", "i").reveal() == two.agent_token("m", "i").reveal()


def test_a_key_id_names_its_key_and_does_not_show_it() -> None:
    one, two = Keyring(bytes(32)), Keyring(bytes.fromhex(GOOD))
    assert one.key_id != two.key_id
    assert one.kek(one.key_id).hex()[:8] not in one.key_id
    for hidden in (two.kek(two.key_id).hex(), GOOD):
        assert hidden not in repr(two)


def test_a_key_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(VaultError, match="kek_other"):
        Keyring(bytes(32)).kek("kek_other")
