"""The source's word into the ledger's rows: what changed, what is missing, what may be forgotten. Pure.

The danger: an EVSE that a half-read snapshot does not have is not gone. Only complete reads mark as missing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from oicp_adapter.core.guards import forgettable
from oicp_adapter.core.model import Cause, EvseStatus, MappedFleet, Rejected
from oicp_adapter.core.records import EvseRow
from oicp_adapter.core.standing import begun_anew, stands
from oicp_adapter.core.transitions import missed, observed


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Rows after a read, and what of them has to be stored."""

    rows: dict[str, EvseRow]
    changed: list[EvseRow]
    forgotten: list[str]
    respelled: list[EvseRow]
    """Rows whose EvseID the source spells differently from what Hubject acknowledged, newly so."""


def observe(
    fleet: MappedFleet,
    rows: dict[str, EvseRow],
    *,
    complete: bool,
    baseline_known: bool,
    last_complete_at: float | None,
    full_doubt_since: float | None = None,
    settle: float = 0.0,
    unusable: Container[str] = frozenset(),
    now: float,
) -> Observation:
    """Merge a mapped read into the rows. `unusable`: keys whose records are in the read and cannot be published."""
    after: dict[str, EvseRow] = {}
    changed: list[EvseRow] = []
    forgotten: list[str] = []
    respelled: list[EvseRow] = []
    missing = dict(rows)
    for key, desired in fleet.desired.items():
        before = missing.pop(key, None)
        row = observed(
            before,
            desired,
            now=now,
            absent=baseline_known,
            full_doubt_since=full_doubt_since,
            settle=settle,
        )
        if row is None:
            continue
        if desired.status is None and complete:
            row = missed(row, now=now, last_seen=now)
        after[key] = row
        if row is not before:
            changed.append(row)
            if row.wire_id != row.source_id and (before is None or before.source_id != row.source_id):
                respelled.append(row)
    for key, before in missing.items():
        row = before
        if complete:
            row = missed(before, now=now, last_seen=last_complete_at, unusable=key in unusable)
        if stands(row):
            row = replace(row, connectors=begun_anew(row.connectors))
        if complete and forgettable(row, now=now):
            forgotten.append(key)
            continue
        after[key] = row
        if row is not before:
            changed.append(row)
    return Observation(rows=after, changed=changed, forgotten=forgotten, respelled=respelled)


def never_pushed(rejected: Iterable[Rejected], rows: Mapping[str, EvseRow]) -> int:
    """Of how many EVSEs the source has no record that can be used, among those that were never pushed.

    Records that spell the same id are one EVSE; each that has none may be one.
    """
    named, nameless = set(), 0
    for one in rejected:
        row = rows.get(one.key)
        if row is not None and (row.status is not None or row.in_doubt_since is not None):
            continue
        if row is not None and row.flaw.never_inserted:
            continue  # it counts as unmapped
        if one.key or one.evse_id:
            named.add(one.key or one.evse_id)
        else:
            nameless += 1
    return len(named) + nameless


def unreadable(rows: dict[str, EvseRow], *, now: float) -> list[EvseRow]:
    """The rows to publish as Unknown because the source has been unreadable for `unknown_after`.

    Their cause is REPORTED: the operator chose this threshold, so the mass guard does not wait another one.
    """
    rule = "source unreadable for unknown_after"
    return [
        replace(
            row,
            desired=EvseStatus.UNKNOWN,
            rule=rule,
            value="",
            cause=Cause.REPORTED,
            fallback=None,
            unread_since=None,
            changed_at=row.changed_at or now,
            said_at=now,
        )
        for row in rows.values()
        if row.wanted and (row.desired is not EvseStatus.UNKNOWN or row.cause is not Cause.REPORTED)
    ]
