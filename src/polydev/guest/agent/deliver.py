"""Writes a bundle into the home, and takes it out again."""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from polydev.domain.credential import CapturedFile
from polydev.guest.agent.homefs import FileRefused, Home, refused
from polydev.guest.manifest import to_json

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_MERGED: Final = 8 << 20


def deliver(home: Home, files: Iterable[CapturedFile]) -> list[str]:
    """Write all files, each with exactly its mode; return their paths.

    A reader sees the old or the new file, never a part. All are written beside their places first,
    and the old ones keep a second name until all have been replaced: if one cannot be, those that
    were are put back. Raises `FileRefused`; then all is as it was, but for new directories.
    """
    with contextlib.ExitStack() as stack:
        staged = [_stage(stack, home, file) for file in files]
        with contextlib.ExitStack() as undo:
            for one in staged:
                with _put(one.path, "replaced"):
                    _replace(stack, undo, one)
            undo.pop_all()
    return [one.path for one in staged]


def remove(home: Home, paths: Iterable[str], keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Remove files; of a merged one only its keys. Returns the paths that were there."""
    removed: list[str] = []
    for path in paths:
        if path not in keys:
            if home.remove(path):
                removed.append(path)
            continue
        document = _existing(home, path)
        kept = {key: value for key, value in document.items() if key not in keys[path]}
        if kept != document:
            mode = _mode(home, path)
            deliver(home, [CapturedFile(path, mode, _dump(kept))])
            removed.append(path)
    return removed


@dataclass(frozen=True, slots=True)
class _Staged:
    """A file written under a temporary name in the folder that it goes to."""

    path: str
    folder: int
    temporary: str
    name: str


def _stage(stack: contextlib.ExitStack, home: Home, file: CapturedFile) -> _Staged:
    """Write one file under a temporary name, which is gone when the stack ends."""
    folder, name = stack.enter_context(home.parent(file.path, create=True))
    with _put(file.path, "written"):
        _refuse_other_kinds(folder, name, file.path)
        content = _merged(home, file) if file.merge_json else file.content
        temporary = _free_name()
        fd = os.open(temporary, _NEW, 0o600, dir_fd=folder)
        stack.callback(_unlink, temporary, folder)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, file.mode)
            os.fsync(fd)
        finally:
            os.close(fd)
    return _Staged(file.path, folder, temporary, name)


def _replace(stack: contextlib.ExitStack, undo: contextlib.ExitStack, one: _Staged) -> None:
    kept: str | None = _free_name()
    try:
        os.link(one.name, kept, src_dir_fd=one.folder, dst_dir_fd=one.folder, follow_symlinks=False)
    except FileNotFoundError:
        kept = None
    else:
        stack.callback(_unlink, kept, one.folder)
    _rename(one.temporary, one.name, one.folder)
    undo.callback(_put_back, kept, one.name, one.folder)
    os.fsync(one.folder)


def _put_back(kept: str | None, name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        if kept is None:
            os.unlink(name, dir_fd=folder)
        else:
            _rename(kept, name, folder)


def _rename(old: str, new: str, folder: int) -> None:
    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)


def _free_name() -> str:
    return f".polydev-{secrets.token_hex(8)}"


@contextlib.contextmanager
def _put(path: str, what: str) -> Generator[None]:
    """As `refused`, and a folder that is gone in the middle of it is a refusal too."""
    try:
        with refused(path, what):
            yield
    except FileNotFoundError as error:
        raise FileRefused(path, f"cannot be {what}: {error.strerror}") from None


def _refuse_other_kinds(folder: int, name: str, path: str) -> None:
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(info.st_mode):
        raise FileRefused(path, "is there already and is not a regular file")


def _merged(home: Home, file: CapturedFile) -> bytes:
    try:
        ours = json.loads(file.content)
    except (ValueError, RecursionError):
        raise FileRefused(file.path, "is to be merged but is not JSON") from None
    if not isinstance(ours, dict):
        raise FileRefused(file.path, "is to be merged but is not a JSON object")
    return _dump(_existing(home, file.path) | cast("dict[str, object]", ours))


def _existing(home: Home, path: str) -> dict[str, object]:
    content = home.read(path, _MAX_MERGED)
    if content is None or not content.strip():
        return {}
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise FileRefused(path, "is there already and is not JSON") from None
    if not isinstance(document, dict):
        raise FileRefused(path, "is there already and is not a JSON object")
    return cast("dict[str, object]", document)


def _dump(document: dict[str, object]) -> bytes:
    return to_json(document, indent=2) + b"\n"


def _mode(home: Home, path: str) -> int:
    with home.parent(path) as (folder, name):
        return stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) & 0o755


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)
