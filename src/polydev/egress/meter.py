"""Counts a connection's bytes against its limits and notices when they stop flowing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from polydev.egress.policy import EgressPolicy
from polydev.egress.reasons import Reason, Refused
from polydev.egress.records import Counters


class Meter:
    """One per connection; adds to the proxy's counters as it goes, so totals are never late."""

    def __init__(self, policy: EgressPolicy, counters: Counters) -> None:
        self._policy = policy
        self._counters = counters
        self._clock = asyncio.get_running_loop().time
        self.bytes_up = 0
        self.bytes_down = 0
        self.last_byte = self._clock()

    def up(self, size: int) -> None:
        self.bytes_up += size
        self._counters.bytes_up += size
        self._check()

    def down(self, size: int) -> None:
        self.bytes_down += size
        self._counters.bytes_down += size
        self._check()

    def _check(self) -> None:
        self.last_byte = self._clock()
        if self.bytes_up + self.bytes_down > self._policy.max_bytes_per_connection:
            raise Refused(Reason.BYTE_LIMIT)
        if self._counters.bytes_total > self._policy.max_bytes_total:
            raise Refused(Reason.TOTAL_LIMIT)

    @asynccontextmanager
    async def idle_guard(self) -> AsyncGenerator[None]:
        """End the block with `Refused` once no byte was counted for the policy's idle time.

        A receiver that does not read stops the counting too: bytes are counted when they are
        taken from the sender, which backpressure prevents.
        """
        loop = asyncio.get_running_loop()
        idle = self._policy.idle_timeout_s
        self.last_byte = self._clock()
        try:
            async with asyncio.timeout(None) as deadline:

                def look() -> None:
                    nonlocal timer
                    due = self.last_byte + idle
                    if self._clock() >= due:
                        deadline.reschedule(self._clock())
                    else:
                        timer = loop.call_at(due, look)

                timer = loop.call_at(self.last_byte + idle, look)
                try:
                    yield
                finally:
                    timer.cancel()
        except TimeoutError:
            raise Refused(Reason.IDLE) from None
