"""Why Hubject believes what it believes about one EVSE (P8): source value → rule → status → push → answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from oicp_adapter.core.guards import Guard
from oicp_adapter.core.ids import Prefix
from oicp_adapter.core.model import Rejected
from oicp_adapter.core.plan import STEP_GUARDS, Missing, Mode, PlanPolicy, gone_at, make_plan, of_writing
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.spelling import understood
from oicp_adapter.core.text import time_text
from oicp_adapter.core.waiting import waits_since
from oicp_adapter.sync.facts import cure
from oicp_adapter.sync.reasons import doubt, withheld


class PushFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One push that had the EVSE in it. Times are RFC 3339, UTC."""

    at: str
    action: str
    status: str
    reason: str
    outcome: str
    code: str
    text: str
    process_id: str | None
    push_id: int


class EvseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE. Members are the keys of `explain --json`; None: not known or does not apply."""

    operator: str
    evse_id: str
    source_says: str
    """The value and the status it maps to."""
    rule: str
    source_read_at: str | None
    """The last read that had it."""
    source_time: str | None
    """The source's own time of its last change."""
    missing_since: str | None
    hubject_holds: str
    presence: str
    acknowledged_at: str | None
    confirmed_by_full_load_at: str | None
    in_doubt_since: str | None
    quarantine: str | None
    withheld: str | None
    waiting_since: str | None
    next: str
    history: list[PushFacts]


def explained(
    operator: str,
    row: EvseRow,
    state: OperatorState,
    history: Iterable[PushFacts],
    *,
    policy: PlanPolicy,
    stopped: str | None,
    unrecorded: str | None,
    now: float,
) -> EvseFacts:
    """Everything known about one EVSE. `stopped`: why nothing at all is pushed for the operator now. `unrecorded`: why
    what is known may be older than it should be."""
    full, policy = state.last_full_at, of_writing(policy, state)
    confirmed = full is not None and row.status_at is not None and full > row.status_at and row.acknowledged
    return EvseFacts(
        operator=operator,
        evse_id=row.wire_id,
        source_says=f"{row.value or '(no value)'} → {row.desired or 'not published'}",
        rule=row.rule,
        source_read_at=time_text(state.last_read_at if row.first_missing is None else row.last_seen),
        source_time=time_text(row.source_time),
        missing_since=time_text(row.first_missing),
        hubject_holds=row.status or "nothing acknowledged",
        presence=row.presence,
        acknowledged_at=time_text(row.status_at) if row.status is not None else None,
        confirmed_by_full_load_at=time_text(full) if confirmed else None,
        in_doubt_since=time_text(row.doubtful_since),
        quarantine=_quarantine(row),
        withheld=row.withheld or None,
        waiting_since=time_text(waits_since(row, policy, now=now)),
        next=_as_of(
            _next(
                row,
                policy,
                writing=state.writing,
                stopped=stopped,
                read=state.source_failing_since is None,
                now=now,
            ),
            unrecorded,
        ),
        history=list(history),
    )


class RejectedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the source that cannot be published. Members are keys of `explain --json`."""

    operator: str
    evse_id: str
    origin: str
    reason: str
    since: str


def rejections(
    operator: str, evse_id: str, rejected: Iterable[tuple[Rejected, float]], *, prefixes: Sequence[Prefix]
) -> list[RejectedFacts]:
    """The source's records with this id that cannot be published, each with the reason."""
    wanted = _identity(evse_id, prefixes)
    return [
        RejectedFacts(
            operator=operator,
            evse_id=one.evse_id,
            origin=one.origin,
            reason=one.reason,
            since=time_text(since) or "",
        )
        for one, since in rejected
        if one.evse_id and _identity(one.evse_id, prefixes) == wanted
    ]


def _identity(evse_id: str, prefixes: Sequence[Prefix]) -> str:
    """Equal for two spellings of one id, with other separators, too; an invalid one is as it is written."""
    evse = understood(evse_id, prefixes)
    return evse.key if evse else evse_id.strip()


def _quarantine(row: EvseRow) -> str | None:
    entry = row.quarantine
    if entry is None:
        return None
    answer = f"{entry.code} {entry.text}".strip()
    fix = cure(entry.code)
    return (
        f"{answer} (Process-ID {entry.process_id or 'none'}, since {time_text(entry.since)}, "
        f"refused {entry.attempts} times, tried again at {time_text(entry.retry_at)})"
    ) + (f"; fix: {fix}" if fix else "")


def _as_of(what: str, unrecorded: str | None) -> str:
    return what if unrecorded is None else f"not known: {unrecorded}; as of then: {what}"


def _next(
    row: EvseRow, policy: PlanPolicy, *, writing: str, stopped: str | None, read: bool, now: float
) -> str:
    """What a cycle would do with it now. `read`: the source can be read, so what it says of the EVSE is known."""
    if row.withheld in STEP_GUARDS:
        return (
            f"not {row.desired} while the {row.withheld} guard withholds it; what can be read goes out unless it is "
            f"Available: {row.fallback or 'nothing'}"
        )
    if row.withheld:
        if row.withheld == Guard.BASELINE:
            return "nothing while the baseline is unknown: gone in the source, and the first full load leaves it out"
        return f"nothing while {withheld(row)}"
    if stopped:
        rests = read and row.quarantine is None and waits_since(row, policy, now=now) is None
        return f"nothing for now: {stopped}" + ("; nothing of it waits" if rests else "")
    if (again := doubt(row, policy, now=now)) is not None:
        return again
    plan = make_plan([row], policy, now=now, complete=True, mode=Mode.DELTA)
    if plan.changes:
        change = plan.changes[0]
        return f"{change.action} to {change.status or 'nothing'} with the next delta: {change.reason}"
    if row.quarantine is not None:
        return f"tried again alone at {time_text(row.quarantine.retry_at)}, or when its status changes"
    if row.called_gone and not row.may_be_shown:
        return "nothing to do: gone in the source, and Hubject does not show it"
    if row.first_missing is not None:
        return _leaving(row, policy, writing=writing)
    if row.status is not row.desired and row.changed_at is not None:
        said_at = row.changed_at if row.said_at is None else row.said_at
        return f"update to {row.desired} after {time_text(said_at + policy.hold_available)} (hold_available)"
    if row.reassert_at is not None:
        return f"asserted once more after {time_text(row.reassert_at)}, because it was in doubt"
    return "nothing: Hubject holds what the source says"


def _leaving(row: EvseRow, policy: PlanPolicy, *, writing: str) -> str:
    """What becomes of an EVSE that the source has no longer, or no longer publishes."""
    assert row.first_missing is not None
    if not row.held:
        return "nothing: the source does not publish it, and neither does Hubject"
    if policy.missing is Missing.KEEP:
        return 'nothing: gone from the source, kept at Hubject with its last status (missing = "keep")'
    second, at = time_text(row.first_missing + policy.missing_after), gone_at(row, policy)
    if (
        not writing
        or at is None
        or (policy.writing_since is not None and row.first_missing < policy.writing_since)
    ):
        return f"withdrawn when a complete read after {second} misses it again"
    return (
        f"withdrawn when a newer writing of the source misses it, too, after {second}, or after {time_text(at)} if the "
        "source still stands as it is (missing_after_unchanged)"
    )
