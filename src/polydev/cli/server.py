"""`polydev init` and `polydev up`: on the server's own machine."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from polydev.cli.base import Json
from polydev.cli.output import print_json, say


def add_to(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(up)


def init(
    name: Annotated[str, typer.Option(help="Name of the first admin.")] = "admin",
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make another API key if there is an admin already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the database, the vault's key file and the first admin; print the admin's API key once.

    The key is also stored for this command line (mode 0600). Safe to run again: what is there
    stays as it is.

    Example: sudo polydev init --name ada
    """
    from polydev.cli.setup import initialise
    from polydev.settings import load_settings

    done = asyncio.run(initialise(load_settings(), name, new_key=new_key))
    if as_json:
        print_json(
            {
                "stateDir": str(done.state_dir),
                "server": done.server,
                "admin": done.admin,
                "created": done.created,
                "key": done.key.reveal() if done.key else None,
                "profile": str(done.profile) if done.profile else None,
            }
        )
        return
    say(f"State: {done.state_dir}")
    if done.key is None:
        say(f"There is an admin already ({done.admin}); nothing was changed.")
        say("Lost the key? `polydev init --new-key` makes another.")
        return
    say(f"{'Made the admin' if done.created else 'Made another key for'} {done.admin}.")
    say("The API key, shown this once:")
    say(f"\n  {done.key.reveal()}\n", style="bold")
    if done.profile:
        say(f"Stored for this command line in {done.profile}.")
    else:
        say(
            "This command line is set up for another server already and stays so. To use this "
            f"one: POLYDEV_SERVER={done.server} and POLYDEV_API_KEY."
        )
    say("Next: `polydev up`, then in another terminal `polydev login codex`.")


def up() -> None:
    """Run the server until Ctrl-C or SIGTERM. Migrates the database first.

    Example: POLYDEV_API__PORT=4001 polydev up
    """
    from polydev.server import serve
    from polydev.settings import load_settings

    asyncio.run(serve(load_settings()))
