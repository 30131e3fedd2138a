"""Node and the tools that machines see."""

from __future__ import annotations

from polydev.machines.driver import Finding
from polydev.providers.catalog import Catalog, Entry
from polydev.providers.install import up_to_date
from polydev.providers.node import node_version
from polydev.settings import Settings


async def node(settings: Settings) -> list[Finding]:
    wanted = node_version()
    place = settings.state_dir / "node"
    try:
        installed = (place / "version").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        installed = ""
    ok = installed == wanted and (place / "bin" / "node").exists()
    return [
        Finding(
            "node",
            ok,
            f"{wanted} in {place}" if ok else f"{installed or 'not installed'}; needs {wanted}",
            "polydev providers install",
        )
    ]


async def clis(settings: Settings) -> list[Finding]:
    """One finding a provider. One tool is enough to work with, so none is required."""
    catalog = Catalog.load(settings)
    findings = [_cli(catalog, entry, settings) for entry in catalog.entries()]
    any_ok = any(finding.ok for finding in findings)
    if not any_ok:
        findings.append(Finding("tools", False, "none is installed", "polydev providers install"))
    return findings


def _cli(catalog: Catalog, entry: Entry, settings: Settings) -> Finding:
    provider = entry.provider
    version = catalog.installed(provider.name)
    current = version is not None and up_to_date(entry, settings.tools_dir)
    if version is None:
        detail = "not installed"
    else:
        detail = version if current else f"{version}, which is not the pinned one"
    return Finding(
        provider.name,
        current,
        detail,
        f"polydev providers install {provider.name}",
        required=False,
    )
