"""What a rule with `for` may not do: turn a map to Available at once. Pure.

The danger: an export that stands still while its date goes on, and half of a fleet is free that nobody has looked at.
One charger after another over a day is ordinary. What is withheld is the step only, as in `oicp_adapter.core.mass`;
it never passes by time, which has already been the reason for the step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from oicp_adapter.core.guards import Guard, GuardPolicy, Refusal, published, some
from oicp_adapter.core.model import Cause, ConnectorState, EvseStatus
from oicp_adapter.core.records import EvseRow

HOUR = 3_600.0
"""The account looks back this many seconds."""


def is_turn(row: EvseRow, status: EvseStatus | None) -> bool:
    """To set the EVSE to `status` now would free it only because its value has stood for so long."""
    turns = row.cause is Cause.STOOD and status is row.desired is not row.status
    return turns and status is EvseStatus.AVAILABLE and row.wanted and row.held


def standing_guard(
    rows: Collection[EvseRow], policy: GuardPolicy, *, now: float, operator: str
) -> Refusal | None:
    """The turns of the last hour and the waiting ones, against the published EVSEs."""
    waiting = [row for row in rows if is_turn(row, row.desired) and not _passed(row)]
    keys = {row.key for row in waiting}
    earlier = sum(1 for row in rows if row.key not in keys and _counts(row, now=now))
    total, fleet = earlier + len(waiting), published(rows)
    if not waiting or total <= policy.mass_count or total <= policy.mass_share * fleet:
        return None
    rules = some(sorted({row.rule for row in waiting}))
    return Refusal(
        guard=Guard.MASS_AVAILABLE,
        text=(
            f"{len(waiting)} EVSEs would turn to Available because their value has stood for so long ({rules})"
            + (f"; {earlier} more did within an hour" if earlier else "")
            + f": {total} of {fleet} published is more than {policy.mass_share:.0%}"
        ),
        hint=(
            "find out whether the export still moves; it passes when fewer are left, not by time; those that are "
            "really free can be named in a rule before it, without `for` (value and evse_id), then reload the daemon "
            f"(SIGHUP), see: oicp-adapter plan {operator}"
        ),
        keys=tuple(sorted(keys)),
        kind="Available, stood",
    )


def _passed(row: EvseRow) -> bool:
    """Its step was sent, and the answer is lost."""
    return row.turned_at is not None and row.in_doubt_since is not None


def _counts(row: EvseRow, *, now: float) -> bool:
    turned_at = row.turned_at
    return row.cause is Cause.STOOD and row.held and turned_at is not None and now - turned_at < HOUR


def begun_anew(states: Iterable[ConnectorState]) -> tuple[ConnectorState, ...]:
    """The states after a gap: nobody saw whether their values stood."""
    return tuple(replace(state, since=()) if state.since else state for state in states)


def stands(row: EvseRow) -> bool:
    """A value of it is waited for."""
    return any(state.since for state in row.connectors)
