"""What a wrong or corrected wall clock must not do. Pure.

The danger: times written while the clock was ahead make retries wait for hours, or let an EVSE look missing for
longer than it was. After a jump, and after every start, no time lies in the future but those of waits, and no wait is
longer than its own rule makes any; after a jump, what is missing is missing anew.
"""

from __future__ import annotations

from msgspec.structs import replace

from oicp_adapter.core.model import ConnectorState
from oicp_adapter.core.records import EvseRow, Notice, OperatorState, Trouble
from oicp_adapter.core.transitions import REASSERT_AFTER, retry_wait
from oicp_adapter.core.trouble import longest_rest

JUMP = 5.0
"""Seconds by which the wall clock may differ from the monotonic one between two cycles before it has jumped."""


def jumped(*, wall: float, monotonic: float) -> bool:
    """The wall clock moved by another amount than time itself; both are seconds since the last cycle."""
    return abs(wall - monotonic) > JUMP


def pulled_back(
    row: EvseRow,
    *,
    now: float,
    settle: float,
    first_retry: float,
    longest_retry: float,
    missing_anew: bool = False,
) -> EvseRow:
    """The row without times after `now`; what is still to come waits no longer than it would from now on.

    `missing_anew`: the clock jumped, so nobody knows for how long the EVSE has been missing, or silent.
    """
    quarantine, reassert_at = row.quarantine, row.reassert_at
    if quarantine is not None:
        wait = retry_wait(quarantine.attempts, first_retry=first_retry, longest_retry=longest_retry)
        quarantine = replace(
            quarantine, since=min(quarantine.since, now), retry_at=min(quarantine.retry_at, now + wait)
        )
    after = replace(
        row,
        status_at=_past(row.status_at, now),
        in_doubt_since=_past(row.in_doubt_since, now),
        doubted_at=_past(row.doubted_at, now),
        reassert_at=None if reassert_at is None else min(reassert_at, now + REASSERT_AFTER * settle),
        quarantine=quarantine,
        withdrawn_at=_past(row.withdrawn_at, now),
        turned_at=_past(row.turned_at, now),
        unread_since=now if missing_anew and row.unread_since is not None else _past(row.unread_since, now),
        changed_at=_past(row.changed_at, now),
        said_at=_past(row.said_at, now),
        first_missing=now
        if missing_anew and row.first_missing is not None
        else _past(row.first_missing, now),
        last_seen=_past(row.last_seen, now),
        connectors=tuple(_standing(state, now, anew=missing_anew) for state in row.connectors),
    )
    return row if after == row else after


def pulled_back_state(state: OperatorState, *, now: float, missing_anew: bool = False) -> OperatorState:
    """The same for the operator. `missing_anew`: nor for how long the source has stood still."""
    return replace(
        state,
        trouble=None if state.trouble is None else _rested(state.trouble, now=now),
        notices={name: _told(notice, now=now) for name, notice in state.notices.items()},
        baseline_at=_past(state.baseline_at, now),
        last_full_at=_past(state.last_full_at, now),
        full_doubt_since=_past(state.full_doubt_since, now),
        rolling_since=_past(state.rolling_since, now),
        last_read_at=_past(state.last_read_at, now),
        last_complete_at=_past(state.last_complete_at, now),
        writing_since=now
        if missing_anew and state.writing_since is not None
        else _past(state.writing_since, now),
        source_failing_since=_past(state.source_failing_since, now),
        unusable_since=_past(state.unusable_since, now),
    )


def _rested(trouble: Trouble, *, now: float) -> Trouble:
    """Both waits stay as long as they were, from the last try on, which was not later than now."""
    tried_at = min(trouble.tried_at, now)
    asked = trouble.not_before - trouble.tried_at if trouble.not_before else 0.0
    wait = min(trouble.next_try - trouble.tried_at, max(longest_rest(trouble), asked))
    return replace(
        trouble,
        since=min(trouble.since, now),
        tried_at=tried_at,
        next_try=tried_at + wait,
        not_before=tried_at + asked if asked else 0.0,
    )


def _told(notice: Notice, *, now: float) -> Notice:
    """A reminder comes an interval after the last line at the latest."""
    if max(notice.since, notice.logged_at) <= now:
        return notice
    return replace(notice, since=min(notice.since, now), logged_at=min(notice.logged_at, now))


def _past(time: float | None, now: float) -> float | None:
    return None if time is None else min(time, now)


def _standing(state: ConnectorState, now: float, *, anew: bool) -> ConnectorState:
    """Since when its value has stood: after a jump nobody knows."""
    if not state.since:
        return state
    return replace(
        state, since=tuple((rule, now if anew else min(since, now)) for rule, since in state.since)
    )
