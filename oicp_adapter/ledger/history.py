"""What is kept of past pushes, how it is shown, and what may be forgotten. Pure.

The danger: a history that grows until the disk is full, or forgets a push that is still open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from oicp_adapter.core.model import ActionType, EvseStatus

DAY = 86_400.0


class PushEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A push as the ledger remembers it; `finished_at` None: open."""

    push_id: int
    cycle_id: str
    action: ActionType
    count: int
    started_at: float
    finished_at: float | None = None
    outcome: str = ""
    code: str = ""
    text: str = ""
    process_id: str | None = None
    http_status: int | None = None
    duration: float = 0.0
    attempts: int = 1


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE's part in a push: the status that was sent (None: a deletion) and why."""

    status: EvseStatus | None
    reason: str
    push: PushEntry


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A finished push, as far as forgetting it is concerned."""

    push_id: int
    started_at: float
    records: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much history an operator keeps."""

    age: float = 30 * DAY
    pushes: int = 100_000
    records: int = 2_000_000
    recent: float = 600.0
    """Seconds that are kept in any case: the rate window is seeded from them."""


LIMITS = Limits()


def expired(
    newest_first: Iterable[Kept], last_pushes: Collection[int | None], *, now: float, limits: Limits
) -> list[int]:
    """The finished pushes to forget, oldest first. The last push of an EVSE is its explanation, and stays."""
    forget = []
    pushes = records = 0
    for push in newest_first:
        pushes += 1
        records += push.records
        if push.started_at > now - limits.recent or push.push_id in last_pushes:
            continue
        old = push.started_at < now - limits.age
        if old or pushes > limits.pushes or records > limits.records:
            forget.append(push.push_id)
    return forget[::-1]
