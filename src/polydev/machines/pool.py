"""The warm pool: browser machines that are up before anybody asks.

A warm machine has display, window manager and Chromium running and no identity: no person, no
session, no provider. Taking one is a compare-and-swap on its row, so no two sessions can get the
same; what is taken is replaced at once; what is too old or no longer healthy is destroyed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from polydev.errors import TooMany

log = structlog.get_logger("polydev.pool")

_CHECK_EVERY_S = 15.0
_BACKOFF_MAX_S = 60.0


class WarmMachine(Protocol):
    """What the pool needs to know of a machine."""

    @property
    def id(self) -> str: ...
    @property
    def ready_at(self) -> datetime | None: ...


class Keeping(Protocol):
    """What the pool asks of the manager above the driver."""

    async def warm_machines(self) -> Sequence[WarmMachine]: ...
    async def make_warm(self) -> None:
        """Raises `TooMany` when there is no place for one."""
        ...

    async def healthy(self, machine_id: str) -> bool: ...
    async def discard_warm(self, machine_id: str, why: str) -> None: ...


class WarmPool:
    """Holds the number of warm machines at ``size``: one task that compares and mends."""

    def __init__(
        self,
        keeping: Keeping,
        *,
        size: int,
        max_age_s: float,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] | None = None,
    ) -> None:
        self._keeping = keeping
        self.size = size
        self._max_age = timedelta(seconds=max_age_s)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._wait = wait or _wait_event

    def start(self) -> None:
        if self.size > 0:
            self._task = asyncio.create_task(self._run(), name="warm-pool")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def changed(self) -> None:
        """A machine was taken or lost: look now rather than at the next round."""
        self._changed.set()

    async def _run(self) -> None:
        backoff = 1.0
        while True:
            self._changed.clear()
            pause = _CHECK_EVERY_S
            try:
                await self.mend()
                backoff = 1.0
            except Exception:
                # Whatever it was (a broken host, say), the pool must not end; it slows down.
                log.exception("pool.fault", retry_in_s=backoff)
                pause, backoff = backoff, min(backoff * 2, _BACKOFF_MAX_S)
            await self._wait(self._changed, pause)

    async def mend(self) -> None:
        """Evict what is stale or sick, then make what is missing, one after the other."""
        now = datetime.now(UTC)
        kept = 0
        for machine in await self._keeping.warm_machines():
            born = machine.ready_at or now
            if kept >= self.size:
                await self._keeping.discard_warm(machine.id, "more than the pool holds")
            elif now - born > self._max_age:
                await self._keeping.discard_warm(machine.id, "too old")
            elif not await self._keeping.healthy(machine.id):
                await self._keeping.discard_warm(machine.id, "sick")
            else:
                kept += 1
        for _ in range(self.size - kept):
            try:
                await self._keeping.make_warm()
            except TooMany as full:
                # No fault: the places are for people. The next round looks again.
                log.debug("pool.no_room", detail=full.detail)
                return


async def _wait_event(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
