"""When jobs run: above all in the nights in which the clocks are changed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from oicp_adapter.daemon import FULL, UPKEEP
from oicp_adapter.daemon.schedule import Cron, Daily, Every, first_run
from oicp_adapter.wiring.parts import triggers_of
from tests.unit.settings_files import MINIMAL, load

CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "Europe/London": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/New_York": ("2026-03-08T07:00Z", "2026-11-01T06:00Z"),
    "America/St_Johns": ("2026-03-08T05:30Z", "2026-11-01T04:30Z"),
    "Australia/Lord_Howe": ("2026-10-03T15:30Z", "2026-04-04T15:00Z"),  # by half an hour
    "Asia/Beirut": ("2026-03-28T22:00Z", "2026-10-24T21:00Z"),  # at midnight
}
"""Time zone → when its clocks are put forward and back."""
MOMENTS = [(zone, moment) for zone, both in CHANGES.items() for moment in both]
LATE = timedelta(milliseconds=3)
"""What a scheduler needs to wake up."""
MOST = 5000
"""Runs after which a walk is taken for endless."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def runs(trigger: BaseTrigger, *, start: datetime, end: datetime) -> list[datetime]:
    """When a job runs, woken a little late each time as by APScheduler."""
    found, due = [], trigger.get_next_fire_time(None, start)
    while due < end:
        found.append(due)
        assert len(found) < MOST
        due = trigger.get_next_fire_time(due, due + LATE)
    return found


def days(found: list[datetime], zone: str, *, later: float = 0.0) -> list[date]:
    """On which day of the time zone each run was meant to be."""
    return [(one - timedelta(seconds=later)).astimezone(ZoneInfo(zone)).date() for one in found]


def all_days(zone: str, start: datetime, end: datetime) -> list[date]:
    first, last = (moment.astimezone(ZoneInfo(zone)).date() for moment in (start, end))
    return [first + timedelta(days=more) for more in range((last - first).days + 1)]


@pytest.mark.parametrize(("zone", "moment"), MOMENTS)
@pytest.mark.parametrize("later", [0.0, 437.0])
def test_a_time_of_day_comes_once_on_each_day_whatever_the_clocks_do(
    zone: str, moment: str, later: float
) -> None:
    # A night without a full load each spring; or, in autumn, full loads in a burst until nothing runs any more.
    middle = at(moment).astimezone(ZoneInfo(zone)).replace(hour=12)
    start, end = middle - timedelta(days=3), middle + timedelta(days=3)
    for minute in range(0, 24 * 60, 20):
        trigger = Daily(time(minute // 60, minute % 60), zone, later=later)
        found = runs(trigger, start=start, end=end)
        whole = all_days(zone, start, end)[1:-1]  # of the first and the last day only a part was walked
        assert [day for day in days(found, zone, later=later) if day in whole] == whole, minute


@pytest.mark.parametrize(("zone", "moment"), MOMENTS)
@pytest.mark.parametrize("later", [0.0, 437.0])
def test_cron_comes_on_each_day_and_never_more_than_twice(zone: str, moment: str, later: float) -> None:
    # As above, for those who write it as cron.
    middle = at(moment).astimezone(ZoneInfo(zone)).replace(hour=12)
    start, end = middle - timedelta(days=3), middle + timedelta(days=3)
    skipped = 0 if (zone, moment) == ("Asia/Beirut", "2026-03-28T22:00Z") else None
    for minute in range(0, 24 * 60, 40):
        trigger = Cron(f"{minute % 60} {minute // 60} * * *", zone, later=later)
        on = days(runs(trigger, start=start, end=end), zone, later=later)
        for day in all_days(zone, start, end)[1:-1]:
            lost = minute // 60 == skipped and day == middle.date()  # its midnight never was
            assert on.count(day) in ({0} if lost else {1, 2}), (minute, day)
        assert len(on) <= len(set(on)) + 1, minute


@pytest.mark.parametrize(("zone", "moment"), MOMENTS)
def test_what_runs_every_minute_runs_every_minute_of_those_nights(zone: str, moment: str) -> None:
    # The deltas pause for the hour that comes twice, or come in a burst.
    start = at(moment) - timedelta(hours=2)
    found = runs(Cron("* * * * *", zone), start=start, end=start + timedelta(hours=4))
    assert found == [start + timedelta(minutes=one) for one in range(4 * 60)]


@pytest.mark.parametrize(("zone", "moment"), MOMENTS)
def test_every_due_time_is_later_than_now_at_any_minute_of_those_nights(zone: str, moment: str) -> None:
    # APScheduler asks again until it is: not to be later is to be asked for ever, and no job runs any more.
    triggers: list[BaseTrigger] = [Every(600)]
    for later in (0.0, 437.0):
        triggers += [Daily(time(hour, 30), zone, later=later) for hour in (0, 1, 2, 3, 23)]
        triggers += [Cron("30 1,2,3 * * *", zone, later=later), Cron("*/10 * * * *", zone, later=later)]
    start = at(moment) - timedelta(hours=2)
    for minute in range(4 * 60):
        now = start + timedelta(minutes=minute)
        for previous in (now, now - timedelta(minutes=7), now - timedelta(days=2)):
            assert all(one.get_next_fire_time(previous, now) > now for one in triggers), now


class Counted(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Says it when it is asked for ever, instead of hanging the test."""

    def __init__(self, trigger: BaseTrigger) -> None:
        self._trigger = trigger
        self.asked = 0

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:
        self.asked += 1
        assert self.asked < 10
        return self._trigger.get_next_fire_time(previous_fire_time, now)


@pytest.mark.parametrize("late", [timedelta(), LATE, timedelta(minutes=55), timedelta(days=20_000)])
@pytest.mark.parametrize(
    "trigger",
    [
        Every(10),
        Daily(time(2, 30), "Europe/Berlin", later=437),
        Cron("30 2 * * *", "Europe/Berlin", later=437),
    ],
    ids=["interval", "daily", "cron"],
)
def test_apscheduler_makes_one_run_of_what_was_missed_and_does_not_ask_for_ever(
    trigger: BaseTrigger, late: timedelta
) -> None:
    # The scheduler's only thread never comes back: it is the last that anybody hears of any operator. A clock that
    # was put right after 50 years asks for each 10 s of them.
    counted, due = Counted(trigger), at("2026-10-25T00:37:17Z")
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start(paused=True)
    try:
        job = scheduler.add_job(list, counted, next_run_time=due)
        assert job._get_run_times(due + late) == [due]
    finally:
        scheduler.shutdown()


def test_an_interval_keeps_its_beat() -> None:
    # Each run a little later than the last: 10 s drift apart to 11.
    found = runs(Every(10), start=at("2026-11-20T12:00Z"), end=at("2026-11-20T12:01Z"))
    assert [one.second for one in found] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("trigger", "promised", "expected"),
    [
        (Every(3600), None, "2026-11-20T13:00Z"),
        (Every(3600), "2026-11-20T12:20Z", "2026-11-20T12:20Z"),
        (Every(3600), "2026-11-20T11:59Z", "2026-11-20T13:00Z"),
        (Every(3600), "2030-01-01T00:00Z", "2026-11-20T13:00Z"),
        (Daily(time(3), "UTC"), "2026-11-20T15:00Z", "2026-11-21T03:00Z"),
    ],
    ids=[
        "first start",
        "goes on",
        "missed",
        "the clock was wrong, or the interval longer",
        "another schedule",
    ],
)
def test_after_a_start_only_an_interval_keeps_to_what_was_said(
    trigger: BaseTrigger, promised: str | None, expected: str
) -> None:
    # full = "24h" never comes round; or a full load in the afternoon, from which somebody moved it away.
    before = None if promised is None else at(promised).timestamp()
    assert first_run(trigger, promised=before, now=at("2026-11-20T12:00Z")) == at(expected)


def full_load(operator_id: str, schedule: str) -> datetime:
    """When the operator's first full load is, seen from noon."""
    text = MINIMAL.replace("DE*SLB", operator_id)
    text = re.sub(r"^schedule = .*$", f"schedule = {{ {schedule} }}", text, flags=re.MULTILINE)
    due = triggers_of(load(text).operators["slb"])[FULL].get_next_fire_time(None, at("2026-11-20T12:00Z"))
    assert isinstance(due, datetime)
    return due


def test_each_operator_has_its_own_delay_and_keeps_it() -> None:
    # 200 full loads in one second; or a restart between 03:00 and 03:10 that draws anew, and misses the night.
    names = [f"DE*A{number}" for number in range(10, 30)]
    first = [full_load(name, 'full = "03:00"') for name in names]
    assert first == [full_load(name, 'full = "03:00"') for name in names]
    assert len(set(first)) > len(names) // 2
    assert all(at("2026-11-21T03:00Z") <= one <= at("2026-11-21T03:10Z") for one in first)
    without = full_load("DE*ABC", 'full = "03:00", full_jitter = "off"')
    assert without == at("2026-11-21T03:00Z")


def test_cron_has_the_jitter_too_and_an_interval_none() -> None:
    # As the setting says.
    by_cron = full_load("DE*ABC", 'full = "cron: 0 3 * * *"')
    assert by_cron == full_load("DE*ABC", 'full = "03:00"') != at("2026-11-21T03:00Z")
    assert full_load("DE*ABC", 'full = "6h"') == at("2026-11-20T18:00Z")


def test_the_upkeep_is_daily_however_rare_full_loads_are() -> None:
    # The disk fills, and the warnings of a certificate that ends come once a week.
    text = re.sub(r'full = ".*?"', 'full = "cron: 0 3 1 1 *"', MINIMAL)
    trigger = triggers_of(load(text).operators["slb"])[UPKEEP]
    start = at("2026-11-20T12:00Z")
    assert len(runs(trigger, start=start, end=start + timedelta(days=5))) == 5
