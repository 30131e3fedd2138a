"""The ring of events."""

import asyncio

from polydev.guest.agent.events import EventLog
from polydev.guest.protocol import AgentEvent, EventKind


async def test_a_reader_gets_what_it_missed_and_then_what_comes() -> None:
    log = EventLog()
    first = log.emit(EventKind.LOGIN_STARTED)
    log.emit(EventKind.PAGE_SHOWN, host="a")
    stream = log.follow(first.seq)

    missed = await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    log.emit(EventKind.LOGIN_EXITED, exit=0)

    assert (missed.kind, missed.data) == (EventKind.PAGE_SHOWN, {"host": "a"})
    assert (await waiting).kind is EventKind.LOGIN_EXITED


async def test_many_readers_see_every_event_in_order() -> None:
    log = EventLog()

    async def read() -> list[AgentEvent]:
        stream = log.follow(0)
        return [await anext(stream) for _ in range(50)]

    readers = [asyncio.create_task(read()) for _ in range(5)]
    for i in range(50):
        log.emit(EventKind.UNIT, number=i)
        if i % 7 == 0:
            await asyncio.sleep(0)

    for seen in await asyncio.gather(*readers):
        assert [event.data["number"] for event in seen] == list(range(50))


def test_only_the_last_events_are_kept() -> None:
    log = EventLog(kept=3)

    for i in range(10):
        log.emit(EventKind.UNIT, number=i)

    assert [event.data["number"] for event in log.after(0)] == [7, 8, 9]


def test_the_numbers_of_a_later_agent_are_greater() -> None:
    old = EventLog(clock=lambda: 1000.0)
    for _ in range(5):
        old.emit(EventKind.UNIT)

    new = EventLog(clock=lambda: 1000.5)

    assert new.emit(EventKind.UNIT).seq > old.after(0)[-1].seq
