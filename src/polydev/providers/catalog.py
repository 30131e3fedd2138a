"""All providers that this Polydev knows: the built-in ones and the operator's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from polydev.errors import InvalidInput, SettingsError
from polydev.providers.check import Fault, ProviderFaults, read_provider
from polydev.providers.locate import lookup
from polydev.providers.schema import NpmInstall, Provider

if TYPE_CHECKING:
    from polydev.settings import Settings

BUILT_IN: Final = Path(__file__).parent
RECORD: Final = "installed.json"
"""In the tools directory: command -> where it came from and its version."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A provider and the file that defines it."""

    provider: Provider
    file: Path
    built_in: bool


class Catalog:
    """Read once at start; immutable."""

    def __init__(self, entries: Mapping[str, Entry], tools_dir: Path) -> None:
        self._entries = dict(sorted(entries.items()))
        self._tools_dir = tools_dir

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Read the packaged files, then the operator's.

        Raises:
            SettingsError: a file of the operator's is wrong; names file, line and field.
        """
        try:
            return cls(_collect(settings.user_providers_dir), settings.tools_dir)
        except ProviderFaults as error:
            raise SettingsError(f"A provider's file is wrong:\n  {error}") from None

    def get(self, name: str) -> Provider:
        """The provider of this name.

        Raises:
            InvalidInput: there is none; lists those there are.
        """
        return self.entry(name).provider

    def entry(self, name: str) -> Entry:
        """As `get`, with the file that it came from."""
        found = self._entries.get(name)
        if found is None:
            known = ", ".join(self._entries)
            raise InvalidInput(
                f"There is no provider {name[:64]!r}. Known: {known}.", field="provider"
            )
        return found

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def all(self) -> tuple[Provider, ...]:
        return tuple(entry.provider for entry in self._entries.values())

    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    def installed(self, name: str) -> str | None:
        """Version of the tool that machines see, or None where it is not installed."""
        return installed_version(self._tools_dir, self.get(name))


def installed_version(tools_dir: Path, provider: Provider) -> str | None:
    """What the install (`polydev.providers.install`) recorded for this provider."""
    install = provider.install
    if not (tools_dir / "bin" / install.command).exists():
        return None
    try:
        record = cast("object", json.loads((tools_dir / RECORD).read_bytes()))
    except (OSError, ValueError):
        return None
    entry = lookup(record, (install.command,))
    version = lookup(entry, ("version",))
    same = lookup(entry, ("from",)) == source_of(provider)
    return version if same and isinstance(version, str) else None


def source_of(provider: Provider) -> str:
    """What a command was installed from, as the record says it."""
    install = provider.install
    return install.package if isinstance(install, NpmInstall) else f"script:{provider.name}"


def _collect(user_dir: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for file in sorted(BUILT_IN.glob("*.toml")):
        provider = read_provider(file)
        entries[provider.name] = Entry(provider, file, built_in=True)
    faults: list[Fault] = []
    for file in sorted(user_dir.glob("*.toml")):
        try:
            provider = read_provider(file)
        except ProviderFaults as error:
            faults += error.faults
            continue
        clash = _clash(provider, entries)
        if clash:
            faults.append(Fault(str(file), 1, 1, "name", clash))
            continue
        entries[provider.name] = Entry(provider, file, built_in=False)
    if faults:
        raise ProviderFaults(faults)
    return entries


def _clash(provider: Provider, entries: Mapping[str, Entry]) -> str | None:
    """Why this provider cannot stand beside those already read."""
    other = entries.get(provider.name)
    if other is not None and not other.built_in:
        return f"'{provider.name}' is already defined in {other.file}"
    if other is not None and not provider.replaces:
        return f"'{provider.name}' is built in; say `replaces = true` to take its place"
    for entry in entries.values():
        theirs = entry.provider
        same_command = theirs.install.command == provider.install.command
        if same_command and theirs.name != provider.name and theirs.install != provider.install:
            return f"install.command '{provider.install.command}' is already {theirs.name}'s"
    return None
