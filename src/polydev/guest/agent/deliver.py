"""Writes a bundle into the home, and takes it out again."""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from typing import Final, cast

from polydev.domain.credential import CapturedFile
from polydev.guest.agent.homefs import FileRefused, Home

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_MERGED: Final = 8 << 20


def deliver(home: Home, files: Iterable[CapturedFile]) -> list[str]:
    """Write all files, each atomically, with exactly its mode; return their paths.

    All are written beside their places first and renamed last, so that a bundle that cannot be
    written leaves the old files as they were. Raises `FileRefused`.
    """
    with contextlib.ExitStack() as stack:
        staged = [_stage(stack, home, file) for file in files]
        for folder, temporary, name, _ in staged:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
    return [path for _, _, _, path in staged]


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


def _stage(
    stack: contextlib.ExitStack, home: Home, file: CapturedFile
) -> tuple[int, str, str, str]:
    """Write one file under a temporary name, which is gone when the stack ends."""
    folder, name = stack.enter_context(home.parent(file.path, create=True))
    _refuse_other_kinds(folder, name, file.path)
    content = _merged(home, file) if file.merge_json else file.content
    temporary = f".polydev-{secrets.token_hex(8)}"
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
    return folder, temporary, name, file.path


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
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _mode(home: Home, path: str) -> int:
    with home.parent(path) as (folder, name):
        return stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) & 0o755


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
