"""Serves the dashboard: files that `web/` has built into ``api/static``.

Only the dashboard's own addresses answer with its page; anything else is a 404: a problem document,
or the page (which says so) for a browser that somebody has typed an address into. The page
gets a fresh nonce at each answer and is never cached; files under ``assets/`` carry a hash of
their content in their names and are cached for good.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from polydev.api.problems import ANY_PATH, is_known, problem
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
        _whole(scope)
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = _IMMUTABLE
        return response


def add_dashboard(app: FastAPI, static: Path = STATIC) -> None:
    """Add the dashboard's addresses; call after all API routes."""
    router = APIRouter(include_in_schema=False)

    async def page(status: int = 200) -> Response:
        try:
            text = (static / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return problem(404, "dashboard_not_built", _NOT_BUILT)
        nonce = new_nonce()
        return HTMLResponse(
            text.replace(NONCE_PLACEHOLDER, nonce),
            status,
            headers={"Content-Security-Policy": page_csp(nonce)},
        )

    async def known_page() -> Response:
        return await page()

    for path in PAGES:
        router.add_api_route(path, known_page, methods=["GET", "HEAD"])

    async def file_or_nothing(request: Request, path: str) -> Response:
        file = static / path
        if "/" not in path and file.suffix in _ROOT_FILES and _is_file(file):
            _whole(request.scope)
            return FileResponse(file, headers={"Cache-Control": "public, max-age=3600"})
        if not path.startswith("api/") and "text/html" in request.headers.get("accept", ""):
            return await page(404)
        # An address of the API that takes other methods ends up here as well.
        raise HTTPException(405 if is_known(request) else 404)

    app.include_router(router)
    # `check_dir=False`: a dashboard that is built later is served without a restart.
    app.mount("/assets", _Assets(directory=static / "assets", check_dir=False), name="assets")
    app.add_api_route(ANY_PATH, file_or_nothing, methods=["GET", "HEAD"], include_in_schema=False)


def _whole(scope: Scope) -> None:
    """Forget that only a part was asked for: the files are small, and a wrong range would be
    answered past our problem documents."""
    scope["headers"] = [item for item in scope["headers"] if item[0] not in (b"range", b"if-range")]


def _is_file(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
