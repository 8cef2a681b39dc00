"""How large the fleet has been within 90 days, as the mark beside the ledger remembers it, too (P4 "Emptiness"). Pure.

The danger: a lost ledger beside an empty export. The ledger then knows of nothing that could be missing, and a full
load of nothing looks right. So the figure outlives the ledger, and where it is not known a person is asked.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from oicp_adapter.core.records import DAY, LOST, UNMEASURED, OperatorState, Picture

REMEMBERED = 90 * DAY
"""Seconds a published set is remembered as the measure of a full load."""


def day_of(now: float) -> str:
    """The UTC day of a time."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def risen(state: OperatorState, count: int, *, now: float) -> OperatorState:
    """So many are published now. Kept per day, and only where no later day had as many: the measure needs no more."""
    today, oldest = day_of(now), day_of(now - REMEMBERED)
    # Days to come were written by a clock that was ahead; what they say is not forgotten because of that.
    most = max([count, *(size for day, size in state.peak.items() if day >= today)])
    peak = {day: size for day, size in state.peak.items() if oldest <= day < today and size > most}
    peak[today] = most
    return state if peak == state.peak else replace(state, peak=peak)


def approved(state: OperatorState, count: int, *, now: float) -> OperatorState:
    """A person had a full load sent with a number of their own: from now on it is measured by what it held."""
    return replace(state, peak={day_of(now): count})


def measure(state: OperatorState) -> int:
    """The largest set published within 90 days; 0 if nothing is known."""
    return max(state.peak.values(), default=0)


def recollected(picture: Picture) -> OperatorState:
    """The operator's state with what the mark beside the ledger knows better.

    While the baseline is unknown, a lost ledger and a mark that does not know the measure both mean: ask a person.
    """
    state, noted = picture.state, picture.peak
    peak = dict(state.peak or state.largest)
    for day, size in (noted or {}).items():
        peak[day] = max(size, peak.get(day, 0))
    by_hand, baseline = state.by_hand, "" if picture.lost else state.baseline
    if not baseline and not by_hand:
        by_hand = UNMEASURED if noted is None else LOST if picture.lost else ""
    after = replace(state, peak=peak, by_hand=by_hand, baseline=baseline)
    return state if after == state else after
