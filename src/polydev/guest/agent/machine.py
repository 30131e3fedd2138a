"""What the agent knows of its machine: the units, as the supervisor last told them."""

import asyncio
import time
from collections.abc import Mapping

from polydev.guest.agent.events import EventLog
from polydev.guest.protocol import (
    EventKind,
    Health,
    MachineConfig,
    UnitReport,
    UnitState,
)


class MachineView:
    """Turns the supervisor's snapshots into health, and their differences into events."""

    def __init__(self, config: MachineConfig, born: float, events: EventLog) -> None:
        self.config = config
        self._born = born
        self._events = events
        self._units: tuple[UnitReport, ...] = ()
        self._changed = asyncio.Event()

    def update(self, units: tuple[UnitReport, ...], exits: Mapping[str, object]) -> None:
        old = {unit.name: unit for unit in self._units}
        self._units = units
        for unit in units:
            if old.get(unit.name) != unit:
                lines = {"last_lines": list(unit.last_lines)} if unit.last_lines else {}
                self._events.emit(
                    EventKind.UNIT,
                    unit=unit.name,
                    state=unit.state.value,
                    restarts=unit.restarts,
                    exit=exits.get(unit.name),
                    **lines,
                )
        self._changed.set()
        self._changed = asyncio.Event()

    def health(self) -> Health:
        units = self._units
        ready = bool(units) and all(unit.state is UnitState.READY for unit in units)
        return Health(ready, self.config.role, units, time.monotonic() - self._born)

    async def settled(self, timeout_s: float) -> Health:
        """Health once it is ready or hopeless, else as it is after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (self.health().ready or self._hopeless()):
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.health()

    def _hopeless(self) -> bool:
        return any(unit.state is UnitState.CRASH_LOOP for unit in self._units)
