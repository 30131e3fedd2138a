"""Ages that a wall clock cannot spoil."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from polydev.sessions.deadlines import Age

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Clocks:
    wall: datetime = NOON
    steady: float = 1000.0

    def pass_(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def age(self) -> Age:
        return Age(lambda: self.wall, lambda: self.steady)


def test_at_the_first_look_the_wall_clock_counts_as_after_a_restart() -> None:
    assert Clocks().age().of(NOON - timedelta(minutes=5)) == 300


def test_a_clock_that_is_set_changes_no_age() -> None:
    clocks = Clocks()
    age = clocks.age()
    age.of(NOON)
    for jump in (timedelta(hours=3), timedelta(hours=-6)):
        clocks.wall += jump
        before = age.of(NOON)
        clocks.pass_(2)
        assert age.of(NOON) == before + 2
    assert age.of(NOON) == 4


def test_a_moment_that_moved_is_no_older_than_the_last_look() -> None:
    clocks = Clocks()
    age = clocks.age()
    age.of(NOON)
    clocks.pass_(60)
    seen = clocks.wall - timedelta(seconds=1)
    assert age.of(seen) == 1
    clocks.pass_(5)
    heartbeat = clocks.wall
    clocks.wall += timedelta(hours=3)  # between the heartbeat and our look
    assert age.of(heartbeat) == 5


def test_a_moment_in_the_future_is_not_negative() -> None:
    assert Clocks().age().of(NOON + timedelta(hours=1)) == 0
