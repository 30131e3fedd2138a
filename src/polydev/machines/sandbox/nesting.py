"""Whether Chromium's own sandbox can work inside ours: it needs a user namespace in a namespace."""

import os
import shutil
import subprocess
from typing import Final

import structlog

from polydev.errors import SettingsError

log = structlog.get_logger("polydev.sandbox")

_PROBE_USER = 65534
PATH: Final = "/usr/bin:/bin"
"""Where programs of the host are looked for: the keepers' own, whatever the server's is."""


def find_bwrap() -> str:
    """Where bubblewrap is, for all who start it.

    Raises:
        SettingsError: it is not installed.
    """
    found = shutil.which("bwrap", path=PATH)
    if found is None:
        raise SettingsError(
            f"machines.driver: the sandbox needs bubblewrap, and there is no bwrap in {PATH}. "
            "Run `apt-get install bubblewrap`."
        )
    return found


def can_nest() -> bool:
    """Whether it can. If not, Chromium runs without its own sandbox, inside ours.

    Raises:
        SettingsError: there is no bubblewrap to try it with.
    """
    fault = nesting_fault()
    if fault is not None:
        log.warning("sandbox.no_nesting", detail=fault)
    return fault is None


def nesting_fault() -> str | None:
    """Try it: make a sandbox as the machines' (never as root), and a namespace inside it.

    Takes about 20 ms. Returns what went wrong, or None. Raises as `can_nest`.
    """
    bwrap = find_bwrap()
    user = _PROBE_USER if os.geteuid() == 0 else None
    try:
        done = subprocess.run(
            [
                *(bwrap, "--unshare-user", "--unshare-pid", "--uid", "1000", "--gid", "1000"),
                *("--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
                *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
                *("--proc", "/proc", "--dev", "/dev", "unshare", "--user", "--pid", "--fork"),
                "true",
            ],
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=10,
            env={"PATH": PATH},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return done.stderr.decode(errors="replace")[-300:].strip() or f"status {done.returncode}"
