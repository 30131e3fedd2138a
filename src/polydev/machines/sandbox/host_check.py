"""What this host has and lacks for the sandbox driver, each with its fix."""

import asyncio
import shutil
from pathlib import Path

from polydev.machines.cgroups import CgroupSupport
from polydev.machines.driver import Finding
from polydev.machines.sandbox.nesting import PATH, find_bwrap, nesting_fault

GUEST_PYTHON = Path("/usr/bin/python3")

_ANSWERS_IN_S = 30.0

_PROGRAMS = (
    ("bwrap", "bubblewrap"),
    ("Xvnc", "tigervnc-standalone-server"),
    ("openbox", "openbox"),
    ("certutil", "libnss3-tools"),
)


async def check_host(support: CgroupSupport, *, own_users: bool) -> list[Finding]:
    findings: list[Finding] = []
    for program, package in _PROGRAMS:
        where = shutil.which(program, path=PATH)
        findings.append(
            Finding(program, where is not None, where or "missing", f"apt-get install {package}")
        )
    findings.append(_chromium())
    findings.append(await _guest_python())
    if shutil.which("bwrap", path=PATH):
        findings += [await _namespaces(), await _nesting()]
    findings.append(
        Finding(
            "limits",
            support.version != "none",
            support.detail,
            "run Polydev as root, or under systemd with Delegate=yes",
            required=False,
        )
    )
    findings.append(
        Finding(
            "machine users",
            own_users,
            "each machine runs under a user id of its own"
            if own_users
            else "machines run under your own user id",
            "run Polydev as root to give each machine a user id of its own",
            required=False,
        )
    )
    return findings


def _chromium() -> Finding:
    path = Path("/usr/lib/chromium/chromium")
    if path.exists():
        return Finding("chromium", True, str(path))
    found = shutil.which("chromium")
    if found and "/snap/" in str(Path(found).resolve()):
        return Finding(
            "chromium",
            False,
            "it is a snap, which cannot run in a sandbox",
            "use Debian, or install Chromium as a Debian package",
        )
    return Finding("chromium", False, "missing", "apt-get install chromium")


async def _guest_python() -> Finding:
    if not GUEST_PYTHON.exists():
        return Finding("guest python", False, "missing", "apt-get install python3")
    code, out = await run(
        str(GUEST_PYTHON), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    )
    version = [int(part) for part in out.split(".")] if code == 0 else [0]
    return Finding(
        "guest python",
        version >= [3, 11],
        f"{GUEST_PYTHON} is {out or 'not runnable'}",
        "Debian 12 or newer has 3.11",
    )


async def _namespaces() -> Finding:
    code, out = await run(
        *(find_bwrap(), "--unshare-all", "--uid", "1000", "--gid", "1000"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"),
    )
    return Finding(
        "user namespaces",
        code == 0,
        "bubblewrap can make a sandbox" if code == 0 else out.strip()[:200],
        "sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0",
    )


async def _nesting() -> Finding:
    fault = await asyncio.to_thread(nesting_fault)
    return Finding(
        "browser's sandbox",
        fault is None,
        "Chromium's own sandbox works inside a machine"
        if fault is None
        else f"Chromium runs without its own sandbox in a machine, which cannot make one: {fault}",
        "sysctl user.max_user_namespaces=15000; in a container allow user namespaces",
        required=False,
    )


async def run(*argv: str) -> tuple[int, str]:
    """(exit code, what it said); 1 for a program that cannot be started or does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 1, str(error)
    try:
        async with asyncio.timeout(_ANSWERS_IN_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"{argv[0]} did not end within {_ANSWERS_IN_S:g} s"
    return process.returncode or 0, out.decode(errors="replace").strip()
