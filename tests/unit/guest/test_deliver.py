"""Writing files into a home, and taking them out again."""

import errno
import json
import os
from pathlib import Path

import pytest

from polydev.domain.credential import CapturedFile
from polydev.guest.agent.deliver import deliver, remove
from polydev.guest.agent.homefs import FileRefused, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _file(path: str, content: bytes = b"new", mode: int = 0o600) -> CapturedFile:
    return CapturedFile(path, mode, content)


def test_files_get_exactly_their_mode_whatever_the_umask(home: Home, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        deliver(home, [_file(".a/b/c", mode=0o644), _file("d", mode=0o600)])
    finally:
        os.umask(old)

    modes = {p: oct((tmp_path / p).stat().st_mode & 0o7777) for p in (".a", ".a/b", ".a/b/c", "d")}
    assert modes == {".a": "0o700", ".a/b": "0o700", ".a/b/c": "0o644", "d": "0o600"}


def test_a_write_that_fails_leaves_the_old_files_and_nothing_else(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    fsync = os.fsync
    calls: list[int] = []

    def full(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "no space")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(FileRefused, match="cannot be written: no space") as refusal:
        deliver(home, [_file("a"), _file("b")])

    assert refusal.value.offender == "b"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_replacement_that_fails_puts_the_ones_before_it_back(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old a")
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "c").write_bytes(b"old c")
    rename = os.rename

    def hostile(old: str, new: str, **folders: int) -> None:
        if new == "c" and (tmp_path / "c").is_file():
            (tmp_path / "c").unlink()
            (tmp_path / "c").mkdir()
        rename(old, new, **folders)

    monkeypatch.setattr(os, "rename", hostile)

    with pytest.raises(FileRefused, match="cannot be replaced") as refusal:
        deliver(home, [_file("a"), _file("b"), _file("c")])

    assert refusal.value.offender == "c"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "c"]
    assert (tmp_path / "a").read_bytes() == b"old a"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_what_was_replaced_keeps_no_second_name(home: Home, tmp_path: Path) -> None:
    deliver(home, [_file("a", b"one"), _file("b", b"one")])
    deliver(home, [_file("a", b"two"), _file("b", b"two")])

    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert {p.stat().st_nlink for p in tmp_path.iterdir()} == {1}


def test_half_a_character_in_the_file_that_is_there_survives_a_merge(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"half": "\\ud800"}')

    deliver(home, [CapturedFile("a.json", 0o600, b'{"account": 1}', merge_json=True)])

    assert json.loads((tmp_path / "a.json").read_text()) == {"half": "\ud800", "account": 1}


def test_a_reader_sees_the_old_or_the_new_file_and_never_a_part(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as reader:
        deliver(home, [_file("a", b"new and longer")])

        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new and longer"


def test_a_linked_parent_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / ".acme").symlink_to("real")

    with pytest.raises(FileRefused, match="symbolic link"):
        deliver(home, [_file(".acme/auth.json")])
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda p: p.symlink_to("elsewhere")])
def test_what_is_there_and_no_file_is_not_replaced(
    home: Home, tmp_path: Path, make: object
) -> None:
    make(tmp_path / "a")  # type: ignore[operator]

    with pytest.raises(FileRefused, match="not a regular file"):
        deliver(home, [_file("a")])


def test_keys_are_merged_into_the_file_that_is_there(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"machine": 7, "account": {"old": true}}')
    ours = CapturedFile("a.json", 0o600, b'{"account": {"name": "\xc3\xa4da"}}', merge_json=True)

    deliver(home, [ours])

    merged = json.loads((tmp_path / "a.json").read_text())
    assert merged == {"machine": 7, "account": {"name": "äda"}}


@pytest.mark.parametrize("there", ["[]", "{broken"])
def test_a_merge_does_not_destroy_what_it_does_not_understand(
    home: Home, tmp_path: Path, there: str
) -> None:
    (tmp_path / "a.json").write_text(there)

    with pytest.raises(FileRefused, match="JSON"):
        deliver(home, [CapturedFile("a.json", 0o600, b"{}", merge_json=True)])
    assert (tmp_path / "a.json").read_text() == there


def test_removal_says_what_was_there(home: Home, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "merged.json").write_text('{"account": 1, "machine": 7}')
    keys = {"merged.json": ("account",), "gone.json": ("account",)}

    removed = remove(home, ["plain", "never", "merged.json", "gone.json"], keys)

    assert removed == ["plain", "merged.json"]
    assert json.loads((tmp_path / "merged.json").read_text()) == {"machine": 7}
    assert not (tmp_path / "plain").exists()
