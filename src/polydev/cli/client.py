"""The public API over HTTP, for the commands."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import httpx

from polydev.cli.failures import ServerProblem, Unreachable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from polydev.cli.profile import Profile

    Model = TypeVar("Model", bound=BaseModel)

_TIMEOUT: Final = httpx.Timeout(30, connect=10)
# Verifying and resuming wait for a machine and for the tool's own answer.
_SLOW: Final = httpx.Timeout(300, connect=10)
_STREAM: Final = httpx.Timeout(30, connect=10, read=None)
_MAX_LINE: Final = 8 << 20


class Api:
    """One signed-in connection to a server; an async context manager."""

    def __init__(self, profile: Profile) -> None:
        self.server = profile.server
        self.loopback = profile.loopback
        self._client = httpx.AsyncClient(
            base_url=profile.server,
            timeout=_TIMEOUT,
            # A proxy of the environment cannot reach this computer's own loopback.
            trust_env=not profile.loopback,
            follow_redirects=False,
            headers={
                "Authorization": f"Bearer {profile.api_key.reveal()}",
                "Accept": "application/json",
                "User-Agent": "polydev-cli",
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str | int | None) -> Any:
        params = {name: value for name, value in query.items() if value is not None}
        return await self._call("GET", path, params=params)

    async def post(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        slow: bool = False,
    ) -> Any:
        return await self._call(
            "POST", path, json=body, headers=headers, timeout=_SLOW if slow else _TIMEOUT
        )

    async def delete(self, path: str) -> Any:
        return await self._call("DELETE", path, timeout=_SLOW)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        accept: str,
    ) -> AsyncGenerator[httpx.Response]:
        """An open answer, checked for success. Closing it cancels what it was for."""
        try:
            async with self._client.stream(
                method,
                path,
                json=body,
                params=params,
                headers={"Accept": accept},
                timeout=_STREAM,
            ) as response:
                if response.is_error:
                    await response.aread()
                    _raise_for(response)
                yield response
        except httpx.TransportError as error:
            raise _unreachable(self.server, error) from None

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = await self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise _unreachable(self.server, error) from None
        if not response.is_success:
            _raise_for(response)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise _not_polydev(self.server, response.status_code) from None


def parse(model: type[Model], data: object) -> Model:
    """Read an answer; fields that a newer server adds are passed over."""
    from pydantic import ValidationError

    try:
        return model.model_validate(data, extra="ignore")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise ServerProblem(
            502,
            "unexpected_answer",
            f"The server's answer is not one that this version understands ({model.__name__}: "
            f"{where}). Use the same version of Polydev on both sides.",
        ) from None


async def json_lines(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The objects of an NDJSON answer."""
    held = ""
    async for piece in response.aiter_text():
        *lines, held = (held + piece).split("\n")
        if len(held) > _MAX_LINE:
            break
        for line in lines:
            if line.strip():
                yield _object(line)
    if held.strip():
        yield _object(held)


def _object(line: str) -> dict[str, Any]:
    try:
        value = cast("object", json.loads(line))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ServerProblem(502, "unexpected_answer", "The server's stream holds a broken line.")
    return cast("dict[str, Any]", value)


def _raise_for(response: httpx.Response) -> None:
    try:
        document = cast("object", response.json())
    except ValueError:
        document = None
    if not isinstance(document, dict) or response.is_redirect:
        raise _not_polydev(
            f"{response.url.scheme}://{response.url.netloc.decode()}", response.status_code
        )
    problem = cast("dict[str, object]", document)
    errors = problem.get("errors")
    fields = tuple(
        f"{item.get('field')}: {item.get('message')}"
        for item in cast("list[dict[str, object]]", errors if isinstance(errors, list) else [])
        if isinstance(item, dict)  # pyright: ignore[reportUnnecessaryIsInstance] - hostile input
    )
    raise ServerProblem(
        response.status_code,
        str(problem.get("code") or "server_problem"),
        str(problem.get("detail") or problem.get("title") or "The server refused."),
        fields,
    )


def _not_polydev(server: str, status: int) -> Unreachable:
    return Unreachable(
        f"What answers at {server} is not Polydev (HTTP status {status}). Check POLYDEV_SERVER, "
        "and any proxy in between."
    )


def _unreachable(server: str, error: httpx.TransportError) -> Unreachable:
    if isinstance(error, httpx.ConnectError):
        why = "nothing answers there"
        if _untrusted(error):
            return Unreachable(
                f"The certificate of {server} is not one that this computer trusts. Set "
                "SSL_CERT_FILE to a bundle that holds its authority."
            )
    elif isinstance(error, httpx.TimeoutException):
        why = "it did not answer in time"
    else:
        why = "the connection broke"
    return Unreachable(
        f"Cannot reach Polydev at {server}: {why}. Start it with `polydev up`, or set "
        "POLYDEV_SERVER to the right address.",
        detail=type(error).__name__,
    )


def _untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLCertVerificationError):
        seen = seen.__cause__ or seen.__context__
    return seen is not None
