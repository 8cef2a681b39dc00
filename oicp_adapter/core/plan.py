"""What should be sent, and why: ledger rows in, a frozen plan out. Nothing is sent from here.

The danger: a plan made from a read that saw only half of the fleet. Only a complete read may let an EVSE go,
and only when an earlier complete read, at least `missing_after` before and of an older writing, missed it, too.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from enum import Enum, StrEnum
from types import MappingProxyType

import msgspec

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import EvseRow, OperatorState, Presence

NOTHING_WITHHELD: Mapping[str, str] = MappingProxyType({})
MASS_GUARD, STANDING_GUARD = "mass_unknown", "mass_available"
STEP_GUARDS = (MASS_GUARD, STANDING_GUARD)
"""The guards that withhold a step only: what can be read still flows (`core.mass`, `core.standing`)."""


class Hold(Enum):
    """Not a status: leave the EVSE at Hubject as it is."""

    HOLD = "hold"


Target = EvseStatus | Hold | None


class Missing(StrEnum):
    """What becomes of an EVSE the source no longer has."""

    EVSE_NOT_FOUND = "EvseNotFound"
    DELETE = "delete"
    KEEP = "keep"


class Mode(StrEnum):
    """How far a cycle goes."""

    DELTA = "delta"
    RECONCILE = "reconcile"
    """Also retries due quarantine and re-asserts."""


class Kind(StrEnum):
    """Why a record is sent; the counters of the reconcile summary."""

    NEW = "new"
    STATUS = "status"
    WITHDRAWAL = "withdrawal"
    """Leaves the drivers' maps: EvseNotFound or delete, for whatever reason."""
    IN_DOUBT = "in_doubt"
    REASSERT = "reassert"
    RESYNC = "resync"
    QUARANTINE = "quarantine"


class PlanPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices a plan depends on. Times in seconds."""

    settle: float = 60.0
    missing: Missing = Missing.EVSE_NOT_FOUND
    missing_after: float = 60.0
    missing_after_unchanged: float = 900.0
    """Where the source is written only on change: a writing that has stood for so long is believed."""
    writing_since: float | None = None
    """No choice: since when the source's present writing is known, see `of_writing`."""
    hold_available: float = 0.0
    """A change to Available waits until the source has said so for this long."""


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record of a request to come."""

    key: str
    wire_id: str
    action: ActionType
    status: EvseStatus | None
    """None: the record is deleted."""
    kind: Kind
    reason: str
    previous: EvseStatus | None
    presence: Presence
    since: float | None
    """When the source was first seen to differ; of a change that was held back, when its time came."""
    held: bool
    """Taking it off counts as a withdrawal (see `_counts`)."""
    removal: bool
    """Off the drivers' maps (missing in the source, or called gone by it), or claimed by two chargers and so never
    inserted: "not there" is then as good as done."""

    @property
    def withdraws(self) -> bool:
        """It takes an EVSE off the drivers' maps (P4)."""
        return self.held and self.takes_off

    @property
    def takes_off(self) -> bool:
        """Nobody sees the EVSE after it."""
        return _removes(self.status)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A finished decision."""

    changes: tuple[Change, ...]
    """Oldest change first."""
    unchanged: int = 0
    waiting: int = 0
    """In doubt, settle not yet over."""
    quarantined: int = 0
    gone: int = 0
    """Called gone by the source and not at Hubject: nothing to do."""
    missing: int = 0
    """Missing from the source, not yet long enough to be gone; or kept although gone."""
    withheld: Mapping[str, str] = {}
    """Key → the guard that withholds its change."""

    @property
    def withdrawals(self) -> list[Change]:
        """The changes P4 counts."""
        return [change for change in self.changes if change.withdraws]


class FullLoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything Hubject should hold for the operator, for one fullLoad."""

    records: tuple[tuple[str, str, EvseStatus], ...]
    """(key, EvseID, status)"""
    withdraws: tuple[str, ...]
    """Keys drivers would no longer see: left out, or EvseNotFound."""
    leaves_out: tuple[str, ...]
    """Keys of known rows that are not in it."""
    waiting: int = 0
    """EVSEs in doubt within settle, and those in doubt or withheld that have no status to keep: while there are any, it
    must not be sent."""

    @property
    def shown(self) -> int:
        """How many EVSEs drivers would see."""
        return sum(1 for _, _, status in self.records if status is not EvseStatus.EVSE_NOT_FOUND)


def gone(row: EvseRow, policy: PlanPolicy, *, now: float) -> bool:
    """Missing from two complete reads at least `missing_after` apart, or unpublished that long; the second one of a
    newer writing of the source than the first, or of one that has stood still for `missing_after_unchanged`.

    `now` is the time of the later read: with the same time for both, it is one read and not two.
    """
    at = gone_at(row, policy)
    return row.first_missing is not None and now > row.first_missing and at is not None and now >= at


def gone_at(row: EvseRow, policy: PlanPolicy) -> float | None:
    """From when a complete read that misses it is believed, if the source stays as it is; None: it is not missing."""
    if row.first_missing is None:
        return None
    at, written = row.first_missing + policy.missing_after, policy.writing_since
    if written is None or row.first_missing < written:
        return at
    return max(at, written + policy.missing_after_unchanged)


def of_writing(policy: PlanPolicy, state: OperatorState) -> PlanPolicy:
    """The policy for what was read last."""
    return msgspec.structs.replace(policy, writing_since=state.writing_since)


def target(row: EvseRow, policy: PlanPolicy, *, now: float, complete: bool, withheld: str = "") -> Target:
    """The status Hubject should hold now; None: nothing (delete); HOLD: leave it as it is, send nothing.

    `withheld`: the guard that withholds its change.
    """
    if withheld in STEP_GUARDS and (readable := _readable(row, complete=complete)) is not None:
        return readable
    if withheld or (row.first_missing is None and held_back(row, policy, now=now)):
        return Hold.HOLD if row.quarantine is not None else _as_it_is(row)
    if _never_inserted(row) and not row.may_be_shown:
        # Never inserted; an unanswered request about it still has to be brought to an end.
        return EvseStatus.EVSE_NOT_FOUND if row.in_doubt_since is not None else Hold.HOLD
    if row.first_missing is None:
        withdraws = row.may_be_shown and row.called_gone
        return _as_it_is(row) if withdraws and not complete else row.desired or Hold.HOLD
    kept = _as_it_is(row)
    if kept is Hold.HOLD and row.in_doubt_since is not None and row.presence is not Presence.ABSENT:
        kept = row.desired if row.desired not in (None, EvseStatus.EVSE_NOT_FOUND) else Hold.HOLD
    if not (complete and gone(row, policy, now=now)):
        return kept
    if policy.missing is Missing.KEEP and (kept is not Hold.HOLD or row.in_doubt_since is None):
        return kept  # what is in doubt and has nothing to keep is withdrawn: else its doubt never ends
    return None if policy.missing is Missing.DELETE else EvseStatus.EVSE_NOT_FOUND


def _readable(row: EvseRow, *, complete: bool) -> EvseStatus | None:
    """What the words say that could be read, where that is less than Available; None: it stays as it is."""
    if row.fallback is EvseStatus.EVSE_NOT_FOUND:
        return row.fallback if complete and row.may_be_shown else None
    return None if row.fallback is EvseStatus.AVAILABLE else row.fallback


def _counts(row: EvseRow) -> bool:
    """Taking it off the maps is a withdrawal (P4): it is believed shown. Of what we never had an answer about, only
    what went missing counts, which may be an accident of the export. A word that says gone, or a refusal, is none."""
    lost = row.may_be_shown and row.first_missing is not None and row.quarantine is None
    return row.believed_shown or lost


def _as_it_is(row: EvseRow) -> Target:
    """The last acknowledged status. Not EvseNotFound where an unanswered request may have brought the EVSE back:
    that would be a withdrawal which nobody has asked for, or which a guard has just refused."""
    if row.status is EvseStatus.EVSE_NOT_FOUND and row.may_be_shown:
        return Hold.HOLD
    return row.status or Hold.HOLD


def _due_again(row: EvseRow, *, now: float) -> bool:
    """It was in doubt, and a request applied even later than settle may have undone what followed."""
    return row.reassert_at is not None and now >= row.reassert_at


def held_back(row: EvseRow, policy: PlanPolicy, *, now: float) -> bool:
    """A change to Available whose time has not come. An EVSE without a status at Hubject does not wait."""
    if row.desired is not EvseStatus.AVAILABLE or row.status in (None, EvseStatus.AVAILABLE):
        return False
    said_at = row.changed_at if row.said_at is None else row.said_at
    return said_at is not None and 0 <= now - said_at < policy.hold_available


def _released(change: Change, row: EvseRow, policy: PlanPolicy) -> Change:
    """Waiting that was wanted is no lag, and nothing that reconcile has found."""
    if change.removal and change.since is not None and row.first_missing is not None:
        waited_until = gone_at(row, policy) or change.since
        return msgspec.structs.replace(change, since=change.since + waited_until - row.first_missing)
    waited = change.status is EvseStatus.AVAILABLE and change.previous not in (None, EvseStatus.AVAILABLE)
    behind_before = row.said_at not in (None, row.changed_at)
    if not (waited and policy.hold_available and change.since is not None) or behind_before:
        return change
    return msgspec.structs.replace(change, since=change.since + policy.hold_available)


def _beside(change: Change, row: EvseRow) -> Change:
    """What can be read, while a step is withheld. `changed_at` tells since when the step waits, not since when this."""
    return msgspec.structs.replace(change, since=None, reason=f"what can be read beside: {row.rule}")


def make_plan(
    rows: Iterable[EvseRow],
    policy: PlanPolicy,
    *,
    now: float,
    complete: bool,
    mode: Mode = Mode.DELTA,
    rolling_since: float | None = None,
    withheld: Mapping[str, str] = NOTHING_WITHHELD,
) -> Plan:
    """Decide for every EVSE. `complete`: the read this follows may let EVSEs go. `withheld`: key → guard.

    `rolling_since`: a rolling resync is under way; what was acknowledged before is pushed again.
    """
    changes: list[Change] = []
    unchanged = waiting = quarantined = nothing_to_do = missing = 0
    for row in rows:
        if row.first_missing is not None and row.held:
            missing += 1
        if row.in_doubt_since is not None and now - row.in_doubt_since < policy.settle:
            waiting += 1
            continue
        guard = withheld.get(row.key, "")
        status = target(row, policy, now=now, complete=complete, withheld=guard)
        change = (
            None
            if status is Hold.HOLD
            else _decide(row, status, now=now, mode=mode, rolling_since=rolling_since)
        )
        if change is not None:
            beside = guard in STEP_GUARDS and change.status is not row.status
            changes.append(_beside(change, row) if beside else _released(change, row, policy))
        elif row.quarantine is not None:
            quarantined += 1
        elif row.in_doubt_since is not None:
            waiting += 1
        elif row.called_gone and not row.may_be_shown and not guard:
            nothing_to_do += 1
        elif row.presence is Presence.PRESENT and not guard:
            unchanged += 1  # nobody has what was never published, and what is withheld is counted by itself
    changes.sort(key=_oldest_first)
    return Plan(
        changes=tuple(changes),
        unchanged=unchanged,
        waiting=waiting,
        quarantined=quarantined,
        gone=nothing_to_do,
        missing=missing,
        withheld=withheld,
    )


def make_full_load(
    rows: Iterable[EvseRow],
    policy: PlanPolicy,
    *,
    now: float,
    withheld: Mapping[str, str] = NOTHING_WITHHELD,
    refused: Container[str] = frozenset(),
    adopting: bool = False,
) -> FullLoadPlan:
    """Everything Hubject should hold, after a complete read. `refused`: keys Hubject did not accept in it.
    `adopting`: a person said that what Hubject held before us may go.

    A withheld or quarantined EVSE that Hubject holds stays in with its last acknowledged status (P5), or with what can
    be read of it. What is gone from the source, or called gone by it, is left out: EvseNotFound is what Hubject says of
    an EVSE that it does not hold.
    """
    records: list[tuple[str, str, EvseStatus]] = []
    withdraws: list[str] = []
    leaves_out: list[str] = []
    waiting = 0
    for row in rows:
        guard = withheld.get(row.key, "")
        held_back = bool(guard)
        missing = gone(row, policy, now=now) and policy.missing is not Missing.KEEP
        leaves = not held_back and (row.called_gone or missing)
        status = None if leaves else _full_status(row, policy, now=now, withheld=guard)
        unkept = status is None and not leaves
        waiting += _must_wait(row, policy, now=now, unkept=unkept, withheld=held_back)
        if status is not None and not _removes(status) and row.key not in refused:
            records.append((row.key, row.source_id, status))
            continue
        leaves_out.append(row.key)
        if row.held if adopting else _counts(row):
            withdraws.append(row.key)
    return FullLoadPlan(
        records=tuple(records), withdraws=tuple(withdraws), leaves_out=tuple(leaves_out), waiting=waiting
    )


def _must_wait(row: EvseRow, policy: PlanPolicy, *, now: float, unkept: bool, withheld: bool) -> bool:
    """In doubt within settle; or `unkept`: it would be left out for want of a status, and Hubject may hold it, since a
    push of ours that got no answer or from before us."""
    since = row.in_doubt_since
    tried = row.presence is not Presence.UNKNOWN or row.quarantine is not None
    if _never_inserted(row) and not tried and not withheld:
        return True  # a full load might insert it
    if unkept and (since is not None or (withheld and row.may_be_shown)):
        return True
    return since is not None and now - since < policy.settle


def _full_status(row: EvseRow, policy: PlanPolicy, *, now: float, withheld: str) -> EvseStatus | None:
    if row.quarantine is not None:
        return row.status
    status = target(row, policy, now=now, complete=True, withheld=withheld)
    return None if status is Hold.HOLD else status


def _removes(status: EvseStatus | None) -> bool:
    """Nobody sees an EVSE with this target: deleted, or EvseNotFound."""
    return status in (None, EvseStatus.EVSE_NOT_FOUND)


def _oldest_first(change: Change) -> tuple[float, str]:
    return (change.since if change.since is not None else 0.0, change.key)


def _decide(
    row: EvseRow, status: EvseStatus | None, *, now: float, mode: Mode, rolling_since: float | None
) -> Change | None:
    thorough = mode is Mode.RECONCILE
    not_there = _removes(status) and row.presence is Presence.ABSENT and row.in_doubt_since is None
    if not_there and not (thorough and _due_again(row, now=now)):
        return None
    if row.in_doubt_since is not None:
        kind = Kind.QUARANTINE if row.quarantine is not None else Kind.IN_DOUBT  # a bad one stays alone
        return _change(row, status, kind, "was in doubt, settle is over: the latest status")
    if row.quarantine is not None:
        if status == row.quarantine.status and not (thorough and now >= row.quarantine.retry_at):
            return None
        return _change(
            row, status, Kind.QUARANTINE, f"quarantined ({row.quarantine.code}), tried again alone"
        )
    if not_there:
        return _change(row, status, Kind.REASSERT, "gone, but was in doubt earlier: removed once more")
    if row.presence is Presence.ABSENT:
        return _change(row, status, Kind.NEW, f"new: {row.rule}")
    if row.presence is Presence.UNKNOWN or status is not row.status:
        return _new_status(row, status)
    if thorough and _due_again(row, now=now):
        return _change(row, status, Kind.REASSERT, "was in doubt earlier: asserted once more")
    if rolling_since is not None and (row.status_at is None or row.status_at < rolling_since):
        return _change(row, status, Kind.RESYNC, "rolling resync")
    return None


def _new_status(row: EvseRow, status: EvseStatus | None) -> Change:
    if _removes(status):
        unpublished = row.first_missing is None or row.desired is None
        why = row.rule if unpublished else "gone from the source"
        what = "withdrawn" if _counts(row) else "not known to be at Hubject, removed if it is"
        return _change(row, status, Kind.WITHDRAWAL, f"{what}: {why}")
    if row.presence is Presence.UNKNOWN:
        return _change(row, status, Kind.NEW, f"not known to be at Hubject: {row.rule}")
    return _change(row, status, Kind.STATUS, row.rule)


def _never_inserted(row: EvseRow) -> bool:
    """Nobody knows whether drivers may see it as that: an update tells whether Hubject has it, and where it has not,
    that is as it should be."""
    return row.flaw.never_inserted and row.first_missing is None


def _change(row: EvseRow, status: EvseStatus | None, kind: Kind, reason: str) -> Change:
    removal = _removes(status) or _never_inserted(row)
    if status is None:
        action = ActionType.DELETE
    elif row.presence is Presence.PRESENT or removal:
        # An EVSE that may not be there is never created just to be withdrawn: an insert refused because it is
        # there would be read as "not there".
        action = ActionType.UPDATE
    else:
        action = ActionType.INSERT
    return Change(
        key=row.key,
        wire_id=row.wire_id,
        action=action,
        status=status,
        kind=kind,
        reason=reason,
        previous=row.status,
        presence=row.presence,
        since=row.changed_at if row.changed_at is not None else row.first_missing,
        held=_counts(row),
        removal=removal,
    )
