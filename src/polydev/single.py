"""One server per state directory."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from polydev.errors import SettingsError


@contextlib.contextmanager
def only_server(state_dir: Path) -> Generator[None]:
    """Hold the state directory's lock for the length of the block.

    A second server on it would reclaim the first one's machines and run its workflows twice. The
    lock is the kernel's (flock), so it ends with the process, however that ends.

    Raises:
        SettingsError: another server holds it; names the process.
    """
    path = state_dir / "server.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            raise SettingsError(
                f"Another Polydev server (process {holder}) is running on {state_dir}. Stop it "
                "first, or give this one a state_dir of its own."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
