"""What is open ends with the sign-in that opened it: a revoked key, a log-out, a disabled person.

A request is checked once, when it comes; a stream lives on for hours, so it is checked again and
again. What this server itself revokes is announced and ends at once; expiry, and what another
server revoked, are seen within `LOOK_EVERY_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any, Final, Literal, Protocol, TypeVar, cast

import anyio
from fastapi import FastAPI

from polydev.errors import NotSignedIn
from polydev.store.database import Database
from polydev.store.repositories import keys, web_logins

LOOK_EVERY_S: Final = 4.0
ENDED: Final = "The API key or sign-in that opened this has ended."

T = TypeVar("T")


class Login(Protocol):
    """How somebody showed who they are: a request's `Principal`, or a ticket's `Grant`."""

    @property
    def via(self) -> Literal["key", "cookie"]: ...
    @property
    def login_id(self) -> str: ...


class Standing:
    """Whether sign-ins still stand. One an application."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._listening: set[asyncio.Event] = set()

    def announce(self) -> None:
        """Something was revoked (after its commit): whoever has a stream open looks again."""
        for event in self._listening:
            event.set()

    async def holds(self, login: Login) -> bool:
        """False when it has been revoked, has expired, or its person is out."""
        async with self._db.reading() as tx:
            if login.via == "key":
                return await keys.stands(tx, login.login_id)
            return await web_logins.stands(tx, login.login_id)

    async def until_ended(self, login: Login) -> None:
        """Wait until it does not stand any more."""
        with self._listener() as changed:
            while await self.holds(login):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await changed.wait()
                changed.clear()

    async def guard(self, login: Login, source: AsyncIterator[T]) -> AsyncGenerator[T]:
        """``source``, broken off with `NotSignedIn` when the login ends. Closes ``source``."""

        async def following() -> tuple[T] | None:
            async for item in source:
                return (item,)
            return None

        watching: asyncio.Task[Any] = asyncio.create_task(self.until_ended(login))
        step: asyncio.Task[tuple[T] | None] | None = None
        try:
            while True:
                step = asyncio.create_task(following())
                await asyncio.wait({step, watching}, return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                    raise NotSignedIn(ENDED)
                found = await step
                if found is None:
                    return
                yield found[0]
        finally:
            # Against a second cancellation, as in `sse`.
            with anyio.CancelScope(shield=True):
                tasks = {watching, *([step] if step is not None else [])}
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                if isinstance(source, AsyncGenerator):
                    await source.aclose()

    @contextlib.contextmanager
    def _listener(self) -> Generator[asyncio.Event]:
        event = asyncio.Event()
        self._listening.add(event)
        try:
            yield event
        finally:
            self._listening.discard(event)


def standing_of(app: FastAPI) -> Standing:
    return cast("Standing", app.state.standing)
