"""Reads single values as backends really write them: numbers for ids, booleans for flags, many kinds of time.

The danger: a misread time makes a stale state win over a fresh one, so what is not surely a time is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypeAlias

from oicp_adapter.core.text import harmless

Scalar: TypeAlias = str | int | float | bool | None

# A line break in a CSV value is a lost quote that swallowed rows; NUL and lone surrogates (bytes that are not
# UTF-8, see rows_csv) fit into no database or request.
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_FORBIDDEN = re.compile("[\0\r\n\ud800-\udfff]")

# A bare number is seconds or milliseconds only within 1973..2100: 20241009 is a date, not a day in 1970.
_NUMBER = re.compile("[0-9]+(?:[.][0-9]*)?", re.ASCII)
_FIRST, _LAST = 1e8, 4.1e9
_SHORTEST_TIME = len("2024-10-09T22")


class BadValue(ValueError):
    """The value cannot be used; the text says why."""


def to_text(value: Scalar) -> str | None:
    """A value as text without surrounding blanks; None if nothing is left. True is "true", 1.0 is "1".

    Raises BadValue for characters that no status or id can have.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text.isprintable() and _FORBIDDEN.search(text):
            if not is_utf8(text):
                raise BadValue(f"{_shown(readable(text))} is not UTF-8: save the export as UTF-8")
            raise BadValue(f"{_shown(text)} contains a line break or NUL")
        return harmless(text) or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return harmless(str(value))


def is_utf8(text: str) -> bool:
    """False if the text had bytes that are not UTF-8, such as an umlaut in ISO-8859-1."""
    return _NOT_UTF8.search(text) is None


def readable(text: str) -> str:
    """The text for a person: what is not UTF-8 in it is U+FFFD."""
    return _NOT_UTF8.sub("\ufffd", text)


def parse_time(value: Scalar) -> float | None:
    """A time in seconds since the epoch, None for null or an empty text.

    Accepts RFC 3339 (blank for T, any fraction, no zone = UTC) and epoch seconds or milliseconds, the latter
    as number or text. Raises BadValue for anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        return _epoch(float(text)) if _NUMBER.fullmatch(text) else _timestamp(text)
    if value is None:
        return None
    if isinstance(value, bool):
        raise BadValue(f"{value} is not a time")
    return _epoch(value)


def _epoch(number: float) -> float:
    if _FIRST <= number <= _LAST:
        return float(number)
    if _FIRST * 1000 <= number <= _LAST * 1000:
        return number / 1000
    raise BadValue(
        f"{_shown(str(number))} is neither epoch seconds nor milliseconds of the years 1973 to 2100"
    )


def _timestamp(text: str) -> float:
    try:
        # Python also reads dates alone and calendar weeks: a day is no time of day.
        if len(text) < _SHORTEST_TIME:
            raise ValueError
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        raise BadValue(f"{_shown(text)} is not a time (expected like 2026-04-02T14:20:11Z)") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
