"""What a wrong or corrected wall clock must not do. Pure.

The danger: times written while the clock was ahead make retries wait for hours, or let an EVSE look missing for
longer than it was. After a jump, and after every start, times that lie in the future are pulled back to now; after a
jump, what is missing is missing anew.
"""

from __future__ import annotations

from msgspec.structs import replace

from oicp_adapter.core.records import EvseRow, OperatorState

JUMP = 5.0
"""Seconds by which the wall clock may differ from the monotonic one between two cycles before it has jumped."""


def jumped(*, wall: float, monotonic: float) -> bool:
    """The wall clock moved by another amount than time itself; both are seconds since the last cycle."""
    return abs(wall - monotonic) > JUMP


def pulled_back(row: EvseRow, *, now: float, longest_wait: float, missing_anew: bool = False) -> EvseRow:
    """The row without times after `now`, or later than `longest_wait` from now for what is still to come.

    `missing_anew`: the clock jumped, so nobody knows for how long the EVSE has been missing.
    """
    quarantine, latest = row.quarantine, now + longest_wait
    if quarantine is not None and quarantine.retry_at > latest:
        quarantine = replace(quarantine, retry_at=now)
    after = replace(
        row,
        in_doubt_since=_past(row.in_doubt_since, now),
        reassert_at=None if row.reassert_at is None else min(row.reassert_at, latest),
        quarantine=quarantine,
        withdrawn_at=_past(row.withdrawn_at, now),
        changed_at=_past(row.changed_at, now),
        first_missing=now
        if missing_anew and row.first_missing is not None
        else _past(row.first_missing, now),
        last_seen=_past(row.last_seen, now),
    )
    return row if after == row else after


def pulled_back_state(state: OperatorState, *, now: float, longest_wait: float) -> OperatorState:
    """The same for the operator: nobody is made to wait for a time that may never come."""
    trouble = state.trouble
    if trouble is not None and (trouble.next_try > now + longest_wait or trouble.since > now):
        trouble = replace(trouble, next_try=now, not_before=0.0, since=min(trouble.since, now))
    return replace(
        state,
        trouble=trouble,
        full_doubt_since=_past(state.full_doubt_since, now),
        mass_since=_past(state.mass_since, now),
        rolling_since=_past(state.rolling_since, now),
        last_read_at=_past(state.last_read_at, now),
        last_complete_at=_past(state.last_complete_at, now),
        source_failing_since=_past(state.source_failing_since, now),
        unusable_since=_past(state.unusable_since, now),
    )


def _past(time: float | None, now: float) -> float | None:
    return None if time is None else min(time, now)
