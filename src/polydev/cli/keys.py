"""`polydev keys`: your API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from polydev.cli.base import Json, Yes, confirm, group, with_api
from polydev.cli.failures import naming
from polydev.cli.output import print_json, say, table

if TYPE_CHECKING:
    from polydev.cli.client import Api

app = group("Your API keys: list, create, revoke.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List your API keys (never the keys themselves).

    Example: polydev keys list
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/keys")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import ApiKeyList
    from polydev.cli.client import parse

    table(
        ("Key", "Label", "Created", "Last used", "Expires", "Revoked"),
        (
            (k.key_id, k.label, k.created_at, k.last_used_at, k.expires_at, k.revoked_at)
            for k in parse(ApiKeyList, data).keys
        ),
        empty="You have no keys.",
    )


@app.command()
def create(
    label: Annotated[str, typer.Argument(help="What it is for.")] = "key",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it expires. Default: never.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key and print it, this once.

    Example: polydev keys create laptop --days 90
    """

    async def work(api: Api) -> Any:
        return await api.post("/api/keys", {"label": label, "expiresInDays": days})

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import CreatedApiKey
    from polydev.cli.client import parse

    made = parse(CreatedApiKey, data)
    say(f"{made.key_id} ({made.label}), shown this once:")
    say(made.key)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key (key_...).")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make a key stop working.

    Example: polydev keys revoke key_0123456789 --yes
    """
    confirm(f"Revoke {key_id}?", yes=yes)

    async def work(api: Api) -> Any:
        with naming("key", key_id):
            return await api.delete(f"/api/keys/{quote(key_id, safe='')}")

    with_api(work)
    if as_json:
        print_json({"revoked": key_id})
    else:
        say(f"{key_id} no longer works.")
