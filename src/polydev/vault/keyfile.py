"""The root key's file: 64 hexadecimal characters that nobody but the server may read."""

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path

from polydev.errors import VaultError

KEY_BYTES = 32
MARKS = "versions.json"
"""Lies beside the key; `polydev.vault.marks`."""
_KEY = re.compile(rb"[0-9a-fA-F]{64}")


def load_or_create(path: Path) -> bytes:
    """The 32 bytes of the root key; made at the first start.

    `polydev.vault.opening` asks the database, too, whether this is one.

    Raises:
        VaultError: the file is not what it must be, or is missing although the marks beside it
            show that there was one. It is never replaced: without the right key every stored
            credential is lost, so mending it is a person's decision.
    """
    if not os.path.lexists(path):
        marks = path.parent / MARKS
        if os.path.lexists(marks):
            raise VaultError(
                f"The key file {path} is missing, but {marks} shows that there was one. Restore it "
                "from your backup."
            )
        try:
            _create(path)
        except OSError as error:
            raise VaultError(f"The key file {path} cannot be made: {error.strerror}.") from error
    return _load(path)


def _create(path: Path) -> None:
    """The whole file appears at once, so a start that is cut short leaves none or a good one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = secrets.token_bytes(KEY_BYTES).hex() + "\n"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two first starts at once, both then read the same key.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


def _load(path: Path) -> bytes:
    try:
        # Not blocking: a pipe put here must not hold up the start.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise VaultError(
            f"The key file {path} cannot be read: {error.strerror}. It must be a regular file of "
            "the user that runs Polydev."
        ) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise VaultError(f"The key file {path} is not a regular file.")
        if status.st_uid != os.geteuid():
            raise VaultError(
                f"The key file {path} belongs to user {status.st_uid}; "
                f"`chown {os.geteuid()} {path}`."
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise VaultError(
                f"The key file {path} may be read by others (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); `chmod 600 {path}`, and if somebody may "
                "have read it, make a new one and sign in again."
            )
        text = os.read(fd, 1024).strip()
    finally:
        os.close(fd)
    if len(text) != 2 * KEY_BYTES:
        raise VaultError(
            f"The key file {path} must hold 64 hexadecimal characters; it holds {len(text)}. "
            "Restore it from your backup."
        )
    if not _KEY.fullmatch(text):
        raise VaultError(
            f"The key file {path} must hold 64 hexadecimal characters; some are not. "
            "Restore it from your backup."
        )
    return bytes.fromhex(text.decode("ascii"))


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
