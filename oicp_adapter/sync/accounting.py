"""What a cycle came to, counted from its last plan and the rows after it. Pure."""

from __future__ import annotations

from oicp_adapter.core.plan import Change, Kind, Plan
from oicp_adapter.core.records import Presence
from oicp_adapter.core.waiting import Waiting
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import Work


def account(plan: Plan, work: Work, report: CycleReport, *, overdue: float) -> None:
    """Fill the report. `overdue`: an ordinary change that has waited since before this time was forgotten by somebody:
    reconciliation has found it."""
    report.requests, report.pushed, report.acked = work.requests, work.pushed, work.acked
    report.bundle, report.slowest = work.largest_bundle, work.slowest
    report.changed, report.unchanged = len(plan.changes), plan.unchanged
    for change in plan.changes:
        if change.kind is Kind.RESYNC or _fresh(change, overdue=overdue):
            continue
        kind = change.kind.value
        report.found[kind] = report.found.get(kind, 0) + 1
        if _through(change, work):
            report.healed[kind] = report.healed.get(kind, 0) + 1


def none_through(plan: Plan, work: Work) -> int:
    """How many were to go, when Hubject refused them and not one got through; retries of refused ones do not count."""
    asked = [change for change in plan.changes if change.kind is not Kind.QUARANTINE]
    refused = any(_refused(change, work) for change in asked)
    if work.acked or not refused or any(_through(change, work) for change in asked):
        return 0
    return len(asked)


def _through(change: Change, work: Work) -> bool:
    return done(change, work) and not _refused(change, work)


def stand(report: CycleReport, work: Work, waiting: Waiting, *, now: float) -> None:
    """Fill in how things stand after the cycle, whatever came of it: also after a read that failed."""
    rows = work.rows.values()
    report.quarantined = sum(1 for row in rows if row.quarantine is not None)
    report.in_doubt = sum(1 for row in rows if row.in_doubt_since is not None)
    report.withheld = sum(1 for row in rows if row.withheld)
    report.missing = sum(1 for row in rows if row.first_missing is not None and row.held)
    report.backlog = waiting.backlog
    report.lag = 0.0 if waiting.since is None else max(0.0, now - waiting.since)


def done(change: Change, work: Work) -> bool:
    """Nothing more is to be sent for it now."""
    row = work.rows[change.key]
    if row.in_doubt_since is not None:
        return False
    gone = change.removal and row.presence is Presence.ABSENT
    return gone or row.status is change.status or _refused(change, work)


def _fresh(change: Change, *, overdue: float) -> bool:
    """An ordinary change that has not waited for long."""
    if change.kind not in (Kind.NEW, Kind.STATUS, Kind.WITHDRAWAL):
        return False
    if change.since is None or change.presence is not Presence.PRESENT:
        return True
    return change.since >= overdue


def _refused(change: Change, work: Work) -> bool:
    return work.rows[change.key].quarantine is not None
