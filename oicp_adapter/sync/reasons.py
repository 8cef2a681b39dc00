"""Why something waits: one text for the summary line, `status` and `explain`, so that they cannot disagree. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from oicp_adapter.core.plan import PlanPolicy
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.text import time_text
from oicp_adapter.core.waiting import Waiting
from oicp_adapter.ports import JobRecord, Pause

CYCLES = ("delta", "reconcile", "full")
"""Jobs that read the source."""
SLACK = 5.0
"""Seconds that a cycle which is due may be late before `status` and `explain` doubt what the ledger says."""


def standstill(state: OperatorState, *, mode: str, paused: Pause | None, now: float) -> str | None:
    """Why nothing at all is pushed for the operator now; None if it is."""
    if chosen := chosen_stop(mode=mode, paused=paused):
        return chosen
    if state.trouble is not None and now < state.trouble.next_try:
        return f"{state.trouble.text} (next try {time_text(state.trouble.next_try)})"
    return None


def chosen_stop(*, mode: str, paused: Pause | None) -> str | None:
    """What a person has decided that keeps everything from Hubject; None: nothing."""
    if mode != "push":
        return f'mode is "{mode}"'
    return None if paused is None else pause_text(paused)


def unread(state: OperatorState, *, unknown_after: float | None, now: float) -> str | None:
    """Why nothing is planned, if that is because the source is unreadable: see `Cycle`."""
    since = state.source_failing_since
    if since is None or (unknown_after is not None and now - since >= unknown_after):
        return None
    return f"the source is unreadable since {time_text(since)}"


def obstacle(
    state: OperatorState, *, chosen: str | None, unknown_after: float | None, now: float
) -> str | None:
    """What keeps everything of the operator from Hubject; None: nothing does.

    `chosen`: what a person has decided, such as a pause; it comes first, because it does not end by itself.
    """
    if chosen:
        return chosen
    found = []
    if (trouble := state.trouble) is not None:
        again = time_text(trouble.next_try) if trouble.next_try > now else "now"
        found.append(f"{trouble.text} (next try {again})")
    if (source := unread(state, unknown_after=unknown_after, now=now)) is not None:
        found.append(source)
    return "; and ".join(found) or None


def withheld(row: EvseRow) -> str:
    """A guard keeps it as Hubject has it."""
    return f"the {row.withheld} guard withholds it"


def doubt(row: EvseRow, policy: PlanPolicy, *, now: float) -> str | None:
    """It is in doubt and settle is not over; None: it is not."""
    since = row.in_doubt_since
    if since is None or now - since >= policy.settle:
        return None
    return f"pushed again with its latest status after {time_text(since + policy.settle)}"


def why(waiting: Waiting, policy: PlanPolicy, *, stopped: str | None, now: float) -> str | None:
    """Why the oldest of what waits does; None: nothing waits. `stopped`: see `obstacle`."""
    oldest = waiting.oldest
    if oldest is None:
        return None
    if stopped and waiting.backlog:
        if oldest.withheld:  # since the oldest wait, and that one is not for Hubject
            others = f"{waiting.backlog} more since {time_text(waiting.overdue_since)}"
            return f"{withheld(oldest)}; and {others}: {stopped}"
        return stopped
    if oldest.withheld:
        return withheld(oldest)
    return doubt(oldest, policy, now=now) or "goes with the next delta"


def unrecorded(
    state: OperatorState,
    jobs: Iterable[JobRecord],
    *,
    running: bool,
    last_push: float | None,
    push_takes: float,
    now: float,
) -> str | None:
    """Why the ledger may be older than it should be; None: it is not.

    A cycle that cannot be recorded, as on a full disk, leaves everything as the last one saw it: all in order. One that
    pushes for minutes, as in a first run, records each push. `running`: somebody pushes for the operator now.
    `last_push`: when the last push began. `push_takes`: seconds until one is given up.
    """
    cycles = [job for job in jobs if job.job in CYCLES]
    # What began later than now did so by a clock that was put back since: it says nothing about the last cycle.
    begun = [job for job in cycles if (job.started_at or 0.0) <= now]
    last = max(begun, key=lambda job: job.started_at or 0.0, default=None)
    began = None if last is None else last.started_at
    read_at = max(state.last_read_at or 0.0, state.source_failing_since or 0.0)
    if last is not None and began is not None and last.failures and not last.summary:
        # Without a summary it did not come to its end: what it had recorded by then is not the whole of it.
        failed_at = max(began, last.failed_at or 0.0)
        if read_at < failed_at:
            return f"the last cycle, of {time_text(began)}, failed before it was recorded: {last.error}"
    due = min((job.next_run_at for job in cycles if job.next_run_at is not None), default=None)
    if not running or due is None:
        return None
    ended = max((at for job in cycles for at in _ends(job) if at <= now), default=0.0)
    if last_push is not None and ended < last_push <= now <= last_push + push_takes + SLACK:
        return None
    if now - due <= SLACK + 2 * _reading(cycles):
        return None
    return (
        f"no cycle has been recorded since {time_text(state.last_read_at) or 'ever'}, though one was due at "
        f"{time_text(due)}: see the log (`ledger.failed`, `job.failed`)"
    )


def _ends(job: JobRecord) -> tuple[float, ...]:
    return tuple(at for at in (job.succeeded_at, job.failed_at) if at is not None)


def _reading(cycles: Iterable[JobRecord]) -> float:
    """Seconds that reading the source takes, at the most: so long did the quickest cycle."""
    took = (job.summary.get("duration") for job in cycles)
    return min((float(one) for one in took if isinstance(one, int | float)), default=0.0)


def pause_text(pause: Pause) -> str:
    """Who paused, until when and why."""
    until = "until somebody resumes" if pause.until is None else f"until {time_text(pause.until)}"
    return f"paused by {pause.by} {until}: {pause.reason}"
