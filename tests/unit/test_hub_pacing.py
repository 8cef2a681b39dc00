"""The rate window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.hub.pacing import Pacer
from tests.fakes.clock import ManualClock


def pacer(limit: int, clock: ManualClock, *, stopped: list[bool] | None = None) -> Pacer:
    return Pacer(limit, clock=clock, stopping=lambda: bool(stopped))


def test_below_the_limit_nobody_waits() -> None:
    # A brake that is always on costs freshness.
    clock = ManualClock()
    paced = pacer(3, clock)
    assert [paced.wait() for _ in range(3)] == [True] * 3
    assert clock.sleeps == []


def test_the_call_above_the_limit_waits_until_the_oldest_leaves_the_window() -> None:
    # One call too many and Hubject answers 429 to all of them.
    clock = ManualClock()
    paced = pacer(2, clock)
    paced.wait()
    clock.step(10)
    paced.wait()
    paced.wait()
    assert clock.sleeps == pytest.approx([50.0])


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 5))
def test_no_window_of_a_minute_holds_more_calls_than_allowed(gaps: list[float], limit: int) -> None:
    # P6: the acceptable use policy holds in every 60 s, not on average.
    clock = ManualClock()
    paced = pacer(limit, clock)
    times = []
    for gap in gaps:
        clock.step(gap)
        assert paced.wait()
        times.append(clock.monotonic())
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(times, times[limit:], strict=False))


def test_calls_before_a_restart_count() -> None:
    # A crash loop would otherwise start each time with a full allowance.
    clock = ManualClock()
    paced = pacer(3, clock)
    now = clock.now()
    paced.seed([now - 5, now - 70, now - 40])
    paced.wait()
    paced.wait()
    assert clock.sleeps == pytest.approx([20.0])


def test_a_seed_larger_than_the_limit_waits_for_enough_of_it_to_leave() -> None:
    # The limit may have been lowered between two runs.
    clock = ManualClock()
    paced = pacer(2, clock)
    paced.seed([clock.now() - age for age in (50, 40, 30, 10)])
    paced.wait()
    assert clock.sleeps == pytest.approx([30.0])


def test_a_wall_clock_that_jumps_back_blocks_for_a_minute_at_most() -> None:
    # After an NTP step of three hours the pushes of an operator stood still for three hours.
    clock = ManualClock()
    paced = pacer(1, clock)
    paced.seed([clock.now() + 3 * 3600])
    paced.wait()
    assert clock.sleeps == pytest.approx([60.0])
    clock.wall -= 3 * 3600
    paced.wait()
    assert sum(clock.sleeps) == pytest.approx(120.0)


def test_a_stop_ends_the_wait_and_takes_no_place() -> None:
    # A daemon that waits out a minute on SIGTERM is killed by its supervisor.
    stopped: list[bool] = []
    clock = ManualClock(on_sleep=lambda: stopped.append(True))
    paced = pacer(1, clock, stopped=stopped)
    assert paced.wait()
    assert not paced.wait()
    stopped.clear()
    clock.step(60)
    clock.sleeps.clear()
    assert paced.wait()
    assert clock.sleeps == []


def test_a_hold_delays_every_later_call() -> None:
    # Retry-After is meant for the operator, not for the one request that met it.
    clock = ManualClock()
    paced = pacer(10, clock)
    paced.hold(30)
    paced.hold(5)
    assert paced.held() == pytest.approx(30)
    paced.wait()
    assert clock.sleeps == pytest.approx([30.0])
    assert paced.held() == 0
