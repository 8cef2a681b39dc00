"""The ledger in the words of the on-call engineer: what `status` and `quarantine list` tell. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from oicp_adapter.core.guards import BY_HAND, Guard
from oicp_adapter.core.model import EvseStatus, Rejected
from oicp_adapter.core.plan import PlanPolicy, of_writing
from oicp_adapter.core.records import OperatorState, Picture
from oicp_adapter.core.text import time_text
from oicp_adapter.core.waiting import waiting
from oicp_adapter.oicp.codes import CODES
from oicp_adapter.ports import AuditEntry, JobRecord, Pause
from oicp_adapter.sync.reasons import chosen_stop, obstacle, pause_text, unrecorded, why
from oicp_adapter.telemetry import events

_STANDING = (
    Guard.FIRST_RUN,
    Guard.MASS_UNKNOWN,
    Guard.MASS_AVAILABLE,
    Guard.WITHDRAWAL,
    Guard.UNUSABLE,
    Guard.EMPTINESS,
)
"""Guards whose no lasts; a wrong `--adopt N` is answered at once, and the baseline has a line of its own."""

_WARNINGS = (events.ID_AMBIGUOUS, events.GUARD_LET_PASS)
"""Standing warnings that `status` repeats; what else is odd has a line of its own there."""


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One job of the daemon. Times are RFC 3339, UTC."""

    job: str
    last_success: str | None
    last_failure: str | None
    failures: int
    """In a row."""
    error: str
    next_run: str | None


class RefusalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One guard that withholds something, and what to do about it."""

    guard: str
    since: str | None
    text: str
    fix: str


class FrozenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The map that the mass guard keeps as it was."""

    since: str | None
    available: int
    """EVSEs that drivers see as Available, and nobody vouches for."""


class WarningFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Something odd in the source that stops nothing, and what to do about it."""

    since: str | None
    text: str
    fix: str


class OperatorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One operator. Members are the keys of `status --json`."""

    pushed_by: str | None
    mode: str
    paused: str | None
    """Who paused it, until when and why."""
    audit: list[str]
    """What people did lately, newest first."""
    held: dict[str, int]
    """Acknowledged status → EVSEs that Hubject is known to hold with it."""
    backlog: int
    """EVSEs that wait for Hubject and could go."""
    waiting_since: str | None
    """The oldest of what is not at Hubject, whatever it waits for."""
    waiting_for: str | None
    """What it waits for."""
    unrecorded: str | None
    """Why all this may be older than it should be; null if it is not."""
    in_doubt: int
    in_doubt_since: str | None
    quarantined: int
    rejected: int
    missing: int
    gone: int
    """Called gone by the source and not shown at Hubject: nothing to do."""
    withheld: dict[str, str]
    """EvseID → guard."""
    refusals: list[RefusalFacts]
    frozen: FrozenFacts | None
    """null while the mass guard withholds nothing."""
    warnings: list[WarningFacts]
    baseline: str
    last_full_load: str | None
    full_load_due: str | None
    source: str
    hubject: str | None
    """What is wrong with Hubject as a whole; null if nothing."""
    certificate_days_left: int | None
    jobs: list[JobFacts]


class RefusedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE that does not get through. Members are the keys of `quarantine list --json`."""

    operator: str
    evse_id: str
    origin: str
    by: str
    """"Hubject" or "validation"."""
    code: str
    why: str
    fix: str
    process_id: str | None
    since: str
    next_try: str | None
    attempts: int


def operator_facts(
    picture: Picture,
    jobs: Iterable[JobRecord],
    *,
    rejected: int,
    holder: str | None,
    days_left: int | None,
    automatic_baseline: bool,
    mode: str,
    paused: Pause | None,
    audit: Iterable[AuditEntry],
    policy: PlanPolicy,
    unknown_after: float | None,
    last_push: float | None,
    push_takes: float,
    now: float,
) -> OperatorFacts:
    """Everything `status` tells about one operator. `last_push`, `push_takes`: see `unrecorded`."""
    rows, state, jobs = picture.rows.values(), picture.state, list(jobs)
    policy = of_writing(policy, state)
    waits = waiting(rows, policy, now=now)
    chosen = chosen_stop(mode=mode, paused=paused)
    stopped = obstacle(state, chosen=chosen, unknown_after=unknown_after, now=now)
    doubts = [row.doubtful_since for row in rows if row.doubtful_since is not None]
    held = Counter(row.status.value for row in rows if row.status is not None and row.acknowledged)
    open_keys = {key for push in picture.open_pushes for key in push.keys}
    return OperatorFacts(
        pushed_by=holder,
        mode=mode,
        paused=None if paused is None else pause_text(paused),
        audit=[f"{time_text(entry.at)} {entry.by}: {entry.what}" for entry in audit],
        held=dict(held),
        backlog=waits.backlog,
        waiting_since=time_text(waits.since),
        waiting_for=why(waits, policy, stopped=stopped, now=now),
        unrecorded=unrecorded(
            state, jobs, running=holder is not None, last_push=last_push, push_takes=push_takes, now=now
        ),
        in_doubt=sum(1 for row in rows if row.in_doubt_since is not None or row.key in open_keys),
        in_doubt_since=time_text(min(doubts, default=None)),
        quarantined=sum(1 for row in rows if row.quarantine is not None),
        rejected=rejected,
        missing=sum(1 for row in rows if row.first_missing is not None and row.held),
        gone=sum(1 for row in rows if row.called_gone and not row.may_be_shown),
        withheld={row.wire_id: row.withheld for row in rows if row.withheld},
        refusals=[
            RefusalFacts(guard=guard, since=time_text(notice.since), text=notice.text, fix=notice.fix)
            for guard in _STANDING
            if (notice := state.notices.get(guard))
        ],
        frozen=_frozen(picture),
        warnings=[
            WarningFacts(since=time_text(notice.since), text=notice.text, fix=notice.fix)
            for event in _WARNINGS
            if (notice := state.notices.get(event.name))
        ],
        baseline=_baseline(state, automatic=automatic_baseline),
        last_full_load=time_text(state.last_full_at),
        full_load_due=state.full_wanted or None,
        source=_source(state),
        hubject=_trouble(state, now=now),
        certificate_days_left=days_left,
        jobs=[
            JobFacts(
                job=record.job,
                last_success=time_text(record.succeeded_at),
                last_failure=time_text(record.failed_at),
                failures=record.failures,
                error=record.error,
                next_run=time_text(record.next_run_at),
            )
            for record in jobs
        ],
    )


def _frozen(picture: Picture) -> FrozenFacts | None:
    withheld = [row for row in picture.rows.values() if row.withheld == Guard.MASS_UNKNOWN]
    notice = picture.state.notices.get(Guard.MASS_UNKNOWN)
    if not withheld or notice is None:
        return None
    available = sum(1 for row in withheld if row.status is EvseStatus.AVAILABLE and row.held)
    return FrozenFacts(since=time_text(notice.since), available=available)


def refused_facts(
    operator: str, picture: Picture, rejected: Iterable[tuple[Rejected, float]]
) -> list[RefusedFacts]:
    """What Hubject refused, then what validation refused."""
    found = [
        RefusedFacts(
            operator=operator,
            evse_id=row.wire_id,
            origin="",
            by="Hubject",
            code=row.quarantine.code,
            why=f"{row.quarantine.code} {row.quarantine.text}".strip(),
            fix=cure(row.quarantine.code),
            process_id=row.quarantine.process_id,
            since=time_text(row.quarantine.since) or "",
            next_try=time_text(row.quarantine.retry_at),
            attempts=row.quarantine.attempts,
        )
        for row in picture.rows.values()
        if row.quarantine is not None
    ]
    found += [
        RefusedFacts(
            operator=operator,
            evse_id=one.evse_id,
            origin=one.origin,
            by="validation",
            code="",
            why=one.reason,
            fix="",
            process_id=None,
            since=time_text(since) or "",
            next_try=None,
            attempts=0,
        )
        for one, since in rejected
    ]
    return found


def cure(code: str) -> str:
    """What a person can do about a refusal by Hubject; "" if the answer itself must tell."""
    meaning = CODES.get(code)
    return meaning.hint if meaning else ""


def ailing(
    jobs: Iterable[JobRecord],
    *,
    running_since: float | None,
    last_push: float | None = None,
    patience: float,
    now: float,
) -> str | None:
    """Why the daemon is not working for this operator; None if it is.

    A job that ended, or a push, is a sign of life: the next one has to come `patience` seconds after it, or after the
    next job is due. So neither a schedule that rests at night is stuck, nor a first run that pushes for an hour.
    """
    if running_since is None:
        return "the daemon does not run"
    records = list(jobs)
    signs = [running_since, last_push]
    signs += [at for job in records for at in (job.succeeded_at, job.failed_at)]
    alive = max(
        (at for at in signs if at is not None and at <= now), default=now
    )  # later ones: a clock put back
    due = min((job.next_run_at for job in records if job.next_run_at is not None), default=alive)
    if now - max(alive, due) <= patience:
        return None
    return f"no job has ended for {now - alive:.0f} s, though one is due (longest expected: {patience:.0f} s)"


def _baseline(state: OperatorState, *, automatic: bool) -> str:
    if state.baseline:
        return f"{state.baseline} at {time_text(state.baseline_at)}"
    if state.too_large:
        return f"unknown, and stays so: {state.too_large}; a rolling resync runs instead"
    if automatic and not state.by_hand:
        return "unknown; the next full load makes it known (first_full_load = automatic)"
    return f"unknown{BY_HAND[state.by_hand]}: no full load is sent until `resync OPERATOR --adopt N`"


def _source(state: OperatorState) -> str:
    if state.source_failing_since is not None:
        why = state.notices.get(events.SOURCE_FAILED.name)
        return f"unreadable since {time_text(state.source_failing_since)}" + (f": {why.text}" if why else "")
    if state.last_read_at is None:
        return "never read"
    complete = "complete" if state.last_complete_at == state.last_read_at else "not complete"
    old = state.notices.get(events.SOURCE_OLD.name)
    stands = f", but not written for 15 min or more since {time_text(old.since)}" if old else ""
    return f"read {time_text(state.last_read_at)}, {complete}{stands}"


def _trouble(state: OperatorState, *, now: float) -> str | None:
    trouble = state.trouble
    if trouble is None:
        return None
    since, again = time_text(trouble.since), f"next try {time_text(trouble.next_try)}"
    if trouble.next_try <= now:  # Hubject is not asked whether it is well again: a push will tell
        again = f"last tried {time_text(trouble.tried_at)}, next with the next push"
    fix = f"; fix: {trouble.hint}" if trouble.hint else ""
    return f"{trouble.text} (since {since}, {trouble.failures} failures, {again}){fix}"
