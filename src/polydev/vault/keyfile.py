"""The root key's file: 64 hexadecimal characters that nobody but the server may read."""

import os
import secrets
import stat
from pathlib import Path

from polydev.errors import VaultError

KEY_BYTES = 32


def load_or_create(path: Path) -> bytes:
    """The 32 bytes of the root key; made at the first start.

    Raises:
        VaultError: the file is not what it must be. It is never replaced: without the right key
            every stored credential is lost, so mending it is a person's decision.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _load(path)
    except OSError as error:
        raise VaultError(f"The key file {path} cannot be made: {error.strerror}.") from error
    with os.fdopen(fd, "w", encoding="ascii") as file:
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)
    return key


def _load(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise VaultError(
            f"The key file {path} cannot be read: {error.strerror}. It must be a regular file of "
            "the user that runs Polydev."
        ) from error
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(file.fileno())
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
        text = file.read(1024).strip()
    if len(text) != 2 * KEY_BYTES:
        raise VaultError(
            f"The key file {path} must hold 64 hexadecimal characters; it holds {len(text)}. "
            "Restore it from your backup."
        )
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise VaultError(
            f"The key file {path} must hold 64 hexadecimal characters; some are not. "
            "Restore it from your backup."
        ) from None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
