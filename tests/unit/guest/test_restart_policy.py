"""When a unit that died is started again."""

import pytest

from polydev.guest.agent.supervisor.restart import RestartPolicy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _die_after(policy: RestartPolicy, clock: Clock, seconds: float) -> float | None:
    policy.started()
    clock.now += seconds
    delay = policy.died()
    clock.now += delay or 0
    return delay


def test_delays_double_and_the_sixth_death_is_a_crash_loop() -> None:
    clock = Clock()
    policy = RestartPolicy(clock)

    delays = [_die_after(policy, clock, 0.1) for _ in range(6)]

    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, None]


@pytest.mark.parametrize("life_s", [0.0, 1, 4, 6.5, 8, 20, 29.9])
def test_a_unit_that_never_lives_long_is_reported_however_slowly_it_dies(life_s: float) -> None:
    clock = Clock()
    policy = RestartPolicy(clock)

    assert [_die_after(policy, clock, life_s) for _ in range(6)][-1] is None


def test_a_healthy_run_forgets_earlier_deaths() -> None:
    clock = Clock()
    policy = RestartPolicy(clock)
    for _ in range(5):
        _die_after(policy, clock, 0.1)

    assert _die_after(policy, clock, 31) == 0.2
    assert _die_after(policy, clock, 0.1) == 0.4
