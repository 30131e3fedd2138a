"""When a unit that died is started again."""

import time
from collections.abc import Callable
from typing import Final

FIRST_DELAY_S: Final = 0.2
HEALTHY_S: Final = 30.0
"""A run this long forgets earlier deaths."""
MAX_DEATHS: Final = 5
"""More deaths than this, with no healthy run between them, are a crash loop."""


class RestartPolicy:
    """Growing delays, and the point at which to give up.

    Deaths are counted, not their time: a unit that takes its time to die, as one does that dies of
    its own timeout, is as useless as one that dies at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths = 0
        self._started = clock()

    def started(self) -> None:
        self._started = self._clock()

    def died(self) -> float | None:
        """Return the seconds to wait before the next start, or None for a crash loop."""
        if self._clock() - self._started >= HEALTHY_S:
            self._deaths = 0
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            return None
        return FIRST_DELAY_S * 2 ** (self._deaths - 1)
