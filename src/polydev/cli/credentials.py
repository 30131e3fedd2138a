"""`polydev credentials`: what is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from polydev.cli.base import Json, Yes, confirm, group, with_api
from polydev.cli.exits import Exit
from polydev.cli.failures import naming
from polydev.cli.output import fields, print_json, say, table

if TYPE_CHECKING:
    from polydev.api.schemas import CredentialView
    from polydev.cli.client import Api

app = group("Credentials: list, prove, deliver again, revoke.")

Which = Annotated[
    str, typer.Argument(metavar="CREDENTIAL", help="Id (cred_...) or the provider's name.")
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List what you are signed in to.

    Example: polydev credentials list --json
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/credentials")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import CredentialList
    from polydev.cli.client import parse

    table(
        ("Credential", "Provider", "Account", "Plan", "Version", "Verified", "Accepted"),
        (
            (
                c.credential_id,
                c.provider,
                c.account,
                c.plan,
                c.version,
                c.verified_at,
                c.verified_ok,
            )
            for c in parse(CredentialList, data).credentials
        ),
        empty="You are not signed in to anything yet. Start with `polydev login PROVIDER`.",
    )


@app.command()
def show(credential: Which, as_json: Json = False) -> None:
    """Show one credential (never its content).

    Example: polydev credentials show codex
    """

    async def work(api: Api) -> Any:
        with naming("credential", credential):
            return await api.get(await _path(api, credential))

    _print(with_api(work), as_json=as_json)


@app.command()
def verify(credential: Which, as_json: Json = False) -> None:
    """Ask the tool in your CLI machine whether it is signed in. Exit code 1 if it is not.

    Example: polydev credentials verify codex
    """

    async def work(api: Api) -> Any:
        with naming("credential", credential):
            return await api.post(f"{await _path(api, credential)}/verify", slow=True)

    data = with_api(work)
    from polydev.api.schemas import VerifyResult
    from polydev.cli.client import parse

    result = parse(VerifyResult, data)
    if as_json:
        print_json(data)
    else:
        fields(
            [
                ("Signed in", result.ok),
                ("The tool says", result.status_output),
                ("Verified", result.verified_at),
            ]
        )
    if not result.ok:
        raise typer.Exit(int(Exit.FAILED))


@app.command()
def deliver(credential: Which, as_json: Json = False) -> None:
    """Write the credential into your CLI machine again.

    Example: polydev credentials deliver codex
    """

    async def work(api: Api) -> Any:
        with naming("credential", credential):
            return await api.post(f"{await _path(api, credential)}/deliver", slow=True)

    _print(with_api(work), as_json=as_json)


@app.command()
def revoke(credential: Which, yes: Yes = False, as_json: Json = False) -> None:
    """Erase the credential here and take it out of your CLI machine.

    It stays valid at the provider until you sign the device out there.

    Example: polydev credentials revoke codex --yes
    """
    confirm(f"Erase the credential {credential!r}?", yes=yes)

    async def work(api: Api) -> Any:
        with naming("credential", credential):
            return await api.delete(await _path(api, credential))

    with_api(work)
    if as_json:
        print_json({"revoked": credential})
    else:
        say(
            "Erased here. It may still be valid at the provider: sign this device out in your "
            "account's security page."
        )


async def _path(api: Api, credential: str) -> str:
    """The path of a credential that is named by its id or by its provider."""
    from urllib.parse import quote

    if credential.startswith("cred_"):
        return f"/api/credentials/{quote(credential, safe='')}"
    from polydev.api.schemas import CredentialList
    from polydev.cli.client import parse
    from polydev.errors import NotFound

    mine = parse(CredentialList, await api.get("/api/credentials")).credentials
    for found in mine:
        if found.provider == credential:
            return f"/api/credentials/{quote(found.credential_id, safe='')}"
    raise NotFound(
        f"You have no credential for {credential!r}. Sign in with `polydev login {credential}`."
    )


def _print(data: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import CredentialView
    from polydev.cli.client import parse

    print_credential(parse(CredentialView, data))


def print_credential(credential: CredentialView) -> None:
    """One credential as a list of fields."""
    fields(
        [
            ("Credential", credential.credential_id),
            ("Provider", credential.provider),
            ("Account", credential.account),
            ("Plan", credential.plan),
            ("Access token ends", credential.expires_at),
            ("Version", credential.version),
            ("CLI machine", credential.machine_id),
            ("Verified", credential.verified_at),
            ("Accepted", credential.verified_ok),
            ("The tool says", credential.status_output),
        ]
    )
