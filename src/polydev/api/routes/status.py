"""How the server is: for people, for probes and for Prometheus."""

import time

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from polydev import __version__
from polydev.api import schemas
from polydev.api.deps import Admin, Person, Svc
from polydev.api.metrics import POOL_SIZE, POOL_WARM, SESSIONS
from polydev.errors import PolydevError
from polydev.store.repositories import sessions

router = APIRouter(tags=["server"])
log = structlog.get_logger("polydev.api")


@router.get("/health", summary="Whether the server is well")
async def get_health(request: Request, svc: Svc) -> schemas.Health:
    well = await _database_answers(svc)
    uptime = time.monotonic() - request.app.state.started
    return schemas.Health(status="healthy" if well else "degraded", uptime=round(uptime, 3))


@router.get("/livez", status_code=204, summary="The process answers")
async def get_livez() -> None:
    return None


@router.get(
    "/readyz",
    status_code=204,
    summary="It can do its work",
    responses={503: {"description": "The database does not answer."}},
)
async def get_readyz(svc: Svc) -> Response:
    return Response(status_code=204 if await _database_answers(svc) else 503)


@router.get("/api/info", summary="Version, driver and pool")
async def get_info(who: Person, svc: Svc) -> schemas.ServerInfo:
    del who
    warm, size = await svc.machines.pool_status()
    return schemas.ServerInfo(
        version=__version__,
        driver=svc.settings.machines.driver,
        pool_warm=warm,
        pool_size=size,
    )


@router.get(
    "/metrics",
    summary="Prometheus metrics (administrators)",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(who: Admin, svc: Svc) -> Response:
    del who
    warm, size = await svc.machines.pool_status()
    POOL_WARM.set(warm)
    POOL_SIZE.set(size)
    async with svc.db.reading() as tx:
        for (state, reason), count in (await sessions.count_by_state(tx)).items():
            SESSIONS.labels(state, reason).set(count)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database_answers(svc: Svc) -> bool:
    try:
        await svc.db.check()
    except PolydevError as error:
        log.warning("database.silent", detail=error.detail)
        return False
    return True
