"""Reads a time as backends write it: the forms that mean one moment only, then those that a setting names.

The danger: a misread time lets a dead charger pass for one that was just heard from, or a stale copy win over the
fresh one. So nothing is guessed: a date whose day and month could change places is read by a setting only, also where
today's value happens to tell, and what is not surely a time is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

import msgspec

from oicp_adapter.core.model import NEVER
from oicp_adapter.sources.formats.values import BadValue, Scalar, shown

_NUMBER = re.compile("-?[0-9]+(?:[.][0-9]*)?", re.ASCII)
_FIRST_YEAR = 2010
"""No charger of today was heard of earlier: the clock was never set, or the field never filled."""
_LAST_YEAR = 2100
_FIRST, _LAST = (
    datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp(),
    datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp(),
)
_UNITS = (1, 1e3, 1e6, 1e9)
"""Seconds, milliseconds, microseconds, nanoseconds: their ranges are far apart."""
_DATES = (19_000_101, 21_001_231)
"""20261128 is a date, and no number of seconds."""
_SPREADSHEET_DAYS = (36_526, 73_415)
"""A spreadsheet counts days from 1900; these are those of the years 2000 to 2100."""
_SHORTEST = len("2024-10-09T22")
_OFFSET = r"[+-][0-9]{2}:?(?:[0-9]{2})?"
_JAVA_ZONE = re.compile(r"\[[A-Za-z0-9_+/-]+\]\Z", re.ASCII)
_GO_MONOTONIC = re.compile(r"\s+m=[+-][0-9.]+\Z", re.ASCII)
_ZONE_TWICE = re.compile(rf"({_OFFSET})\s+[A-Za-z]{{1,5}}\Z", re.ASCII)  # Go: +0000 UTC
_UTC = re.compile(r"\s*(?:UTC|GMT|Z)\Z", re.ASCII | re.IGNORECASE)
_BLANK_OFFSET = re.compile(rf"\s+({_OFFSET})\Z", re.ASCII)  # SQL Server
_ZERO_DATE = re.compile(r"0000-00-00(?:[T ].*)?\Z", re.ASCII)
_DAY = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_MAIL = re.compile(
    r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
    r"(?:[0-9]{1,2} [a-z]{3} [0-9]{4}\s+[0-9:]{5,8}|[a-z]{3}\s+[0-9]{1,2}\s+[0-9:]{8}\s+[0-9]{4})"
    r"(?:\s+(?:gmt|utc|ut|z|[+-][0-9]{4})(?:\s+\([a-z ]+\))?)?\Z",
    re.ASCII | re.IGNORECASE,
)  # RFC 2822, HTTP, C's asctime


class TimeForms(msgspec.Struct, frozen=True, kw_only=True):
    """How a source writes times beyond the forms that everybody knows."""

    zone: str = "UTC"
    """Of times that name none (IANA name)."""
    formats: tuple[str, ...] = ()
    """As `strptime` wants them, for forms that could be read in two ways."""

    def reader(self) -> Callable[[Scalar], float | None]:
        """Reads a value: seconds since the epoch, NEVER, or None for an empty one; raises BadValue."""
        zone: tzinfo = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        return lambda value: _read(value, zone, self.formats)


def _read(value: Scalar, zone: tzinfo, formats: tuple[str, ...]) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if len(text) >= _SHORTEST and text[4] == "-":  # the usual case, kept fast
            try:
                return _moment(datetime.fromisoformat(text), zone)
            except ValueError:
                pass
        try:
            return _known(text, zone)
        except (ValueError, TypeError, IndexError):  # the last two are of Python's reader of mail dates
            return _by_formats(text, zone, formats)
    if value is None:
        return None
    if isinstance(value, bool):
        raise BadValue(f"{value} is not a time")
    try:
        return _epoch(float(value))
    except (ValueError, OverflowError):
        return _by_formats(str(value), zone, formats)


def _known(text: str, zone: tzinfo) -> float:
    """A form that can be read in one way only. Raises ValueError."""
    if _NUMBER.fullmatch(text):
        return _epoch(float(text))
    if _says_never(text):
        return NEVER
    if _MAIL.match(text):
        return _moment(parsedate_to_datetime(text), zone)
    text = _GO_MONOTONIC.sub("", _JAVA_ZONE.sub("", text))
    text = _ZONE_TWICE.sub(r"\1", text)
    text = _BLANK_OFFSET.sub(r"\1", _UTC.sub("+00:00", text))
    if len(text) < _SHORTEST:
        raise ValueError
    return _moment(datetime.fromisoformat(text.upper()), zone)


def _says_never(text: str) -> bool:
    """A day alone is no time, but one of long ago was never."""
    if text.casefold() == "never" or _ZERO_DATE.match(text):
        return True
    return (day := _DAY.match(text)) is not None and int(day[1]) < _FIRST_YEAR


def _by_formats(text: str, zone: tzinfo, formats: tuple[str, ...]) -> float:
    for form in formats:
        try:
            return _moment(datetime.strptime(text, form), zone)  # noqa: DTZ007 - the zone follows
        except ValueError:
            continue
    raise BadValue(f"{shown(text)} is not a time (expected like 2026-04-02T14:20:11Z)")


def _moment(time: datetime, zone: tzinfo) -> float:
    """Seconds since the epoch. A local time that a clock change repeats or leaves out is the older one."""
    if time.year < _FIRST_YEAR:
        return NEVER
    if time.year > _LAST_YEAR:
        raise ValueError
    if time.tzinfo is not None:
        return time.timestamp()
    if zone is UTC:
        return time.replace(tzinfo=UTC).timestamp()
    return min(time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


def _epoch(number: float) -> float:
    """Raises ValueError for a number that is no count of seconds or parts of one."""
    for unit in _UNITS:
        if _FIRST <= number / unit < _LAST:
            return number / unit
    if not number < _FIRST or _DATES[0] <= number <= _DATES[1]:
        raise ValueError
    if _SPREADSHEET_DAYS[0] <= number < _SPREADSHEET_DAYS[1]:
        raise ValueError
    return NEVER
