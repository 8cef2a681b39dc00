"""When a job runs, as APScheduler triggers. APScheduler is used nowhere outside this package."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger


def every(seconds: float) -> BaseTrigger:
    """At a fixed interval; the first run one interval after the start."""
    return IntervalTrigger(seconds=seconds)


def daily(*, hour: int, minute: int, second: int, time_zone: str, jitter: float) -> BaseTrigger:
    """Once a day, up to `jitter` seconds later.

    A time that a clock change skips runs at the shifted time; one that it repeats runs twice (harmless).
    """
    return CronTrigger(
        hour=hour, minute=minute, second=second, timezone=ZoneInfo(time_zone), jitter=round(jitter) or None
    )


def cron(expression: str, *, time_zone: str, jitter: float) -> BaseTrigger:
    """Five cron fields; days of the week by name (numbers mean different days to different programs)."""
    trigger = CronTrigger.from_crontab(expression, timezone=ZoneInfo(time_zone))
    trigger.jitter = round(jitter) or None
    return trigger
