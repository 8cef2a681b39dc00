"""Durations and schedules as people write them; the daemon must take every schedule that is accepted here."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import assume, given
from hypothesis import strategies as st

from oicp_adapter.settings.duration import parse_duration
from oicp_adapter.settings.schedule import Cron, Daily, Interval, parse_schedule

START = datetime(2026, 1, 1, tzinfo=UTC)
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@given(number=st.integers(1, 3600), unit=st.sampled_from(sorted(UNITS)), blank=st.sampled_from(["", " "]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str, blank: str) -> None:
    # A poll every 5 min that was meant every 5 ms, or the other way round.
    assert parse_duration(f"{number}{blank}{unit.upper()}") == pytest.approx(number * UNITS[unit])


@given(st.floats(0.001, 1e8))
def test_a_number_is_seconds(seconds: float) -> None:
    # The same number means two things in the file and in the environment.
    assert parse_duration(seconds) == seconds
    assert parse_duration(f"{seconds:.6f}") == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "5m",
        "5 minutes",
        "-5s",
        "1h30min",
        "٣s",
        "0",
        0,
        -1,
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        10**400,
        "3651d",
        "9" * 400,
    ],
)
def test_what_is_not_surely_a_duration_is_refused(value: object) -> None:
    # A guess at a unit, or a time that overflows in the middle of the night.
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10s", Interval(10.0)),
        (10, Interval(10.0)),
        ("03:00", Daily(3, 0)),
        ("3:05", Daily(3, 5)),
        ("23:59:58", Daily(23, 59, 58)),
        (time(3, 0, 30), Daily(3, 0, 30)),
        ("cron: 0 3 * * mon-fri", Cron("0 3 * * mon-fri")),
        ("CRON:0  3 * * MON", Cron("0 3 * * mon")),
        ("*/15 * * * *", Cron("*/15 * * * *")),
        ("0 3 1,15 jan-mar *", Cron("0 3 1,15 jan-mar *")),
        ("0 3 29 2 *", Cron("0 3 29 2 *")),
    ],
)
def test_every_form_of_a_schedule_is_read(written: object, meant: object) -> None:
    # A nightly full load runs every three seconds, or never.
    assert parse_schedule(written) == meant


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("0 3 * * 1", "Monday is 0 in one tradition and Sunday in another"),
        ("0 3 * * 1-5", "Monday is 0 in one tradition"),
        ("0 3 * * */2", "use names"),
        ("0 3 * * monday", "use mon, tue"),
        ("0 3 1 * mon", "leave one"),
        ("0 3 31 feb *", "never run"),
        ("0 3 31 4,6,9,11 *", "never run"),
        ("60 * * * *", "minute outside 0 to 59"),
        ("0 24 * * *", "hour outside 0 to 23"),
        ("0 3 0 * *", "day of month outside 1 to 31"),
        ("0 3 * 13 *", "month outside 1 to 12"),
        ("0 3 * jan-3 *", "mixes"),
        ("0 3 * * sat-mon", "backwards"),
        ("*/0 * * * *", "step"),
        ("*/60 * * * *", "step"),
        ("5-1 * * * *", "backwards"),
        ("1,,2 * * * *", "minute"),
        ("cron: 0 3 * *", "five cron fields"),
        ("cron: @daily", "five cron fields"),
        ("24:00", "time of day"),
        ("03:60", "time of day"),
        ("nightly", "is not a schedule"),
        ("", "is not a schedule"),
        ("5m", "is not a duration"),
        (None, "is not a duration"),
    ],
)
def test_what_would_not_run_as_meant_is_refused_with_the_reason(written: object, why: str) -> None:
    # The full load runs on Sundays instead of Mondays, or its trigger fails when the daemon starts.
    with pytest.raises(ValueError, match=why):
        parse_schedule(written)


def _field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    pair = st.tuples(number, number).map(lambda both: f"{min(both)}-{max(both)}")
    step = st.integers(1, highest - lowest).map(lambda by: f"*/{by}")
    return st.lists(number.map(str) | pair | step | st.just("*"), min_size=1, max_size=3).map(",".join)


weekdays = st.just("*") | st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3).map(",".join)
crons = st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), weekdays).map(" ".join)
nearly_crons = st.tuples(*[st.text("0123456789*/-, monfriJAN", min_size=1, max_size=5)] * 5).map(" ".join)


@given(crons | nearly_crons)
def test_the_daemon_can_run_every_cron_that_is_accepted(text: str) -> None:
    # The configuration is found good, and the daemon dies at its start or never runs the job.
    try:
        cron = parse_schedule(f"cron: {text}")
    except ValueError:
        assume(False)
    assert isinstance(cron, Cron)
    trigger = CronTrigger.from_crontab(cron.expression, timezone=UTC)
    assert trigger.get_next_fire_time(None, START) is not None


@given(crons)
def test_no_two_runs_are_closer_than_the_shortest_gap(text: str) -> None:
    # A full load that may run every 10 min at most is accepted at every minute.
    try:
        cron = parse_schedule(text)
    except ValueError:
        assume(False)
    trigger = CronTrigger.from_crontab(text, timezone=UTC)
    now, before = START, None
    for _ in range(20):
        due = trigger.get_next_fire_time(before, now)
        assert due is not None
        assert before is None or due - before >= timedelta(seconds=cron.shortest_gap)
        now, before = due + timedelta(microseconds=1), due


def test_the_shortest_gap_looks_across_the_hour_and_midnight() -> None:
    # Two full loads within a minute.
    assert parse_schedule("0,59 * * * *").shortest_gap == 60
    assert parse_schedule("0,59 0,23 * * *").shortest_gap == 60
    assert parse_schedule("0 3 * * *").shortest_gap == 86_400
