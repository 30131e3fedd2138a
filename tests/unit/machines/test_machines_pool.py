"""The pool against a manager that misbehaves."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from polydev.errors import TooMany
from polydev.machines.pool import WarmMachine, WarmPool


@dataclass
class Machine:
    id: str
    ready_at: datetime | None


@dataclass
class Manager:
    warm: list[Machine] = field(default_factory=list)
    sick: set[str] = field(default_factory=set)
    fail_next: int = 0
    full: bool = False
    made: int = 0
    gone: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def warm_machines(self) -> list[WarmMachine]:
        return list(self.warm)

    async def make_warm(self) -> None:
        if self.full:
            raise TooMany("no room", retry_after_s=60)
        if self.fail_next:
            self.fail_next -= 1
            raise RuntimeError("a broken host")
        self.made += 1
        self.warm.append(Machine(f"m{self.made}", datetime.now(UTC)))
        self.changed.set()

    async def healthy(self, machine_id: str) -> bool:
        return machine_id not in self.sick

    async def discard_warm(self, machine_id: str, why: str) -> None:
        self.gone.append((machine_id, why))
        self.warm = [machine for machine in self.warm if machine.id != machine_id]


def pool(manager: Manager, size: int = 2, max_age_s: float = 60) -> WarmPool:
    return WarmPool(manager, size=size, max_age_s=max_age_s)


async def test_an_empty_pool_fills_to_its_size() -> None:
    manager = Manager()
    await pool(manager, size=3).mend()
    assert len(manager.warm) == 3


async def test_what_is_taken_is_replaced() -> None:
    manager = Manager()
    warm = pool(manager)
    await warm.mend()
    manager.warm.pop(0)
    await warm.mend()
    assert [machine.id for machine in manager.warm] == ["m2", "m3"]


async def test_a_sick_and_an_old_machine_are_evicted_and_replaced() -> None:
    old = datetime.now(UTC) - timedelta(seconds=61)
    manager = Manager(warm=[Machine("sick", datetime.now(UTC)), Machine("old", old)], sick={"sick"})
    await pool(manager).mend()
    assert manager.gone == [("sick", "sick"), ("old", "too old")]
    assert len(manager.warm) == 2


async def test_more_than_the_pool_holds_is_given_back() -> None:
    manager = Manager(warm=[Machine(f"x{n}", datetime.now(UTC)) for n in range(4)])
    await pool(manager).mend()
    assert [name for name, _ in manager.gone] == ["x2", "x3"]


async def test_a_failure_slows_the_pool_down_but_does_not_end_it() -> None:
    manager = Manager(fail_next=3)
    pauses: list[float] = []

    async def wait(event: asyncio.Event, timeout_s: float) -> None:
        del event
        pauses.append(timeout_s)
        if len(pauses) > 4:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    warm = WarmPool(manager, size=1, max_age_s=60, wait=wait)
    warm.start()
    await manager.changed.wait()
    await warm.close()
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert len(manager.warm) == 1


async def test_a_pool_of_none_starts_nothing() -> None:
    manager = Manager()
    warm = pool(manager, size=0)
    warm.start()
    await warm.close()
    assert manager.made == 0


async def test_a_full_host_is_no_fault_and_the_pool_looks_again_at_its_usual_pace() -> None:
    manager = Manager(full=True)
    paused: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def wait(event: asyncio.Event, timeout_s: float) -> None:
        del event
        paused.set_result(timeout_s)
        await asyncio.Event().wait()

    warm = WarmPool(manager, size=1, max_age_s=60, wait=wait)
    warm.start()
    assert await paused == 15.0
    await warm.close()
