"""Wakes whoever waits for a session to change, within this process.

The truth is in the database; this only says "look again". A watcher on another host looks on its
own every second.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable

_LOOK_AGAIN_S = 1.0


class Watchers:
    """Per session: a condition for its timeline and an event for its cancellation."""

    def __init__(self) -> None:
        self._changed: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._cancelled: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def notify(self, session_id: str) -> None:
        """The session's row or timeline has changed (after its commit)."""
        for event in self._changed.get(session_id, ()):
            event.set()

    def cancel(self, session_id: str) -> None:
        self._cancelled[session_id].set()
        self.notify(session_id)

    def ended(self, session_id: str) -> None:
        """Nothing more will happen to this session here."""
        self._cancelled.pop(session_id, None)
        self.notify(session_id)

    async def wait_cancel(self, session_id: str, *, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._cancelled[session_id].wait()

    @contextlib.asynccontextmanager
    async def watching(self, session_id: str) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
        """Yields a function that waits until the session may have changed."""
        event = asyncio.Event()
        self._changed[session_id].add(event)

        async def wait() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await event.wait()
            event.clear()

        try:
            yield wait
        finally:
            self._changed[session_id].discard(event)
            if not self._changed[session_id]:
                del self._changed[session_id]
