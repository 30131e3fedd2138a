"""Machines: a person's own; an admin reaches all."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from polydev.api import schemas, views
from polydev.api.auth import Principal
from polydev.api.deps import MachineId, Person, Svc
from polydev.errors import Forbidden, NotFound
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines

router = APIRouter(tags=["machines"])


_MOST_GONE: Final = 200


@router.get("/api/machines", summary="Machines that exist, or have existed")
async def list_machines(
    who: Person,
    svc: Svc,
    scope: Annotated[
        Literal["mine", "all", "gone"],
        Query(
            description="`all`: everybody's. `gone`: those destroyed last, whose console logs are "
            "kept. Both need an administrator."
        ),
    ] = "mine",
) -> schemas.MachineList:
    if scope == "mine":
        async with svc.db.reading() as tx:
            records = await machines.list_of(tx, who.user_id)
        return schemas.MachineList(machines=[views.machine(record) for record in records])
    if not who.admin:
        raise Forbidden("Only an administrator may list everybody's machines.")
    async with svc.db.reading() as tx:
        if scope == "all":
            records = await machines.any_list(tx)
        else:
            records = await machines.any_gone(tx, limit=_MOST_GONE)
        uses = await machines.used_by(tx, records)
    return schemas.MachineList(
        machines=[
            views.machine(record, user_name=uses[record.id][0], session_id=uses[record.id][1])
            for record in records
        ]
    )


@router.get("/api/machines/{id}", summary="One machine")
async def get_machine(machine_id: MachineId, who: Person, svc: Svc) -> schemas.MachineView:
    return views.machine(await _reachable(svc, who, machine_id))


@router.get("/api/machines/{id}/console", summary="Its console log")
async def get_machine_console(machine_id: MachineId, who: Person, svc: Svc) -> schemas.ConsoleLog:
    await _reachable(svc, who, machine_id)
    return schemas.ConsoleLog(machine_id=machine_id, text=await svc.machines.console(machine_id))


@router.post("/api/machines/{id}/hibernate", summary="Stop a CLI machine, keeping its home")
async def hibernate_machine(machine_id: MachineId, who: Person, svc: Svc) -> schemas.MachineView:
    await _reachable(svc, who, machine_id)
    return views.machine(await svc.machines.hibernate(_reach(who), machine_id))


@router.post("/api/machines/{id}/resume", summary="Start a hibernated CLI machine")
async def resume_machine(machine_id: MachineId, who: Person, svc: Svc) -> schemas.MachineView:
    await _reachable(svc, who, machine_id)
    return views.machine(await svc.machines.resume(_reach(who), machine_id))


@router.delete("/api/machines/{id}", status_code=204, summary="Destroy a machine and its home")
async def destroy_machine(machine_id: MachineId, who: Person, svc: Svc) -> None:
    await _reachable(svc, who, machine_id)
    await svc.machines.destroy(_reach(who), machine_id)


def _reach(who: Principal) -> str | None:
    """Whose machines: None means everybody's."""
    return None if who.admin else who.user_id


async def _reachable(svc: Svc, who: Principal, machine_id: str) -> MachineRecord:
    async with svc.db.reading() as tx:
        record = await machines.any_get(tx, machine_id)
    if record is None or (record.user_id != who.user_id and not who.admin):
        raise NotFound(f"There is no machine {machine_id}.")
    return record
