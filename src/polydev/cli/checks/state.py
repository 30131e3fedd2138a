"""What Polydev keeps on this host, and the port that it listens on."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Final

from polydev.cli.checks.host import nearest_existing
from polydev.errors import SettingsError
from polydev.machines.driver import Finding
from polydev.settings import Settings

_DASHBOARD: Final = Path(__file__).parents[2] / "api" / "static"


async def state_dir(settings: Settings) -> list[Finding]:
    """Ours, and (as root, where machines have user ids of their own) open to pass through."""
    path = settings.state_dir
    there = nearest_existing(path)
    findings = [
        Finding(
            "state directory",
            os.access(there, os.W_OK | os.X_OK) and there.is_dir(),
            f"{path}" if there == path else f"{path} (is made at the first start)",
            f"make it writable for this user: chown {os.geteuid()} {there}, or set "
            "POLYDEV_STATE_DIR",
        )
    ]
    if there == path:
        others = path.stat().st_mode & stat.S_IWOTH
        findings.append(
            Finding(
                "state is private",
                not others,
                "other users may write to it" if others else "others cannot write to it",
                f"chmod o-w {path}",
            )
        )
    if os.geteuid() == 0:
        closed = [p for p in (there, *there.parents) if not p.stat().st_mode & stat.S_IXOTH]
        findings.append(
            Finding(
                "state is reachable",
                not closed,
                f"machines' user ids cannot pass {closed[0]}" if closed else "by machines' users",
                f"chmod o+x {' '.join(str(p) for p in closed)}, or set POLYDEV_STATE_DIR to "
                "/var/lib/polydev",
            )
        )
    return findings


async def key_file(settings: Settings) -> list[Finding]:
    """Only looked at, never read."""
    path = settings.key_file
    try:
        status = path.lstat()
    except FileNotFoundError:
        return [
            Finding("key file", False, f"{path} is not there yet", "polydev init", required=False)
        ]
    except PermissionError:
        return [
            Finding(
                "key file",
                False,
                f"{path} is not this user's",
                "run Polydev as its owner",
            )
        ]
    private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
    ours = status.st_uid == os.geteuid()
    return [
        Finding(
            "key file",
            private and ours,
            f"{path}, mode {stat.S_IMODE(status.st_mode):04o}"
            + ("" if ours else f", owned by user {status.st_uid}"),
            f"chown {os.geteuid()} {path} && chmod 600 {path}",
        )
    ]


async def database(settings: Settings) -> list[Finding]:
    """Answers, and has this version's schema."""
    from polydev.server import database_url
    from polydev.store.migrate import check
    from polydev.store.urls import DatabaseUrl

    try:
        url = DatabaseUrl.parse(database_url(settings))
        if url.file is not None and not url.file.exists():
            return [
                Finding(
                    "database",
                    False,
                    f"{url.file} is not there yet",
                    "polydev init",
                    required=False,
                )
            ]
        await asyncio.to_thread(check, database_url(settings))
    except SettingsError as error:
        return [Finding("database", False, error.person, "polydev up migrates an older one")]
    return [Finding("database", True, f"{url.shown}, schema current")]


async def extra_ca(settings: Settings) -> list[Finding]:
    """That it can be read was checked with the settings; here: that it can be used."""
    import ssl

    path = settings.egress.extra_ca
    if path is None:
        return []
    try:
        ssl.create_default_context().load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror or "not usable"
        return [Finding("extra CA", False, f"{path}: {why}", "give a PEM file of certificates")]
    return [Finding("extra CA", True, str(path))]


async def egress(settings: Settings) -> list[Finding]:
    """That its patterns are ones; nothing is asked of the network."""
    from polydev.server import egress_policy

    try:
        egress_policy(settings)
    except SettingsError as error:
        return [Finding("way out", False, error.person, "correct it; docs/settings.md says how")]
    return []


async def port(settings: Settings) -> list[Finding]:
    """Free, or already a Polydev's."""
    from polydev.listening import listen

    host, number = settings.api.host, settings.api.port
    where = f"{host}:{number}"
    try:
        for listener in listen(settings):
            listener.close()
    except SettingsError as error:
        if await _is_polydev(host, number):
            return [Finding("port", True, f"{where}: Polydev is running")]
        return [Finding("port", False, error.person, "set POLYDEV_API__HOST and POLYDEV_API__PORT")]
    return [Finding("port", True, f"{where} is free")]


async def dashboard(settings: Settings) -> list[Finding]:
    del settings
    built = (_DASHBOARD / "index.html").is_file()
    return [
        Finding(
            "dashboard",
            built,
            "built" if built else "not built: the command line works, the web page does not",
            "scripts/setup.sh in a checkout builds it",
            required=False,
        )
    ]


async def _is_polydev(host: str, number: int) -> bool:
    import httpx

    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.get(f"http://{name}:{number}/health")
            return answer.json().get("status") in {"healthy", "degraded"}
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
