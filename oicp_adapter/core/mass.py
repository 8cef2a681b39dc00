"""What no plan may do by accident: turn a fleet to Unknown (P4). Pure.

The danger: a wrong vocabulary, a heartbeat service that hangs, a stuck clock.
"""

from __future__ import annotations

import msgspec

from oicp_adapter.core.guards import Guard, GuardPolicy, Refusal, published, some
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import Change, Plan
from oicp_adapter.core.records import EvseRow


def mass_unknown(plan: Plan, rows: dict[str, EvseRow], policy: GuardPolicy) -> list[Change]:
    """The changes to Unknown by staleness or unmapped values, if they are too many at once; else none."""
    suspects = [
        change
        for change in plan.changes
        if change.status is EvseStatus.UNKNOWN and _turns_unknown(rows[change.key])
    ]
    turning = _turning(suspects, rows)
    if turning <= policy.mass_count or turning <= policy.mass_share * published(rows.values()):
        return []
    return suspects


def _turning(suspects: list[Change], rows: dict[str, EvseRow]) -> int:
    """How many they are with those in doubt, whose turn comes after settle: in parts they would all pass."""
    if not suspects:
        return 0
    now = {change.key for change in suspects}
    return len(now) + sum(
        1
        for row in rows.values()
        if row.in_doubt_since is not None and row.key not in now and row.wanted and _turns_unknown(row)
    )


def _turns_unknown(row: EvseRow) -> bool:
    return (
        row.desired is EvseStatus.UNKNOWN
        and row.held
        and row.status is not EvseStatus.UNKNOWN
        and row.cause is not Cause.REPORTED
    )


def mass_guard(
    suspects: list[Change],
    rows: dict[str, EvseRow],
    policy: GuardPolicy,
    *,
    now: float,
    since: float,
) -> Refusal | None:
    """Staleness passes after `mass_stale_after`; unmapped values only when a person corrects them."""
    believed = now - since >= policy.mass_stale_after
    keys = tuple(
        change.key for change in suspects if not (believed and rows[change.key].cause is Cause.STALE)
    )
    if not keys:
        return None
    unmapped = [rows[key] for key in keys if rows[key].cause is Cause.UNMAPPED]
    if unmapped:
        values = sorted({row.value for row in unmapped})
        why = f"{len(unmapped)} by values no table knows ({some(values)})"
        hint = (
            "repair the export, or correct `vocabulary` or `mapping.overrides` and reload the daemon (SIGHUP); "
            "then it passes by itself"
        )
    else:
        minutes = policy.mass_stale_after / 60
        why = "by missing signs of life"
        hint = f"check the backend's heartbeats; it is believed if it lasts {minutes:.0f} min"
    return Refusal(
        guard=Guard.MASS_UNKNOWN,
        text=f"{_turning(suspects, rows)} of {published(rows.values())} published EVSEs would turn to Unknown, {why}",
        hint=hint,
        keys=keys,
    )


def with_all_unmapped(refusal: Refusal, plan: Plan, rows: dict[str, EvseRow]) -> Refusal:
    """While the mass guard stands against unmapped values, none is published: not what is new, nor what Hubject holds
    as EvseNotFound. They are no loss to drivers and so not counted, but the same mistake."""
    if not any(rows[key].cause is Cause.UNMAPPED for key in refusal.keys):
        return refusal
    others = [
        change.key
        for change in plan.changes
        if change.status is EvseStatus.UNKNOWN and rows[change.key].cause is Cause.UNMAPPED
    ]
    return msgspec.structs.replace(refusal, keys=tuple(sorted({*refusal.keys, *others})))
