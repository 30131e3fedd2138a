"""Serves the dashboard: files that `web/` has built into ``api/static``.

Only the dashboard's own addresses answer with its page; anything else is a 404 problem. The page
gets a fresh nonce at each answer and is never cached; files under ``assets/`` carry a hash of
their content in their names and are cached for good.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from polydev.api.problems import problem
from polydev.api.security import NONCE_PLACEHOLDER, new_nonce, page_csp

STATIC: Final = Path(__file__).with_name("static")

PAGES: Final = (
    "/",
    "/login",
    "/view/{session_id}",
    "/sessions",
    "/sessions/{session_id}",
    "/receipts",
    "/receipts/{receipt_id}",
    "/machines",
    "/keys",
    "/admin/machines",
    "/admin/users",
)

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_ROOT_FILES: Final = frozenset({".svg", ".ico", ".png", ".webmanifest", ".txt"})

_NOT_BUILT: Final = (
    "The dashboard has not been built: run `npm ci && npm run build` in web/ (scripts/demo and "
    "scripts/test do). The API and the command line work without it."
)


class _Assets(StaticFiles):
    async def check_config(self) -> None:
        """Without a built dashboard there are no files, and that is no fault."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = _IMMUTABLE
        return response


def add_dashboard(app: FastAPI, static: Path = STATIC) -> None:
    """Add the dashboard's addresses; call after all API routes."""
    router = APIRouter(include_in_schema=False)

    async def page() -> Response:
        try:
            text = (static / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return problem(404, "dashboard_not_built", _NOT_BUILT)
        nonce = new_nonce()
        return HTMLResponse(
            text.replace(NONCE_PLACEHOLDER, nonce),
            headers={"Content-Security-Policy": page_csp(nonce)},
        )

    for path in PAGES:
        router.add_api_route(path, page, methods=["GET", "HEAD"])

    async def root_file(name: str) -> Response:
        file = static / name
        if file.suffix in _ROOT_FILES and _is_file(file):
            return FileResponse(file, headers={"Cache-Control": "public, max-age=3600"})
        raise HTTPException(404)

    app.include_router(router)
    # `check_dir=False`: a dashboard that is built later is served without a restart.
    app.mount("/assets", _Assets(directory=static / "assets", check_dir=False), name="assets")
    app.add_api_route("/{name}", root_file, methods=["GET", "HEAD"], include_in_schema=False)


def _is_file(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
