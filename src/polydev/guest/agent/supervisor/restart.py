"""When a unit that died is started again."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

FIRST_DELAY_S: Final = 0.2
LONGEST_DELAY_S: Final = 5.0
HEALTHY_S: Final = 30.0
"""A run this long forgets earlier deaths."""
WINDOW_S: Final = 30.0
MAX_DEATHS: Final = 5
"""More deaths than this within the window are a crash loop."""


class RestartPolicy:
    """Growing delays, and the point at which to give up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._delay = FIRST_DELAY_S
        self._deaths: deque[float] = deque()
        self._started = clock()

    def started(self) -> None:
        self._started = self._clock()

    def died(self) -> float | None:
        """Return the seconds to wait before the next start, or None for a crash loop."""
        now = self._clock()
        if now - self._started >= HEALTHY_S:
            self._deaths.clear()
            self._delay = FIRST_DELAY_S
        self._deaths.append(now)
        while self._deaths[0] < now - WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > MAX_DEATHS:
            return None
        delay = self._delay
        self._delay = min(delay * 2, LONGEST_DELAY_S)
        return delay
