"""What waits for Hubject, and since when: counted once, for the summary line, `status` and `explain` alike. Pure.

The danger: three places that each count a little differently. Then the log says that nothing waits while Hubject has
not answered for an hour, and the person at the screen believes the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.plan import Missing, PlanPolicy, gone_at, held_back
from oicp_adapter.core.records import EvseRow


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What Hubject is not known to hold as the source says. Times are seconds since the epoch."""

    backlog: int = 0
    """EVSEs that wait and could go; what a guard withholds is counted by itself."""
    since: float | None = None
    """The oldest wait, whatever it waits for; None: nothing waits."""
    overdue_since: float | None = None
    """The oldest wait that nobody has decided: a guard tells its own, and asks a person."""
    newest: float | None = None
    """The last change among what waits; another one is news."""
    oldest: EvseRow | None = None
    """The one that waits since `since`."""


NOTHING_WAITS = Waiting()


def waits_since(row: EvseRow, policy: PlanPolicy, *, now: float) -> float | None:
    """Since when Hubject is behind for this EVSE, or nobody knows what it holds; None: it is not, as far as is known.

    What the operator wants to wait (`hold_available`, `missing_after`) waits only after that time. What Hubject has
    refused does not wait: it is quarantined, listed, and tried again at its own times.
    """
    times = [row.doubtful_since, None if row.quarantine is not None else _behind_since(row, policy, now=now)]
    return min((time for time in times if time is not None), default=None)


def _behind_since(row: EvseRow, policy: PlanPolicy, *, now: float) -> float | None:
    if row.first_missing is not None:
        due = gone_at(row, policy)
        waits = due is not None and due <= now and row.held and policy.missing is not Missing.KEEP
        return due if waits else None
    if row.desired is None or row.changed_at is None or held_back(row, policy, now=now):
        return None
    if row.desired is EvseStatus.EVSE_NOT_FOUND and not row.may_be_shown:
        return None  # gone, and Hubject does not show it: nothing is sent for it
    was_held = row.desired is EvseStatus.AVAILABLE and row.status not in (None, EvseStatus.AVAILABLE)
    if was_held and row.said_at in (None, row.changed_at):
        return row.changed_at + policy.hold_available
    return row.changed_at


def waiting(rows: Iterable[EvseRow], policy: PlanPolicy, *, now: float) -> Waiting:
    """Everything that waits, counted."""
    backlog = 0
    since = overdue_since = newest = None
    oldest: EvseRow | None = None
    for row in rows:
        if row.changed_at is None and row.in_doubt_since is None and row.first_missing is None:
            continue  # almost all of them
        at = waits_since(row, policy, now=now)
        if at is None:
            continue
        if since is None or at < since:
            since, oldest = at, row
        newest = max(at, row.said_at or at, newest or at)
        if not row.withheld:
            backlog += 1
            overdue_since = at if overdue_since is None else min(at, overdue_since)
    return Waiting(backlog=backlog, since=since, overdue_since=overdue_since, newest=newest, oldest=oldest)
