"""How many records travel in one request. Pure.

Hubject advises to push status changes one by one. With little to send each change goes alone and at once; as the
backlog grows, the bundle grows so that it drains within a few seconds at the observed round trip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from oicp_adapter.core.model import ActionType
from oicp_adapter.core.plan import Change, Kind
from oicp_adapter.core.records import Presence

DRAIN_WITHIN = 5.0
"""Seconds in which a backlog should be gone."""
LARGEST_BUNDLE = 1000
"""Records; one refusal costs at most this many records a second request."""


def bundle_size(backlog: int, *, round_trip: float, calls_per_minute: int) -> int:
    """Records per request so that `backlog` drains within DRAIN_WITHIN, within the call rate."""
    pace = max(round_trip, 60.0 / calls_per_minute)
    return max(1, min(LARGEST_BUNDLE, math.ceil(backlog * pace / DRAIN_WITHIN)))


def bundles(changes: Iterable[Change], size: int) -> Iterator[tuple[ActionType, tuple[Change, ...]]]:
    """Group what may share a request: one action, one presence, no removals among others, no quarantined ones.

    Status updates of known EVSEs go first (drivers see them), quarantine retries last; oldest first in each.
    """
    for (rank, action, _, _), group in groupby(sorted(changes, key=_group), key=_group):
        members = list(group)
        step = 1 if rank == _ALONE else size
        for start in range(0, len(members), step):
            yield action, tuple(members[start : start + step])


_ALONE = 3


def _group(change: Change) -> tuple[int, ActionType, Presence, bool]:
    if change.kind is Kind.QUARANTINE:
        rank = _ALONE
    elif change.removal:
        rank = 2
    else:
        rank = 0 if change.presence is Presence.PRESENT else 1
    return (rank, change.action, change.presence, change.removal)
