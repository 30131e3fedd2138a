"""`polydev machines`: your CLI machine, and for an admin all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from polydev.cli.base import Json, Yes, confirm, group, with_api
from polydev.cli.failures import naming
from polydev.cli.output import fields, print_json, say, table

if TYPE_CHECKING:
    from polydev.cli.client import Api

app = group("Machines: list, inspect, read the console, hibernate, resume, destroy.")

MachineId = Annotated[str, typer.Argument(help="Id of the machine (mac_...).")]


@app.command("list")
def list_(
    everyone: Annotated[
        bool, typer.Option("--all", help="Everybody's machines (admins only).")
    ] = False,
    as_json: Json = False,
) -> None:
    """List your machines.

    Example: polydev machines list --all
    """

    async def work(api: Api) -> Any:
        return await api.get("/api/machines", scope="all" if everyone else "mine")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import MachineList
    from polydev.cli.client import parse

    table(
        ("Machine", "Kind", "State", "Driver", "Person", "Created", "Detail"),
        (
            (
                m.machine_id,
                m.kind,
                m.state,
                m.driver,
                m.user_name or m.user_id,
                m.created_at,
                m.detail,
            )
            for m in parse(MachineList, data).machines
        ),
        empty="No machines. Your CLI machine is made at your first sign-in.",
    )


@app.command()
def show(machine_id: MachineId, as_json: Json = False) -> None:
    """Show one machine.

    Example: polydev machines show mac_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("machine", machine_id):
            return await api.get(_path(machine_id))

    _print(with_api(work), as_json=as_json)


@app.command()
def console(machine_id: MachineId, as_json: Json = False) -> None:
    """Print the end of a machine's console log (kept after the machine is gone).

    Example: polydev machines console mac_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("machine", machine_id):
            return await api.get(f"{_path(machine_id)}/console")

    data = with_api(work)
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import ConsoleLog
    from polydev.cli.client import parse

    say(parse(ConsoleLog, data).text)


@app.command()
def hibernate(machine_id: MachineId, as_json: Json = False) -> None:
    """Stop a CLI machine; its home stays.

    Example: polydev machines hibernate mac_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("machine", machine_id):
            return await api.post(f"{_path(machine_id)}/hibernate", slow=True)

    _print(with_api(work), as_json=as_json)


@app.command()
def resume(machine_id: MachineId, as_json: Json = False) -> None:
    """Start a hibernated CLI machine again.

    Example: polydev machines resume mac_0123456789
    """

    async def work(api: Api) -> Any:
        with naming("machine", machine_id):
            return await api.post(f"{_path(machine_id)}/resume", slow=True)

    _print(with_api(work), as_json=as_json)


@app.command()
def destroy(machine_id: MachineId, yes: Yes = False, as_json: Json = False) -> None:
    """Destroy a machine and all that is in its home. Credentials stay in the vault.

    Example: polydev machines destroy mac_0123456789 --yes
    """
    confirm(f"Destroy {machine_id} with everything in its home?", yes=yes)

    async def work(api: Api) -> Any:
        with naming("machine", machine_id):
            return await api.delete(_path(machine_id))

    with_api(work)
    if as_json:
        print_json({"destroyed": machine_id})
    else:
        say(f"{machine_id} is gone.")


def _path(machine_id: str) -> str:
    return f"/api/machines/{quote(machine_id, safe='')}"


def _print(data: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    from polydev.api.schemas import MachineView
    from polydev.cli.client import parse

    machine = parse(MachineView, data)
    fields(
        [
            ("Machine", machine.machine_id),
            ("Kind", machine.kind),
            ("State", machine.state),
            ("Driver", machine.driver),
            ("Person", machine.user_id),
            ("Runs on", machine.executor_id),
            ("Created", machine.created_at),
            ("Ready", machine.ready_at),
            ("Destroyed", machine.destroyed_at),
            ("Detail", machine.detail),
        ]
    )
