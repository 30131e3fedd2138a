"""Whether Chromium's own sandbox can work inside ours: it needs a user namespace in a namespace."""

import os
import subprocess

import structlog

log = structlog.get_logger("polydev.sandbox")

_PROBE_USER = 65534


def can_nest() -> bool:
    """Try it: make a sandbox as the machines' (never as root), and a namespace inside it.

    Takes about 20 ms. False when anything at all goes wrong: Chromium then runs without its own
    sandbox, inside ours.
    """
    user = _PROBE_USER if os.geteuid() == 0 else None
    try:
        done = subprocess.run(
            [
                *("bwrap", "--unshare-user", "--unshare-pid", "--uid", "1000", "--gid", "1000"),
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
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("sandbox.no_nesting", detail=str(error))
        return False
    if done.returncode != 0:
        log.warning("sandbox.no_nesting", detail=done.stderr.decode(errors="replace")[-300:])
    return done.returncode == 0
