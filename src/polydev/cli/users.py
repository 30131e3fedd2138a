"""`polydev users`: people (for admins)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from polydev.cli.base import Json, Yes, confirm, group, with_api
from polydev.cli.failures import naming
from polydev.cli.output import print_json, say, table

if TYPE_CHECKING:
    from polydev.cli.client import Api

app = group("People (admins only): list, create, remove.")


class Role(StrEnum):
    ADMIN = "admin"
    MEMBER = "member"


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the people of this server.

    Example: polydev users list
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/users")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import UserList
    from polydev.cli.client import parse

    table(
        ("User", "Name", "Role", "Created", "Disabled"),
        (
            (u.user_id, u.name, u.role, u.created_at, u.disabled_at)
            for u in parse(UserList, data).users
        ),
        empty="There is nobody.",
    )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Small letters, digits, '.', '_' and '-'.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.MEMBER,
    as_json: Json = False,
) -> None:
    """Add a person and print their first API key, this once.

    Example: polydev users create ada --role member
    """

    async def work(api: Api) -> Any:
        return await api.post("/api/users", {"name": name, "role": role.value})

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import CreatedUser
    from polydev.cli.client import parse

    user = parse(CreatedUser, data)
    say(f"{user.name} ({user.user_id}) is a {user.role}. Their API key, shown this once:")
    say(user.key)


@app.command()
def remove(
    user_id: Annotated[str, typer.Argument(help="Id of the person (usr_...).")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Disable a person: their keys stop working.

    Example: polydev users remove usr_0123456789 --yes
    """
    confirm(f"Disable {user_id}?", yes=yes)

    async def work(api: Api) -> Any:
        with naming("user", user_id):
            return await api.delete(f"/api/users/{quote(user_id, safe='')}")

    with_api(work)
    if as_json:
        print_json({"removed": user_id})
    else:
        say(f"{user_id} can no longer sign in.")
