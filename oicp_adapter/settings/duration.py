"""A length of time as people write it: "500ms", "10s", "5min", "1h", "1d", or a number of seconds.

The danger: a unit read differently from what was meant, so "m" (minutes? months?) is refused.
"""

from __future__ import annotations

import math
import re

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|min|h|d)?", re.ASCII)
_LONGEST_DAYS = 3650


def parse_duration(value: object) -> float:
    """Seconds. Raises ValueError with what is wrong and how to write it, without repeating the value."""
    if isinstance(value, str) and (match := _TEXT.fullmatch(value.strip().lower())):
        number, unit = match.groups()
        seconds = float(number) * _UNITS[unit or "s"]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(min(value, 1e12))  # an integer may be too large for a float
    else:
        raise ValueError('is not a duration; write "500ms", "10s", "5min", "1h", "1d" or a number of seconds')
    if math.isnan(seconds) or seconds <= 0:
        raise ValueError("must be longer than 0")
    if seconds > _LONGEST_DAYS * _UNITS["d"]:
        raise ValueError(f"must not be longer than {_LONGEST_DAYS} days")
    return seconds
