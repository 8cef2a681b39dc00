"""A record that is present but unusable is not gone (DESIGN section 4): its EVSE waits for a person. Pure.

The danger: a prefix is dropped from the configuration, or an export loses the ids of fifty chargers, and chargers that
are in it leave the drivers' maps. Where a record does not tell whose it is, whatever went missing with it may be.
"""

from __future__ import annotations

from collections.abc import Collection, Container

from msgspec.structs import replace

from oicp_adapter.core.guards import HALF, Guard, Refusal, leave, published, remaining
from oicp_adapter.core.plan import Plan
from oicp_adapter.core.records import EvseRow, OperatorState


def counted(state: OperatorState, rows: Collection[EvseRow], count: int, *, now: float) -> OperatorState:
    """After a complete read at `now` with `count` records that do not tell whose they are.

    As many as ever are nobody's, and so are new ones while no EVSE is missing.
    """
    since = state.unusable_since if state.unusable_since is not None else now
    if count <= state.unusable or not any(_may_be_one(row, since=since) for row in rows):
        return replace(state, unusable=count, unusable_since=None)
    return replace(state, unusable_since=since)


def unusable_guard(
    plan: Plan,
    rows: dict[str, EvseRow],
    state: OperatorState,
    unusable: Container[str],
    *,
    allowed: int | None,
    operator: str,
) -> Refusal | None:
    """Withhold the removal of EVSEs whose records are `unusable` (keys), or that went missing with such records."""
    since = state.unusable_since
    keys = [
        change.key
        for change in plan.withdrawals
        if change.removal
        and (change.key in unusable or (since is not None and _may_be_one(rows[change.key], since=since)))
    ]
    if not keys or (allowed is not None and len(keys) <= allowed):
        return None
    values = rows.values()
    empties = len(keys) > HALF * published(values) or remaining(values, set(keys)) == 0
    return Refusal(
        guard=Guard.UNUSABLE,
        text=f"{len(keys)} EVSEs would leave the drivers' maps, but unusable records in the source may be theirs",
        hint=(
            "repair those records, see: oicp-adapter quarantine list; "
            + leave(len(keys), empties=empties, operator=operator)
        ),
        keys=tuple(sorted(keys)),
    )


def _may_be_one(row: EvseRow, *, since: float) -> bool:
    """Missing since then, not merely unpublished, and drivers may see it."""
    missing = row.first_missing is not None and row.first_missing >= since
    return missing and row.desired is not None and row.may_be_shown
