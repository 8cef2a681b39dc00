"""When a job runs, as written in the configuration: "10s", "03:00" or "cron: 0 3 * * mon-fri".

The danger: a schedule that is accepted here and refused, or never due, in the daemon; so the grammar is the part of
cron that every tradition reads alike, and a date that never comes is refused. Messages never repeat the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from itertools import pairwise
from typing import TypeAlias

from oicp_adapter.settings.duration import parse_duration

DAY = 86_400.0

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LAST_DAY = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_ITEM = re.compile(
    r"\*(?:/(?P<step>[0-9]{1,2}))?|(?P<first>[0-9]{1,2}|[a-z]+)(?:-(?P<last>[0-9]{1,2}|[a-z]+))?"
)
_FORMS = 'write an interval like "10s", a time of day like "03:00", or "cron: 0 3 * * mon-fri"'


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds."""

    seconds: float

    @property
    def shortest_gap(self) -> float:
        """Seconds between two runs."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day, in the operator's time zone."""

    hour: int
    minute: int
    second: int = 0

    @property
    def shortest_gap(self) -> float:
        """Seconds between two runs."""
        return DAY


@dataclass(frozen=True, slots=True)
class Cron:
    """Minute, hour, day of month, month, day of week (names); lower case, single blanks."""

    expression: str

    @property
    def shortest_gap(self) -> float:
        """The fewest seconds between two runs on days that follow each other."""
        minute_text, hour_text, *_ = self.expression.split()
        minutes, hours = _expand(minute_text, _FIELDS[0]), _expand(hour_text, _FIELDS[1])
        due = sorted(hour * 60 + minute for hour in hours for minute in minutes)
        return 60.0 * min(after - before for before, after in pairwise([*due, due[0] + 24 * 60]))


Schedule: TypeAlias = Interval | Daily | Cron


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS),
)


def parse_schedule(value: object) -> Schedule:
    """A schedule as written. Raises ValueError with what is wrong and how to write it."""
    if isinstance(value, time):  # TOML's own local time: full = 03:00:00
        return Daily(value.hour, value.minute, value.second)
    if not isinstance(value, str):
        return Interval(parse_duration(value))
    text = value.strip().lower()
    if clock := _CLOCK.fullmatch(text):
        return _daily(clock)
    if text.startswith("cron:") or len(text.split()) == len(_FIELDS):
        return _cron(text.removeprefix("cron:").split())
    if not text[:1].isdigit():
        raise ValueError(f"is not a schedule; {_FORMS}")
    return Interval(parse_duration(text))


def _daily(clock: re.Match[str]) -> Daily:
    hour, minute, second = (int(part or 0) for part in clock.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("is not a time of day; write 00:00 to 23:59")
    return Daily(hour, minute, second)


def _cron(texts: list[str]) -> Cron:
    if len(texts) != len(_FIELDS):
        raise ValueError("needs five cron fields: minute, hour, day of month, month, day of week")
    values = [_expand(text, field) for text, field in zip(texts, _FIELDS, strict=True)]
    if texts[2] != "*" and texts[4] != "*":
        raise ValueError(
            "sets both day of month and day of week, which some crons read as 'and' and others as 'or'; leave one '*'"
        )
    if min(values[2]) > max(_LAST_DAY[month - 1] for month in values[3]):
        raise ValueError("names a day that none of its months has, so it would never run")
    return Cron(" ".join(texts))


def _expand(text: str, field: _Field) -> set[int]:
    """All values a cron field stands for. Raises ValueError."""
    return {value for item in text.split(",") for value in _item(item, field)}


def _item(text: str, field: _Field) -> range:
    match = _ITEM.fullmatch(text)
    if match is None:
        raise ValueError(f"has a {field.name} that is not *, */n, a, a-b or a list of these")
    step, first, last = match.group("step", "first", "last")
    if first is None:
        if step is None:
            return range(field.lowest, field.highest + 1)
        if field.names == _WEEKDAYS:
            raise ValueError(f"has a step in its day of week; use names: {', '.join(_WEEKDAYS)}")
        if not 1 <= int(step) <= field.highest - field.lowest:
            raise ValueError(f"has a {field.name} step outside 1 to {field.highest - field.lowest}")
        return range(field.lowest, field.highest + 1, int(step))
    if last is not None and first.isdigit() != last.isdigit():
        raise ValueError(f"mixes a number and a name in one {field.name} range; use one kind")
    low = _number(first, field)
    high = low if last is None else _number(last, field)
    if low > high:
        raise ValueError(f"has a {field.name} range that runs backwards; write it as a list")
    return range(low, high + 1)


def _number(text: str, field: _Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if field.names == _WEEKDAYS:
        numbers = "numbers are refused, because Monday is 0 in one tradition and Sunday in another; "
        why = numbers if text.isdigit() else ""
        raise ValueError(f"has a day of week that is not a name; {why}use {', '.join(_WEEKDAYS)}")
    if not text.isdigit() or not field.lowest <= int(text) <= field.highest:
        raise ValueError(f"has a {field.name} outside {field.lowest} to {field.highest}")
    return int(text)
