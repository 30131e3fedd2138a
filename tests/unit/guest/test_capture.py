"""Reading files of a home that nobody vouches for."""

import json
import os
import socket
from pathlib import Path

import pytest

from polydev.guest.agent import homefs
from polydev.guest.agent.capture import NotComplete, capture, satisfied
from polydev.guest.agent.homefs import FileRefused, Home
from polydev.guest.protocol import ManifestEntry

ENTRY = ManifestEntry(".acme/auth.json", max_bytes=1000, required_keys=("tokens.refresh",))
GOOD = b'{"tokens": {"refresh": "r"}}'


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    """Where the file goes; its directory is there."""
    path = tmp_path / "home" / ".acme" / "auth.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def home(tmp_path: Path, auth: Path) -> Home:
    return Home(tmp_path / "home")


def _link(path: Path) -> None:
    target = path.parents[2] / "outside.json"
    target.write_bytes(GOOD)
    path.symlink_to(target)


def _hard_link(path: Path) -> None:
    path.write_bytes(GOOD)
    os.link(path, path.with_name("other"))


def _socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_link, "symbolic link"),
        (_hard_link, "hard link"),
        (os.mkfifo, "pipe"),
        (Path.mkdir, "directory"),
        (_socket, "socket"),
        (lambda p: p.write_bytes(b"x" * 1001), "larger than 1000"),
        (lambda p: os.mknod(p, 0o20600, os.makedev(1, 5)), "device"),
    ],
)
def test_what_is_not_a_plain_file_is_refused_and_named(
    home: Home, auth: Path, make: object, why: str
) -> None:
    try:
        make(auth)  # type: ignore[operator]
    except PermissionError:
        pytest.skip("only root makes device files")

    with pytest.raises(FileRefused, match=why) as refusal:
        capture(home, (ENTRY,))

    assert refusal.value.offender == ".acme/auth.json"
    # Waiting would not mend it, so the wait ends and the capture says so.
    assert satisfied(home, (ENTRY,))


def test_a_linked_directory_on_the_way_is_refused_by_its_name(home: Home, auth: Path) -> None:
    auth.write_bytes(GOOD)
    auth.parent.rename(auth.parent.with_name("real"))
    auth.parent.symlink_to("real")

    with pytest.raises(FileRefused) as refusal:
        capture(home, (ENTRY,))

    assert refusal.value.offender == ".acme"


def test_a_file_of_another_user_is_refused(
    home: Home, auth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.write_bytes(GOOD)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(FileRefused, match="another user"):
        capture(home, (ENTRY,))


def test_a_file_that_is_replaced_once_while_read_is_read_again(
    home: Home, auth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.write_bytes(b'{"tokens": {"refresh": "old"}}')
    times = _replace_while_read(auth, monkeypatch, times=1)

    (file,) = capture(home, (ENTRY,))

    assert times == [0]
    assert json.loads(file.content) == {"tokens": {"refresh": "new 0"}}


def test_a_file_that_never_holds_still_is_refused(
    home: Home, auth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.write_bytes(GOOD)
    _replace_while_read(auth, monkeypatch, times=99)

    with pytest.raises(FileRefused, match="changed again and again"):
        capture(home, (ENTRY,))


def _replace_while_read(auth: Path, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[int]:
    read = homefs._read_all
    done: list[int] = []

    def misbehave(fd: int, limit: int) -> bytes:
        content = read(fd, limit)
        if len(done) < times:
            new = auth.with_name("new")
            new.write_text(json.dumps({"tokens": {"refresh": f"new {len(done)}"}}))
            new.replace(auth)
            done.append(len(done))
        return content

    monkeypatch.setattr(homefs, "_read_all", misbehave)
    return done


def test_a_link_put_in_between_look_and_open_is_not_followed(
    home: Home, auth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.write_bytes(GOOD)
    secret = auth.parents[2] / "secret"
    secret.write_bytes(GOOD)
    check = homefs._check

    def swap(info: os.stat_result, path: str, max_bytes: int) -> None:
        check(info, path, max_bytes)
        auth.unlink()
        auth.symlink_to(secret)

    monkeypatch.setattr(homefs, "_check", swap)

    with pytest.raises(FileRefused, match="symbolic link"):
        capture(home, (ENTRY,))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not whole JSON"),
        (b'{"tokens": {"refr', "not whole JSON"),
        (b"[" * 100_000, "larger"),
        (b"[]", "not a JSON object"),
        (b"{}", "lacks tokens.refresh"),
        (b'{"tokens": 3}', "lacks tokens.refresh"),
        (b'{"tokens": {"refresh": ""}}', "lacks tokens.refresh"),
        (b'{"tokens": {"refresh": null}}', "lacks tokens.refresh"),
    ],
)
def test_content_that_is_not_complete_is_waited_for(
    home: Home, auth: Path, content: bytes, why: str
) -> None:
    auth.write_bytes(content)

    with pytest.raises((NotComplete, FileRefused), match=why):
        capture(home, (ENTRY,))
    assert satisfied(home, (ENTRY,)) is (why == "larger")


def test_keys_with_dots_in_them_are_found(home: Home, auth: Path) -> None:
    auth.write_bytes(b'{"https://api.example/auth": {"plan.type": "pro", "n": 0}}')
    keys = ("https://api.example/auth.plan.type", "https://api.example/auth.n")

    assert capture(home, (ManifestEntry(".acme/auth.json", required_keys=keys),))


def test_only_the_wanted_keys_leave_the_home(home: Home, auth: Path) -> None:
    auth.write_bytes(b'{"account": {"name": "ada"}, "projects": ["secret"], "gone": 1}')
    entry = ManifestEntry(".acme/auth.json", only_keys=("account", "missing"))

    (file,) = capture(home, (entry,))

    assert file.content == b'{"account": {"name": "ada"}}'
    assert file.merge_json


def test_optional_files_may_be_missing_and_required_ones_not(home: Home, auth: Path) -> None:
    optional = ManifestEntry("nothing/here", required=False)
    auth.write_bytes(GOOD)

    assert len(capture(home, (ENTRY, optional))) == 1
    assert not satisfied(home, (ENTRY, ManifestEntry("nothing/here")))
    with pytest.raises(NotComplete, match="nothing/here: is missing"):
        capture(home, (ENTRY, ManifestEntry("nothing/here")))


def test_a_bundle_is_bounded_as_a_whole(home: Home, auth: Path) -> None:
    entries = tuple(ManifestEntry(f".acme/{i}") for i in range(5))
    for entry in entries:
        (auth.parent / Path(entry.path).name).write_bytes(b"x" * (1 << 20))

    with pytest.raises(FileRefused, match="above") as refusal:
        capture(home, entries)
    assert refusal.value.offender == ".acme/4"
