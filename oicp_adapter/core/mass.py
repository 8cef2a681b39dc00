"""What no plan may do by accident: take a fleet for dead, or for unreadable (P4). Pure.

The danger: a heartbeat service that hangs, a clock that is off, a wrong vocabulary; all at once, or row by row, so the
steps of a whole day are counted. What is withheld is the step only: what can be read still flows
(`oicp_adapter.core.plan`), or the fleet is frozen with what drivers must not see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from oicp_adapter.core.guards import Guard, GuardPolicy, Refusal, published, some
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.records import UNCOUNTED, EvseRow

DAY = 86_400.0
"""The account looks back this many seconds."""


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that staleness or something unmapped gives now, after the guard. All by EVSE key."""

    refusal: Refusal | None = None
    uncounted: frozenset[str] = frozenset()
    """Those that pass by time or by a person's leave."""
    by_leave: frozenset[str] = frozenset()
    believed: frozenset[str] = frozenset()
    """Unmapped, withheld so far, and believed from now on because nobody could read them for so long."""


def is_step(row: EvseRow, status: EvseStatus | None) -> bool:
    """To set the EVSE to `status` now would be a step that staleness or something unmapped gives."""
    return status is row.desired is not row.status and row.unread and row.wanted and row.held


def entered(row: EvseRow, *, now: float, uncounted: bool) -> EvseRow:
    """The row as its step is about to be sent: it enters the account, if it counts."""
    return msgspec.structs.replace(row, turned_at=UNCOUNTED if uncounted else now)


def mass_guard(
    rows: Collection[EvseRow], policy: GuardPolicy, *, now: float, allowed: int | None, operator: str
) -> Steps:
    """The steps of the last 24 hours and the waiting ones, against the published EVSEs.

    Those in doubt wait, too: in parts they would all pass. What a request in doubt was to turn has passed already.
    """
    waiting = [row for row in rows if is_step(row, row.desired)]
    if not waiting:
        return Steps()
    over = {row.key for row in waiting if _believed(row, policy, now=now)}
    uncounted = over | {row.key for row in waiting if _passed(row) and row.turned_at == UNCOUNTED}
    fresh = [row for row in waiting if row.key not in over and not _passed(row)]
    believed = frozenset(
        row.key
        for row in waiting
        if row.key in over and row.cause is Cause.UNMAPPED and row.withheld == Guard.MASS_UNKNOWN
    )
    passing = Steps(uncounted=frozenset(uncounted), believed=believed)
    if not fresh:
        return passing
    keys = {row.key for row in fresh}
    earlier = sum(1 for row in rows if row.key not in keys and _counts(row, now=now))
    total, fleet = earlier + len(fresh), published(rows)
    if total <= policy.mass_count or total <= policy.mass_share * fleet:
        return passing
    if allowed is not None and len(fresh) <= allowed:
        return msgspec.structs.replace(passing, uncounted=passing.uncounted | keys, by_leave=frozenset(keys))
    refusal = _refusal(fresh, policy, earlier=earlier, fleet=fleet, operator=operator)
    if any(row.cause is Cause.UNMAPPED for row in fresh):
        keys |= _unmapped_elsewhere(rows, policy, now=now)
    return msgspec.structs.replace(
        passing, refusal=msgspec.structs.replace(refusal, keys=tuple(sorted(keys)))
    )


def _passed(row: EvseRow) -> bool:
    """Its step was sent, and the answer is lost."""
    return row.turned_at is not None and row.in_doubt_since is not None


def _counts(row: EvseRow, *, now: float) -> bool:
    """It has a share in the account."""
    turned_at = row.turned_at
    if row.cause is Cause.STOOD:
        return False  # it turned to Available, which has an account of its own
    return row.held and turned_at is not None and turned_at != UNCOUNTED and now - turned_at < DAY


def _believed(row: EvseRow, policy: GuardPolicy, *, now: float) -> bool:
    """It has been so for so long that it is so."""
    limit = policy.mass_stale_after if row.cause is Cause.STALE else policy.unmapped_believed_after
    return limit is not None and row.unread_since is not None and now - row.unread_since >= limit


def _unmapped_elsewhere(rows: Iterable[EvseRow], policy: GuardPolicy, *, now: float) -> set[str]:
    """While unmapped steps are withheld, nothing unmapped is published: not what is new, nor what Hubject holds as
    EvseNotFound. That is no loss to drivers and so not counted, but the same mistake."""
    return {
        row.key
        for row in rows
        if row.wanted
        and row.unread
        and row.cause is Cause.UNMAPPED
        and not row.held
        and not _believed(row, policy, now=now)
    }


def _refusal(
    fresh: list[EvseRow], policy: GuardPolicy, *, earlier: int, fleet: int, operator: str
) -> Refusal:
    unmapped = [row for row in fresh if row.cause is Cause.UNMAPPED]
    whys, hints = [], []
    if silent := len(fresh) - len(unmapped):
        minutes = policy.mass_stale_after / 60
        whys.append(f"{silent} by missing signs of life")
        hints.append(
            f"check the backend's heartbeats; silence is believed when it has lasted {minutes:.0f} min"
        )
    if unmapped:
        whys.append(
            f"{len(unmapped)} by values no table knows ({some(sorted({row.value for row in unmapped}))})"
        )
        hints.append(
            "repair the export, or correct the settings that `oicp-adapter plan` names and reload the daemon (SIGHUP); "
            "then it passes by itself"
        )
    targets = " or ".join(sorted({row.desired for row in fresh if row.desired}))
    return Refusal(
        guard=Guard.MASS_UNKNOWN,
        text=(
            f"{len(fresh)} EVSEs would turn to {targets}, {' and '.join(whys)}"
            + (f"; {earlier} more did within 24 h" if earlier else "")
            + f": {earlier + len(fresh)} of {fleet} published is more than {policy.mass_share:.0%}"
        ),
        hint=(
            "; ".join(hints)
            + f"; if they are really {targets}: oicp-adapter resync {operator} --allow-unknown {len(fresh)}"
        ),
        kind=f"{targets}, {' and '.join(sorted({row.cause for row in fresh}))}",
    )
