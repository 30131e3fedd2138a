"""The HTTP server's application: routes inside, layers of protection around them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel

from polydev import __version__
from polydev.api import openapi_page
from polydev.api.access import Access
from polydev.api.auth import Authentication
from polydev.api.dashboard import add_dashboard
from polydev.api.gate import Gate
from polydev.api.limits import BodyLimits
from polydev.api.problems import Incidents, install_handlers
from polydev.api.routes import (
    credentials,
    login,
    machines,
    people,
    receipts,
    runs,
    sessions,
    status,
    streams,
    tools,
)
from polydev.api.security import HostCheck, SecurityHeaders, Sites
from polydev.api.services import Services
from polydev.api.standing import Standing
from polydev.stream.tickets import TicketOffice

_RESOURCES: Final = (
    sessions,
    tools,
    credentials,
    receipts,
    machines,
    runs,
    people,
    login,
    status,
    streams,
)


def create_app(services: Services) -> FastAPI:
    """Build the application. It starts and stops nothing: the services run already."""
    app = bare_app()
    app.state.services = services
    app.state.tickets = TicketOffice()
    app.state.standing = Standing(services.db)
    app.state.stopping = asyncio.Event()
    app.state.started = time.monotonic()
    settings = services.settings
    sites = Sites(settings)
    gate = Gate(services.db)
    # Starlette puts each one around those before it: read this list from the bottom up.
    app.add_middleware(Authentication, by_key=gate.by_key, by_cookie=gate.by_cookie, sites=sites)
    app.add_middleware(BodyLimits, max_bytes=settings.api.max_body)
    app.add_middleware(HostCheck, allowed=sites.host_allowed)
    app.add_middleware(Incidents)
    app.add_middleware(SecurityHeaders, https=sites.https)
    app.add_middleware(Access)
    return app


def bare_app() -> FastAPI:
    """The routes alone, without services: enough for the OpenAPI page."""
    app = FastAPI(
        title="Polydev",
        version=__version__,
        summary="Signs command-line tools in on machines that have no browser.",
        openapi_url="/api/openapi.json",
        # The stock pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Ours are in `access` and `metrics`, without addresses' queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        generate_unique_id_function=_operation_id,
    )
    install_handlers(app)
    for resource in _RESOURCES:
        app.include_router(resource.router)
    add_dashboard(app)
    openapi_page.install(app)
    return app


def _operation_id(route: APIRoute) -> str:
    """``start_sign_in`` -> ``startSignIn``: the name of the client's function."""
    return to_camel(route.name)
