"""When a job runs, as APScheduler triggers. APScheduler is used nowhere outside this package.

The danger: a due time that is not later than now. APScheduler then runs the job in a burst, looks for its next time for
ever, and no job of any operator runs any more: so it is with its own jitter in the hour that a clock change repeats.
Every due time here is later than now, whatever was missed, and in UTC, which has no such hour.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """At a fixed interval; the first run one interval after the start."""

    def __init__(self, seconds: float) -> None:
        self._gap = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """However many runs were missed, they are one."""
        previous = previous_fire_time or now
        return previous + self._gap * (1 + max(0, (now - previous) // self._gap))


def first_run(trigger: BaseTrigger, *, promised: float | None, now: datetime) -> datetime | None:
    """A job's first run after a start. `promised`: what the process before said, seconds since the epoch.

    An interval keeps to that: else one longer than any process lives would never end.
    """
    due: datetime | None = trigger.get_next_fire_time(None, now)
    if isinstance(trigger, Every) and promised is not None and due is not None:
        kept = datetime.fromtimestamp(promised, UTC)
        return kept if now < kept < due else due
    return due


class WallClock(BaseTrigger):  # type: ignore[misc]  # as above
    """When a clock on the wall of a time zone shows certain times, each run `later` seconds after that."""

    def __init__(self, time_zone: str, *, later: float) -> None:
        self.zone = ZoneInfo(time_zone)
        self._later = timedelta(seconds=later)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """However many runs were missed, they are one. None: never again."""
        after = now if previous_fire_time is None else max(previous_fire_time, now) + _MOMENT
        due = self._shown(after - self._later)
        return None if due is None else due.astimezone(UTC) + self._later

    @abstractmethod
    def _shown(self, after: datetime) -> datetime | None:
        """The first moment from `after` on at which the clock shows one of the times."""


class Daily(WallClock):
    """Once a day. A time that a clock change skips comes as much later as the clock is put forward; of one that it
    repeats, the first counts."""

    def __init__(self, at: time, time_zone: str, *, later: float = 0.0) -> None:
        super().__init__(time_zone, later=later)
        self._at = at

    def _shown(self, after: datetime) -> datetime:
        day = after.astimezone(self.zone).date() - _DAY
        while (due := datetime.combine(day, self._at, self.zone).astimezone(UTC)) < after:
            day += _DAY
        return due


class Cron(WallClock):
    """Five cron fields; days of the week by name (numbers mean different days to different programs).

    A time that a clock change skips comes as much later, or not at all where midnight is skipped; one that it repeats
    comes twice (harmless).
    """

    def __init__(self, expression: str, time_zone: str, *, later: float = 0.0) -> None:
        super().__init__(time_zone, later=later)
        self._expression = expression

    def _shown(self, after: datetime) -> datetime | None:
        due = self._next(after, self.zone)
        if due is None:
            return None
        # APScheduler adds up days across a clock change, and so steps over the first hour of the day after it. Counted
        # with the difference to UTC that holds then, nothing is stepped over.
        offset = due.utcoffset() or timedelta()
        nearer = self._next(after, timezone(offset))
        if nearer is not None and nearer.astimezone(self.zone).utcoffset() == offset:
            return min(due, nearer)
        return due

    def _next(self, after: datetime, zone: ZoneInfo | timezone) -> datetime | None:
        trigger = CronTrigger.from_crontab(self._expression, timezone=zone)
        due: datetime | None = trigger.get_next_fire_time(None, after)
        return due
