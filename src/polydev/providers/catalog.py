"""All providers that this Polydev knows: the built-in ones and the operator's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from polydev.errors import InvalidInput, SettingsError
from polydev.providers.check import (
    Fault,
    ProviderFaults,
    parse_provider,
    read_provider,
    read_text,
)
from polydev.providers.locate import lookup, position
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


def check_file(path: Path) -> Provider:
    """As `read_provider`, and what is beside the file and among the built-in ones, too.

    Raises:
        ProviderFaults: with every fault found.
    """
    text = read_text(path)
    provider = parse_provider(text, str(path))
    install, clash = provider.install, None
    if path.resolve().parent != BUILT_IN.resolve():
        clash = _clash(provider, _built_in())
    found: list[tuple[tuple[str, ...], str]] = []
    if clash is not None:
        found.append(clash)
    if isinstance(install, NpmInstall):
        for part in ("package.json", "package-lock.json"):
            if not (path.parent / install.lock / part).is_file():
                found.append((("install", "lock"), f"there is no {install.lock}/{part} beside it"))
    elif not (path.parent / install.file).is_file():
        found.append((("install", "file"), f"there is no file {install.file} beside this one"))
    faults = [
        Fault(str(path), *position(text, field), ".".join(field), message)
        for field, message in found
    ]
    if faults:
        raise ProviderFaults(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return provider


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
    entries = _built_in()
    faults: list[Fault] = []
    for file in sorted(user_dir.glob("*.toml")):
        try:
            text = read_text(file)
            provider = parse_provider(text, str(file))
        except ProviderFaults as error:
            faults += error.faults
            continue
        clash = _clash(provider, entries)
        if clash:
            field, message = clash
            faults.append(Fault(str(file), *position(text, field), ".".join(field), message))
            continue
        entries[provider.name] = Entry(provider, file, built_in=False)
    if faults:
        raise ProviderFaults(faults)
    return entries


def _built_in() -> dict[str, Entry]:
    providers = ((file, read_provider(file)) for file in sorted(BUILT_IN.glob("*.toml")))
    return {provider.name: Entry(provider, file, built_in=True) for file, provider in providers}


def _clash(provider: Provider, entries: Mapping[str, Entry]) -> tuple[tuple[str, ...], str] | None:
    """Why this provider cannot stand beside those already read: the field, and what is wrong."""
    other = entries.get(provider.name)
    if other is not None and not other.built_in:
        return ("name",), f"'{provider.name}' is already defined in {other.file}"
    if other is not None and not provider.replaces:
        return ("name",), f"'{provider.name}' is built in; say `replaces = true` to take its place"
    for entry in entries.values():
        theirs = entry.provider
        same_command = theirs.install.command == provider.install.command
        if same_command and theirs.name != provider.name and theirs.install != provider.install:
            command = provider.install.command
            return ("install", "command"), f"'{command}' is already {theirs.name}'s"
    return None
