"""`polydev dashboard`: a one-time link that signs you in to the web page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from polydev.cli.base import Json, with_api
from polydev.cli.output import note, print_json, say, show

if TYPE_CHECKING:
    from polydev.cli.client import Api


def add_to(app: typer.Typer) -> None:
    app.command()(dashboard)


def dashboard(
    open_: Annotated[
        bool, typer.Option("--open", help="Open it in your browser, if there is one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a link that signs you in to the dashboard. It works once and for a short time.

    Example: polydev dashboard --open
    """

    async def work(api: Api) -> Any:
        return await api.post("/api/login/link")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import LoginLink
    from polydev.cli.browser import opened_in_browser
    from polydev.cli.client import parse

    link = parse(LoginLink, data)
    say(link.url)
    note(f"Works once, until {show(link.expires_at)}.", style="dim")
    if open_:
        with opened_in_browser(link.url) as opened:
            if not opened:
                note("There is no browser here: open the link yourself.")
            else:
                # The private file that sends the browser on is removed when this block ends.
                typer.prompt(
                    "Opened. Press Enter when the page is there",
                    default="",
                    show_default=False,
                    err=True,
                )
