"""A record that is present but unusable is not gone: its EVSE waits for a person. Pure.

The danger: a prefix is dropped from the configuration, or an export loses the ids of fifty chargers, and chargers that
are in it leave the drivers' maps. A record without an id is its address's: the EVSE that stood there is in the source.
Where the address was never seen, or there is none, whatever went missing with the record may be its.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from oicp_adapter.core.guards import HALF, Guard, Refusal, leave, published, remaining
from oicp_adapter.core.model import Flaw, Rejected
from oicp_adapter.core.plan import Change, Plan
from oicp_adapter.core.records import EvseRow, OperatorState

FEW = 100
"""So many EVSEs must be missing for each record that could be anybody's, or none of them leaves."""


class Unusable(msgspec.Struct, frozen=True, kw_only=True):
    """What the rejected records of one read stand for."""

    keys: frozenset[str] = frozenset()
    """EVSEs that are in the source all the same."""
    strangers: int = 0
    """Records that could be anybody's."""


def unusable(rejected: Iterable[Rejected], rows: Mapping[str, EvseRow]) -> Unusable:
    """Whose the rejected records are: by their id, else by the address at which an earlier read had an EVSE."""
    keys: set[str] = set()
    addresses: list[str] = []
    for one in rejected:
        if one.key:
            keys.add(one.key)
        else:
            addresses.append(one.address)
    wanted, seen = set(filter(None, addresses)), set()
    if wanted:
        for row in rows.values():
            for state in row.connectors:
                if found := wanted.intersection(_places(state.connector)):
                    keys.add(row.key)
                    seen |= found
    strangers = sum(1 for address in addresses if address not in seen)
    return Unusable(keys=frozenset(keys), strangers=strangers)


def _places(address: str) -> Iterator[str]:
    """The address itself, the EVSE and the station it belongs to."""
    yield address
    for at, letter in enumerate(address):
        if letter == "/":
            yield address[:at]


def counted(state: OperatorState, rows: Collection[EvseRow], count: int, *, now: float) -> OperatorState:
    """After a complete read at `now` with `count` records that could be anybody's.

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
    strangers: int,
    *,
    allowed: int | None,
    operator: str,
) -> Refusal | None:
    """Withhold the removal of EVSEs whose records are unusable, or that went missing with `strangers`."""
    removals = [change for change in plan.withdrawals if change.removal]
    if not removals:
        return None
    keys = [change.key for change in removals if rows[change.key].flaw is Flaw.UNUSABLE]
    if not _few(state, rows.values(), strangers):
        keys += [change.key for change in _perhaps(removals, rows, state)]
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


def let_pass(plan: Plan, rows: dict[str, EvseRow], state: OperatorState, strangers: int) -> str:
    """What `unusable_guard` does not withhold although a few records could be anybody's; "" if nothing."""
    removals = [change for change in plan.withdrawals if change.removal]
    passing = sum(1 for _ in _perhaps(removals, rows, state))
    if not passing or not _few(state, rows.values(), strangers):
        return ""
    count = strangers - state.unusable
    return (
        f"{count} records without a usable EvseID, at addresses never seen before, could be of {passing} EVSEs that "
        f"leave the drivers' maps; they are fewer than one in {FEW} of what is missing, so the removals go by the "
        "other guards"
    )


def _perhaps(
    removals: Iterable[Change], rows: Mapping[str, EvseRow], state: OperatorState
) -> Iterator[Change]:
    """The removals of EVSEs that such a record may be of."""
    since = state.unusable_since
    for change in removals:
        row = rows[change.key]
        if since is not None and row.flaw is not Flaw.UNUSABLE and _may_be_one(row, since=since):
            yield change


def _few(state: OperatorState, rows: Iterable[EvseRow], strangers: int) -> bool:
    """Whether the new ones are fewer than one in a hundred of what went missing with them."""
    since = state.unusable_since
    if since is None:
        return True
    missing = sum(1 for row in rows if row.flaw is not Flaw.UNUSABLE and _may_be_one(row, since=since))
    return (strangers - state.unusable) * FEW < missing


def _may_be_one(row: EvseRow, *, since: float) -> bool:
    """Missing since then, not merely unpublished, and drivers may see it."""
    missing = row.first_missing is not None and row.first_missing >= since
    return missing and row.desired is not None and row.may_be_shown
