"""The OpenAPI page: FastAPI's own, with our errors and sign-in methods in it."""

from __future__ import annotations

from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from polydev.api import schemas
from polydev.api.auth import COOKIE
from polydev.api.problems import PROBLEM_TYPE

_REF: Final = "#/components/schemas/"

_SIGNED_IN: Final[list[dict[str, list[str]]]] = [
    {"apiKey": []},
    {"dashboardCookie": [], "csrfToken": []},
]
_OPEN: Final = frozenset({"getHealth", "getLivez", "getReadyz", "redeemLoginLink"})

_ALWAYS: Final = {
    "421": "Not a host name of this server.",
    "500": "A fault of ours; the log has it under the number in the text.",
}
_WITH_SIGN_IN: Final = {
    "401": "Not signed in.",
    "403": "Signed in, but not allowed: role, Origin, CSRF token, or a single-session link.",
}
_WITH_ID: Final = {"404": "There is no such thing, or it is another person's."}
_WITH_BODY: Final = {
    "400": "The body cannot be read.",
    "413": "The body is too long.",
    "415": "The body is not JSON.",
}
_WITH_INPUT: Final = {"422": "A field is wrong; it is named, its value is not repeated."}
_WITH_WORK: Final = {
    "409": "Not in this state.",
    "502": "A machine or its agent failed.",
    "503": "No room now; Retry-After says when.",
}

_ALSO: Final[dict[str, dict[str, str]]] = {
    "redeemLoginLink": {"401": "The link is used, expired or unknown.", "403": "Wrong Origin."},
    "listSessions": _WITH_ID,
    "getSessionConsole": _WITH_WORK,
    "getMachineConsole": _WITH_WORK,
    "getMetrics": {"403": "Needs an administrator."},
}

_EXTRA_SCHEMAS: Final = (schemas.Problem, schemas.RunChunk)


def install(app: FastAPI) -> None:
    """Replace the application's page maker; the page is made once, when first asked for."""

    def page() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = page


def _build(app: FastAPI) -> dict[str, Any]:
    page = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = page.setdefault("components", {})
    known: dict[str, Any] = components.setdefault("schemas", {})
    for model in _EXTRA_SCHEMAS:
        schema = model.model_json_schema(ref_template=_REF + "{model}", mode="serialization")
        known |= schema.pop("$defs", {})
        known[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "pdk_…"},
        "dashboardCookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        "csrfToken": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "Needed with the cookie for every method but GET; see GET /api/me.",
        },
    }
    for path, item in cast("dict[str, dict[str, Any]]", page["paths"]).items():
        for method, operation in item.items():
            _finish(path, method, operation)
    components["schemas"] = dict(sorted(known.items()))
    return page


def _finish(path: str, method: str, operation: dict[str, Any]) -> None:
    name: str = operation["operationId"]
    problems = dict(_ALWAYS)
    if name not in _OPEN:
        operation["security"] = _SIGNED_IN
        problems |= _WITH_SIGN_IN
    if "{" in path:
        problems |= _WITH_ID
    if "requestBody" in operation:
        problems |= _WITH_BODY
    if "422" in operation["responses"] or "requestBody" in operation:
        problems |= _WITH_INPUT
    if method in ("post", "delete") and name not in _OPEN:
        problems |= _WITH_WORK
    problems |= _ALSO.get(name, {})
    for status, description in sorted(problems.items()):
        operation["responses"][status] = {
            "description": description,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF + "Problem"}}},
        }
