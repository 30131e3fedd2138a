"""`polydev`: the command line. Commands import what they need when they run, so that `--help` and
shell completion are quick."""

from __future__ import annotations

from typing import Annotated

import typer

from polydev import __version__
from polydev.cli import (
    credentials,
    dashboard,
    doctor,
    keys,
    login,
    machines,
    providers,
    receipts,
    run,
    server,
    sessions,
    shell,
    users,
    vault,
)
from polydev.cli.base import Group

HELP = """Sign command-line tools in (Codex, Claude Code, ...) on machines without a browser.

First steps: `polydev doctor`, `polydev init`, `polydev up`, and in another terminal
`polydev login codex`.
"""

app = typer.Typer(
    cls=Group,
    name="polydev",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"polydev {__version__}")
        raise typer.Exit


@app.callback()
def polydev(
    _show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del _show_version


for module in (server, login, run, shell, doctor, dashboard):
    module.add_to(app)
for name, part in (
    ("sessions", sessions),
    ("credentials", credentials),
    ("receipts", receipts),
    ("machines", machines),
    ("providers", providers),
    ("users", users),
    ("keys", keys),
    ("vault", vault),
):
    app.add_typer(part.app, name=name)

if __name__ == "__main__":
    app()
