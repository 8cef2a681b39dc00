"""What `status`, `quarantine list` and `health` tell, in the words of the on-call engineer."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oicp_adapter.core.guards import Guard
from oicp_adapter.core.model import ActionType, EvseStatus, Rejected
from oicp_adapter.core.plan import PlanPolicy
from oicp_adapter.core.records import (
    EvseRow,
    Notice,
    OpenPush,
    OperatorState,
    Picture,
    Presence,
    Quarantine,
    Trouble,
)
from oicp_adapter.core.text import time_text
from oicp_adapter.ports import AuditEntry, JobRecord, Pause
from oicp_adapter.sync.facts import (
    OperatorFacts,
    ailing,
    operator_facts,
    refused_facts,
)
from oicp_adapter.sync.reasons import standstill, unread

T0 = 1_795_192_516.0
"""2026-11-20T16:35:16Z"""
PAUSE = Pause(since=T0, until=T0 + 3600, reason="works", by="ann@host")
TROUBLE = Trouble(
    permanent=True,
    code="017",
    text="the OperatorID does not match",
    hint="compare",
    since=T0 - 60,
    failures=3,
    next_try=T0 + 60,
)
REFUSED = Quarantine(
    code="603",
    text="no EVSE data",
    process_id="p-1",
    since=T0,
    retry_at=T0 + 900,
    attempts=2,
    status=EvseStatus.AVAILABLE,
)


def row(name: str, **changes: Any) -> EvseRow:
    settled = EvseRow(
        key=name,
        wire_id=f"DE*ABC*{name}",
        source_id=f"DE*ABC*{name}",
        presence=Presence.PRESENT,
        status=EvseStatus.AVAILABLE,
        desired=EvseStatus.AVAILABLE,
    )
    return replace(settled, **changes)


def told(signature: str) -> Notice:
    return Notice(signature=signature, since=T0, logged_at=T0)


def facts(*rows: EvseRow, state: OperatorState | None = None, **more: Any) -> OperatorFacts:
    opened = more.pop("open_pushes", ())
    picture = Picture(rows={one.key: one for one in rows}, state=state or OperatorState(), open_pushes=opened)
    given: dict[str, Any] = {
        "rejected": 0,
        "holder": None,
        "days_left": None,
        "automatic_baseline": False,
        "mode": "push",
        "paused": None,
        "audit": [],
        "policy": PlanPolicy(),
        "unknown_after": None,
        "last_push": None,
        "push_takes": 50.0,
        "now": T0,
    }
    return operator_facts(picture, more.pop("jobs", []), **(given | more))


def test_only_what_hubject_acknowledged_is_said_to_be_held() -> None:
    # A status in doubt is counted as held, and the doubt goes unnoticed.
    found = facts(
        row("E1"),
        row("E2", status=EvseStatus.OCCUPIED),
        row("E3", in_doubt_since=T0, presence=Presence.UNKNOWN),
        row("E4", quarantine=REFUSED),
        row("E5", status=None, presence=Presence.ABSENT),
    )
    assert found.held == {"Available": 1, "Occupied": 1}
    assert (found.in_doubt, found.quarantined) == (1, 1)


def test_what_is_in_flight_or_was_when_the_process_died_is_in_doubt() -> None:
    # After a crash `status` says that all is settled, until the next start.
    push = OpenPush(push_id=1, action=ActionType.UPDATE, keys=("E1",))
    assert facts(row("E1"), row("E2"), open_pushes=(push,)).in_doubt == 1


def test_the_backlog_is_what_waits_and_could_go() -> None:
    # What a guard or the quarantine keeps back never ends, and an alert on the backlog would never either.
    waiting = {"desired": EvseStatus.OCCUPIED, "changed_at": T0}
    found = facts(
        row("E1", **waiting),
        row("E2", **waiting, quarantine=REFUSED),
        row("E3", **waiting, withheld="withdrawal"),
    )
    assert (found.backlog, found.withheld) == (1, {"DE*ABC*E3": "withdrawal"})


def test_what_waits_is_told_with_its_first_time_and_the_reason() -> None:
    # "backlog 1", and nobody knows whether since a second or since midnight, and for what.
    waiting = {"desired": EvseStatus.OCCUPIED, "changed_at": T0 - 400, "said_at": T0 - 3}
    doubtful = row("E2", in_doubt_since=T0 - 10, doubted_at=T0 - 300)
    found = facts(row("E1", **waiting), doubtful, state=OperatorState(trouble=TROUBLE))
    assert (found.waiting_since, found.in_doubt_since) == ("2026-11-20T16:28:36Z", "2026-11-20T16:30:16Z")
    assert found.waiting_for == "the OperatorID does not match (next try 2026-11-20T16:36:16Z)"
    both = OperatorState(trouble=replace(TROUBLE, next_try=T0), source_failing_since=T0 - 9)
    assert facts(row("E1", **waiting), state=both).waiting_for == (
        "the OperatorID does not match (next try now); and the source is unreadable since 2026-11-20T16:35:07Z"
    )
    assert facts(row("E1", **waiting), state=both, paused=PAUSE).waiting_for == (
        "paused by ann@host until 2026-11-20T17:35:16Z: works"
    )
    assert facts(row("E1", **waiting)).waiting_for == "goes with the next delta"
    assert (facts(row("E1")).waiting_since, facts(row("E1")).waiting_for) == (None, None)


@pytest.mark.parametrize(
    ("job", "running", "expected"),
    [
        (JobRecord(job="delta", started_at=T0 - 10, next_run_at=T0 + 1), True, None),
        (JobRecord(job="delta", started_at=T0 - 10, next_run_at=T0 - 4), True, None),
        (JobRecord(job="delta", started_at=T0 - 60, next_run_at=T0 - 50), False, None),
        (
            JobRecord(job="delta", started_at=T0 - 60, next_run_at=T0 - 50),
            True,
            "no cycle has been recorded since 2026-11-20T16:35:06Z, though one was due at 2026-11-20T16:34:26Z",
        ),
        (
            JobRecord(
                job="delta", started_at=T0 - 5, next_run_at=T0 + 1, failures=1, error="the disk is full"
            ),
            True,
            "the last cycle, of 2026-11-20T16:35:11Z, failed before it was recorded: the disk is full",
        ),
        (
            JobRecord(job="upkeep", started_at=T0 - 5, next_run_at=T0 - 60, failures=1, error="x"),
            True,
            None,
        ),
    ],
    ids=["in time", "a little late", "nobody runs", "overdue", "failed", "another job"],
)
def test_a_cycle_that_was_not_recorded_takes_the_all_clear_back(
    job: JobRecord, running: bool, expected: str | None
) -> None:
    # The disk is full, the export says Faulted, and `status` says that nothing waits.
    state = OperatorState(last_read_at=T0 - 10)
    found = facts(state=state, jobs=[job], holder="run" if running else None).unrecorded
    assert (found or "").startswith(expected or "")
    assert (found is None) == (expected is None)


@pytest.mark.parametrize(
    ("job", "last_push", "expected"),
    [
        (JobRecord(job="delta", next_run_at=T0 - 300), T0 - 20, None),
        (JobRecord(job="delta", next_run_at=T0 - 300), T0 - 60, "no cycle has been recorded"),
        (
            JobRecord(job="delta", next_run_at=T0 - 9, succeeded_at=T0 - 10),
            T0 - 11,
            "no cycle has been recorded",
        ),
        (JobRecord(job="delta", next_run_at=T0 - 20, summary={"duration": 9.0}), None, None),
        (
            JobRecord(job="delta", next_run_at=T0 - 24, summary={"duration": 9.0}),
            None,
            "no cycle has been recorded",
        ),
        (
            JobRecord(
                job="delta", started_at=T0 - 11, failed_at=T0 - 9, failures=1, error="the disk is full"
            ),
            T0 - 9.5,
            "the last cycle, of 2026-11-20T16:35:05Z, failed before it was recorded: the disk is full",
        ),
        (
            JobRecord(
                job="delta", started_at=T0 - 11, failed_at=T0 - 9, failures=1, error="503", summary={"lag": 1}
            ),
            T0 - 9.5,
            None,
        ),
    ],
    ids=[
        "it pushes",
        "no more",
        "it has ended",
        "it reads",
        "for too long",
        "failed in the middle",
        "Hubject failed",
    ],
)
def test_a_cycle_that_is_at_work_records_what_it_does(
    job: JobRecord, last_push: float | None, expected: str | None
) -> None:
    # A first run pushes for ten minutes, and `status` sends people to a log in which nothing is wrong. Or the disk is
    # full in the middle of a cycle, and `explain` says that Hubject holds what the source says.
    state = OperatorState(last_read_at=T0 - 10)
    found = facts(state=state, jobs=[job], holder="run", last_push=last_push).unrecorded
    assert (found or "").startswith(expected or "")
    assert (found is None) == (expected is None)


def test_a_job_of_a_clock_that_was_put_back_hides_no_cycle_that_failed() -> None:
    # A clock two days ahead wrote the full load's record. Then it was put right, the disk was full, and for two days
    # `status` had nothing to say of it.
    ahead = JobRecord(job="full", started_at=T0 + 172_800, succeeded_at=T0 + 172_801, next_run_at=T0 + 9000)
    failed = JobRecord(
        job="delta",
        started_at=T0 - 5,
        failed_at=T0 - 4,
        next_run_at=T0 + 5,
        failures=1,
        error="the disk is full",
    )
    state = OperatorState(last_read_at=T0 - 60)
    assert "the disk is full" in (facts(state=state, jobs=[ahead, failed], holder="run").unrecorded or "")
    busy = JobRecord(job="delta", started_at=T0 - 60, succeeded_at=T0 - 59, next_run_at=T0 - 50)
    assert facts(state=state, jobs=[ahead, busy], holder="run", last_push=T0 - 20).unrecorded is None


def test_what_a_guard_withholds_does_not_wait_for_hubject() -> None:
    # A guard has withheld one since eight, the outage began at nine: it was told as an outage since eight.
    old = row("E1", desired=EvseStatus.UNKNOWN, changed_at=T0 - 3600, withheld="mass_unknown")
    new = row("E2", desired=EvseStatus.OCCUPIED, changed_at=T0 - 60)
    trouble = Trouble(
        permanent=False, code="", text="refused", hint="", since=T0 - 50, failures=1, next_try=T0 + 5
    )
    found = facts(old, new, state=OperatorState(trouble=trouble))
    assert found.waiting_since == "2026-11-20T15:35:16Z"
    assert found.waiting_for == (
        "the mass_unknown guard withholds it; and 1 more since 2026-11-20T16:34:16Z: refused (next try "
        "2026-11-20T16:35:21Z)"
    )


def test_a_hubject_that_nobody_had_to_ask_again_is_not_said_to_be_tried_soon() -> None:
    # The change was taken back in the outage: hours later `status` promised a next try that lay hours back.
    trouble = Trouble(
        permanent=False,
        code="",
        text="no",
        hint="",
        since=T0 - 99,
        failures=2,
        next_try=T0 - 60,
        tried_at=T0 - 70,
    )
    assert facts(row("E1"), state=OperatorState(trouble=trouble)).hubject == (
        "no (since 2026-11-20T16:33:37Z, 2 failures, last tried 2026-11-20T16:34:06Z, next with the next push)"
    )


def test_missing_counts_only_what_hubject_shows() -> None:
    # EVSEs that were withdrawn years ago are missing for ever.
    gone = row("E2", first_missing=T0, status=EvseStatus.EVSE_NOT_FOUND)
    assert facts(row("E1", first_missing=T0), gone).missing == 1


def test_a_standing_refusal_is_told_with_its_fix_and_a_passing_one_is_not() -> None:
    # The override command must be on the screen of whoever asks why EVSEs are withheld.
    def notice(text: str) -> Notice:
        return Notice(signature="s", since=T0, logged_at=T0, text=text, fix="resync abc --allow-withdrawal 7")

    state = OperatorState(
        notices={Guard.WITHDRAWAL: notice("7 would leave"), Guard.ADOPT_COUNT: notice("no")}
    )
    (refusal,) = facts(state=state).refusals
    assert (refusal.guard, refusal.text, refusal.since) == (
        "withdrawal",
        "7 would leave",
        "2026-11-20T16:35:16Z",
    )
    assert refusal.fix == "resync abc --allow-withdrawal 7"


@pytest.mark.parametrize(
    ("state", "automatic", "expected"),
    [
        (OperatorState(baseline="adopted", baseline_at=T0), False, "adopted at 2026-11-20T16:35:16Z"),
        (OperatorState(), False, "unknown: no full load is sent until `resync OPERATOR --adopt N`"),
        (OperatorState(), True, "unknown; the next full load makes it known (first_full_load = automatic)"),
    ],
)
def test_the_baseline_says_what_ends_it(state: OperatorState, automatic: bool, expected: str) -> None:
    # Weeks without a full load, because nobody knew that one waits for them.
    assert facts(state=state, automatic_baseline=automatic).baseline == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (OperatorState(), "never read"),
        (OperatorState(last_read_at=T0, last_complete_at=T0), "read 2026-11-20T16:35:16Z, complete"),
        (OperatorState(last_read_at=T0, last_complete_at=T0 - 1), "read 2026-11-20T16:35:16Z, not complete"),
        (
            OperatorState(last_read_at=T0 - 9, source_failing_since=T0),
            "unreadable since 2026-11-20T16:35:16Z",
        ),
        (
            OperatorState(
                last_read_at=T0 - 9,
                source_failing_since=T0,
                notices={"source.failed": replace(told(""), text="is empty")},
            ),
            "unreadable since 2026-11-20T16:35:16Z: is empty",
        ),
        (
            OperatorState(last_read_at=T0, last_complete_at=T0, notices={"source.old": told("")}),
            "read 2026-11-20T16:35:16Z, complete, but not written for 15 min or more since 2026-11-20T16:35:16Z",
        ),
    ],
)
def test_the_source_is_told_as_it_is(state: OperatorState, expected: str) -> None:
    # "complete" about a read that was cut lets people trust what is missing.
    assert facts(state=state).source == expected


def test_trouble_with_hubject_says_since_when_how_often_and_what_to_do() -> None:
    # 03:00: is it them or us, and does it come back by itself?
    told = facts(state=OperatorState(trouble=TROUBLE)).hubject or ""
    for word in ("does not match", "since 2026-11-20T16:34:16Z", "3 failures", "16:36:16Z", "fix: compare"):
        assert word in told


def test_a_pause_its_mode_its_people_and_its_jobs_are_told() -> None:
    # The picture stands still, and nothing on the screen says why.
    jobs = [JobRecord(job="delta", succeeded_at=T0, failures=2, error="disk full", next_run_at=T0 + 10)]
    audit = [AuditEntry(at=T0, by="ann@host", what="resumed")]
    found = facts(mode="observe", paused=PAUSE, audit=audit, jobs=jobs)
    assert (found.mode, found.paused) == ("observe", "paused by ann@host until 2026-11-20T17:35:16Z: works")
    assert found.audit == ["2026-11-20T16:35:16Z ann@host: resumed"]
    (job,) = found.jobs
    assert (job.job, job.last_success, job.last_failure) == ("delta", "2026-11-20T16:35:16Z", None)
    assert (job.failures, job.error, job.next_run) == (2, "disk full", "2026-11-20T16:35:26Z")


def test_the_quarantine_has_hubjects_refusals_and_then_ours() -> None:
    # What is not published must be on the list, whoever refused it.
    picture = Picture(rows={"E1": row("E1", quarantine=REFUSED), "E2": row("E2")}, state=OperatorState())
    rejected = [(Rejected(evse_id="", reason="no EvseID", origin="line 9"), T0 - 60)]
    hubject, ours = refused_facts("abc", picture, rejected)
    assert (hubject.by, hubject.evse_id, hubject.why) == ("Hubject", "DE*ABC*E1", "603 no EVSE data")
    assert (hubject.process_id, hubject.attempts, hubject.next_try) == ("p-1", 2, "2026-11-20T16:50:16Z")
    assert (ours.by, ours.evse_id, ours.origin, ours.why) == ("validation", "", "line 9", "no EvseID")
    assert (ours.since, ours.next_try) == ("2026-11-20T16:34:16Z", None)
    assert ("PushEVSEData" in hubject.fix, ours.fix) == (True, "")


@pytest.mark.parametrize(
    ("mode", "paused", "trouble", "expected"),
    [
        ("push", None, None, None),
        ("observe", PAUSE, TROUBLE, 'mode is "observe"'),
        ("push", PAUSE, TROUBLE, "paused by ann@host until 2026-11-20T17:35:16Z: works"),
        ("push", None, TROUBLE, "the OperatorID does not match (next try 2026-11-20T16:36:16Z)"),
        ("push", None, replace(TROUBLE, next_try=T0), None),
    ],
    ids=["nothing", "observe", "pause", "trouble", "trouble that is due"],
)
def test_why_nothing_is_pushed(
    mode: str, paused: Pause | None, trouble: Trouble | None, expected: str | None
) -> None:
    # A person's own choice comes first: it does not end by itself.
    assert standstill(OperatorState(trouble=trouble), mode=mode, paused=paused, now=T0) == expected


@pytest.mark.parametrize(
    ("unknown_after", "since", "stands"),
    [(None, T0 - 9999, True), (60, T0 - 59, True), (60, T0 - 60, False)],
)
def test_an_unreadable_source_keeps_everything_back_until_unknown_after(
    unknown_after: float | None, since: float, stands: bool
) -> None:
    # "with the next delta" about an EVSE that waits for an export nobody writes.
    state = OperatorState(source_failing_since=since, last_read_at=T0 - 9999)
    found = unread(state, unknown_after=unknown_after, now=T0)
    assert found == (f"the source is unreadable since {time_text(since)}" if stands else None)
    assert unread(OperatorState(last_read_at=T0), unknown_after=None, now=T0) is None


@pytest.mark.parametrize(
    ("running_since", "succeeded", "failed", "healthy"),
    [
        (None, T0, None, False),
        (T0 - 10, None, None, True),
        (T0 - 301, None, None, False),
        (T0 - 9000, T0 - 299, None, True),
        (T0 - 9000, T0 - 301, None, False),
        (T0 - 9000, T0 - 9000, T0 - 5, True),
        (T0 - 10, T0 - 9000, None, True),
    ],
    ids=["not running", "started", "never worked", "works", "stuck", "fails", "restarted after a long stop"],
)
def test_health_is_whether_jobs_come_to_an_end(
    running_since: float | None, succeeded: float | None, failed: float | None, healthy: bool
) -> None:
    # A stuck daemon stays; or one that works while Hubject is down is restarted for ever.
    jobs = [JobRecord(job="delta", succeeded_at=succeeded, failed_at=failed), JobRecord(job="full")]
    found = ailing(jobs, running_since=running_since, patience=300, now=T0)
    assert (found is None) == healthy


@pytest.mark.parametrize(
    ("delta", "full", "last_push", "healthy"),
    [
        (T0 + 6 * 3600, T0 + 3600, None, True),
        (T0 + 6 * 3600, T0 - 299, None, True),
        (T0 + 6 * 3600, T0 - 301, None, False),
        (T0 - 1800, T0 + 3600, None, False),
        (T0 - 1800, T0 + 3600, T0 - 299, True),
        (T0 - 1800, T0 + 3600, T0 - 301, False),
    ],
    ids=["nothing is due", "due", "long due", "stuck", "a long job that pushes", "stuck in a long job"],
)
def test_a_job_that_is_not_due_is_not_late(
    delta: float, full: float, last_push: float | None, healthy: bool
) -> None:
    # Jobs only by day: red all night, and restarted. A first run of an hour: killed in the middle, again and again.
    jobs = [
        JobRecord(job="delta", succeeded_at=T0 - 1800, next_run_at=delta),
        JobRecord(job="full", next_run_at=full),
    ]
    found = ailing(jobs, running_since=T0 - 9000, last_push=last_push, patience=300, now=T0)
    assert (found is None) == healthy


@pytest.mark.parametrize(("due", "healthy"), [(T0 + 10, True), (T0 - 299, True), (T0 - 301, False)])
def test_what_happened_by_a_clock_that_was_ahead_is_no_sign_of_life(due: float, healthy: bool) -> None:
    # The clock is put back by an hour, the daemon hangs, and it is called healthy until the hour is over.
    jobs = [JobRecord(job="delta", succeeded_at=T0 + 3600, next_run_at=due)]
    found = ailing(jobs, running_since=T0 - 9000, last_push=T0 + 3600, patience=300, now=T0)
    assert (found is None) == healthy
    assert ailing([JobRecord(job="delta")], running_since=T0 + 3600, patience=300, now=T0) is None
