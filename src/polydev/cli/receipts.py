"""`polydev receipts`: what was captured, where it went, when the machine was gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from polydev.cli.base import Json, group, with_api
from polydev.cli.failures import naming
from polydev.cli.output import fields, print_json, table

if TYPE_CHECKING:
    from polydev.api.schemas import ReceiptView
    from polydev.cli.client import Api

app = group("Receipts: what was captured and where it went. Never content.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List your receipts, the newest first.

    Example: polydev receipts list
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/receipts")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import ReceiptList
    from polydev.cli.client import parse

    table(
        ("Receipt", "Provider", "Account", "Files", "Verified", "Machine gone"),
        (
            (r.receipt_id, r.provider, r.account, len(r.files), r.verified_at, r.machine_gone_at)
            for r in parse(ReceiptList, data).receipts
        ),
        empty="No receipts yet: each finished sign-in makes one.",
    )


@app.command()
def show(
    receipt_id: Annotated[str, typer.Argument(help="Id of the receipt (rcpt_...).")],
    as_json: Json = False,
) -> None:
    """Show one receipt.

    Example: polydev receipts show rcpt_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("receipt", receipt_id):
            return await api.get(f"/api/receipts/{quote(receipt_id, safe='')}")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import ReceiptView
    from polydev.cli.client import parse

    print_receipt(parse(ReceiptView, data))


def print_receipt(receipt: ReceiptView) -> None:
    """One receipt as a list of fields."""
    files = "\n".join(f"{f.mode} {f.size:>7} {f.path}" for f in receipt.files)
    fields(
        [
            ("Receipt", receipt.receipt_id),
            ("Provider", receipt.provider),
            ("Account", receipt.account),
            ("Plan", receipt.plan),
            ("Credential", f"{receipt.credential_id}, version {receipt.version}"),
            ("Files", files),
            ("Ciphertext SHA-256", receipt.ciphertext_sha256),
            ("Encrypted under key", receipt.key_id),
            ("Browser machine", receipt.browser_machine_id),
            ("Machine gone", receipt.machine_gone_at),
            ("Delivered to", receipt.cli_machine_id),
            ("Delivered", receipt.delivered_at),
            ("Verified", receipt.verified_at),
            ("Asked", receipt.status_command),
            ("The tool says", receipt.status_output),
        ]
    )
