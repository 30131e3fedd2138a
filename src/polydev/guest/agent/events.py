"""The agent's events: a bounded ring that any number of readers follow by sequence number."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from polydev.guest.protocol import AgentEvent, EventKind

_KEPT: Final = 1000


class EventLog:
    """Keeps the last events. Sequence numbers grow over restarts of the agent too.

    They start at the clock's milliseconds, so that a reader that asks for what came after the
    last number it saw gets the right answer from the next agent, which remembers nothing.
    """

    def __init__(self, *, kept: int = _KEPT, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seq = int(clock() * 1000)
        self._events: deque[AgentEvent] = deque(maxlen=kept)
        self._news = asyncio.Event()

    def emit(self, kind: EventKind, **data: object) -> AgentEvent:
        """Append an event. ``data`` must be JSON and free of secrets."""
        self._seq += 1
        event = AgentEvent(self._seq, self._clock(), kind, data)
        self._events.append(event)
        self._news.set()
        self._news = asyncio.Event()
        return event

    def after(self, seq: int) -> list[AgentEvent]:
        return [event for event in self._events if event.seq > seq]

    async def follow(self, seq: int) -> AsyncIterator[AgentEvent]:
        """All kept events after ``seq``, then new ones as they come, without end."""
        while True:
            news = self._news
            for event in self.after(seq):
                seq = event.seq
                yield event
            await news.wait()
