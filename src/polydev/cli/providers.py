"""`polydev providers`: the tools that this host knows. Works without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from polydev.cli.base import Json, group, provider_names
from polydev.cli.exits import Exit
from polydev.cli.output import note, print_json, say, table

app = group("Providers: list, check a file, install the tools, print the format.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the providers that this host knows, and what is installed.

    Example: polydev providers list
    """
    from polydev.providers.catalog import Catalog
    from polydev.settings import load_settings

    catalog = Catalog.load(load_settings())
    rows = [
        {
            "provider": entry.provider.name,
            "title": entry.provider.title,
            "vendor": entry.provider.vendor,
            "installed": catalog.installed(entry.provider.name),
            "file": "built in" if entry.built_in else str(entry.file),
        }
        for entry in catalog.entries()
    ]
    if as_json:
        print_json({"providers": rows})
        return
    table(
        ("Provider", "Title", "Vendor", "Installed", "Defined in"),
        (tuple(row.values()) for row in rows),
        empty="There are no providers.",
    )


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="TOML files to check.")],
    as_json: Json = False,
) -> None:
    """Check provider files; faults are named with line and field. Exit code 1 if there are any.

    Example: polydev providers check my-tool.toml
    """
    from dataclasses import asdict

    from polydev.providers.catalog import check_file
    from polydev.providers.check import Fault, ProviderFaults

    faults: list[Fault] = []
    for file in files:
        try:
            provider = check_file(file)
        except ProviderFaults as error:
            faults += error.faults
        else:
            if not as_json:
                say(f"{file}: {provider.title} is fine")
    if as_json:
        print_json({"ok": not faults, "faults": [asdict(fault) for fault in faults]})
    for fault in [] if as_json else faults:
        note(str(fault), style="red")
    if faults:
        raise typer.Exit(int(Exit.FAILED))


@app.command()
def install(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Which; default: all.", autocompletion=provider_names
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Install the tools, pinned, where machines can use them. Quick when nothing has changed.

    Example: polydev providers install codex
    """
    from polydev.providers.catalog import Catalog
    from polydev.providers.install import install_tools
    from polydev.settings import load_settings, make_state_dir

    settings = load_settings()
    make_state_dir(settings)
    catalog = Catalog.load(settings)
    entries = [catalog.entry(name) for name in names] if names else list(catalog.entries())
    changed = install_tools(entries, settings.state_dir, note if as_json else say)
    if as_json:
        versions = {e.provider.name: catalog.installed(e.provider.name) for e in entries}
        print_json({"changed": changed, "installed": versions})


@app.command()
def schema() -> None:
    """Print the JSON schema of a provider file, for editors.

    Example: polydev providers schema > provider.schema.json
    """
    from polydev.providers.jsonschema import provider_schema

    typer.echo(json.dumps(provider_schema(), indent=2))
