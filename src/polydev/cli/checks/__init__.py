"""The checks of `polydev doctor`. Each looks at one thing, changes nothing and never raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from polydev.cli.checks import host, state, tools
from polydev.errors import SettingsError
from polydev.machines.driver import Finding
from polydev.settings import Settings, load_settings

Check = Callable[[Settings], Awaitable[list[Finding]]]

CHECKS: tuple[Check, ...] = (
    host.python,
    host.driver,
    host.room,
    host.clock,
    tools.node,
    tools.clis,
    state.state_dir,
    state.key_file,
    state.database,
    state.extra_ca,
    state.egress,
    state.port,
    state.dashboard,
)


async def examine() -> list[Finding]:
    """All findings, in a fixed order. Wrong settings are one finding and end the list early."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            *await host.python(None),
            Finding("settings", False, error.person, "correct them; docs/settings.md lists all"),
        ]
    found: list[Finding] = [Finding("settings", True, "read and checked")]
    for result in await asyncio.gather(*(_safely(check, settings) for check in CHECKS)):
        found += result
    return found


async def _safely(check: Check, settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(60):
            return await check(settings)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        return [
            Finding(
                name,
                False,
                f"this check broke ({type(error).__name__}: {error})",
                "report it; the other checks hold",
                required=False,
            )
        ]
