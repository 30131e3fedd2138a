"""`polydev sessions`: sign-ins, past and present."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from polydev.cli.base import Json, group, with_api
from polydev.cli.failures import naming
from polydev.cli.output import fields, print_json, say, table

if TYPE_CHECKING:
    from polydev.api.schemas import SessionView
    from polydev.cli.client import Api

app = group("Sign-ins: list them, look at one, cancel one.")

SessionId = Annotated[str, typer.Argument(help="Id of the session (ses_...).")]


@app.command("list")
def list_(
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List your sign-ins, the newest first.

    Example: polydev sessions list --provider codex --state failed
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/auth/sessions", provider=provider, state=state, limit=limit)

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import SessionList
    from polydev.cli.client import parse

    table(
        ("Session", "Provider", "State", "Reason", "Started", "Ended"),
        (
            (s.session_id, s.provider, s.state, s.reason, s.created_at, s.ended_at)
            for s in parse(SessionList, data).sessions
        ),
        empty="No sign-ins yet. Start one with `polydev login PROVIDER`.",
    )


@app.command()
def show(
    session_id: SessionId,
    console: Annotated[
        bool, typer.Option("--console", help="Print its machine's console log instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one sign-in, or its machine's console log.

    Example: polydev sessions show ses_0123456789 --console
    """

    async def work(api: Api) -> Any:
        tail = "/console" if console else ""
        with naming("session", session_id):
            return await api.get(f"/api/auth/session/{_segment(session_id)}{tail}")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import ConsoleLog, SessionView
    from polydev.cli.client import parse

    if console:
        say(parse(ConsoleLog, data).text)
    else:
        print_session(parse(SessionView, data))


@app.command()
def cancel(session_id: SessionId, as_json: Json = False) -> None:
    """Cancel a sign-in that is going on.

    Example: polydev sessions cancel ses_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("session", session_id):
            return await api.post(f"/api/auth/session/{_segment(session_id)}/cancel")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import SessionView
    from polydev.cli.client import parse

    print_session(parse(SessionView, data))


def print_session(session: SessionView) -> None:
    """One session as a list of fields."""
    fields(
        [
            ("Session", session.session_id),
            ("Provider", session.provider),
            ("State", session.state),
            ("Reason", session.reason),
            ("Message", session.message),
            ("Detail", session.detail),
            ("Browser machine", session.machine_id),
            ("CLI machine", session.cli_machine_id),
            ("Credential", session.credential_id),
            ("Receipt", session.receipt_id),
            ("Started", session.created_at),
            ("Ended", session.ended_at),
            ("Machine gone", session.machine_gone_at),
        ]
    )


def _segment(value: str) -> str:
    from urllib.parse import quote

    return quote(value, safe="")
