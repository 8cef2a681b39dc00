"""What the operator is told, and when: standing conditions once, on change, then hourly; summaries every cycle.

The danger: an alarm that repeats every ten seconds is switched off, and one that sounds once is missed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from oicp_adapter.core.guards import Guard
from oicp_adapter.core.mass import Steps
from oicp_adapter.core.model import EvseStatus, MappedFleet, Rejected, SourceRead
from oicp_adapter.core.notices import DAY, cleared, growing, noticed
from oicp_adapter.core.plan import Plan
from oicp_adapter.core.records import OperatorState
from oicp_adapter.core.waiting import Waiting
from oicp_adapter.errors import SourceError
from oicp_adapter.ports import Clock, Ledger
from oicp_adapter.sync.full import POSTPONED, signature
from oicp_adapter.sync.observe import Observation
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import Work
from oicp_adapter.telemetry import events

OLD_AFTER = 900.0
"""Seconds: a source's picture older than this is a WARNING."""
UNMAPPED_TOLD = 1000
"""Values per run that get a line; a source of ever new values must not fill memory and log."""
UNDECODABLE = " cannot be decoded: "
"""In a source's text about one record, behind where that stands."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
"""A value of the source in a text about it."""
_SIGNATURE = 500
_REPAIR = "repair or remove those records, see: oicp-adapter quarantine list"
SHOWN = 5
"""Problems and ids per log line; the rest is counted."""


class Herald:
    """Turns what a cycle met into log lines. Remembers per process what is said only once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        automatic_baseline: bool,
        overdue_after: float,
        summary_every: float,
    ) -> None:
        """`overdue_after`, `summary_every`: seconds, see `CyclePolicy`."""
        self._ledger = ledger
        self._clock = clock
        self._automatic_baseline = automatic_baseline
        self._overdue_after = overdue_after
        self._summary_every = summary_every
        self._told: tuple[object, ...] | None = None
        """How things stood in the last `delta.done`: whoever watches only that must not be left with an old one."""
        self._told_at = 0.0
        """When it was written, monotonic."""
        self._cycles = 0
        """Deltas since."""
        self._unmapped: set[tuple[str, str, str]] = set()
        self._remarked: set[str] = set()
        self._rejected: Counter[tuple[str, str]] | None = None
        self._observed: dict[str, EvseStatus | None] | None = None

    def source_read(self, read: SourceRead, work: Work, *, now: float) -> OperatorState:
        """The source could be read."""
        state = work.state
        if state.source_failing_since is not None:
            work.log.emit(events.SOURCE_RECOVERED, after=round(now - state.source_failing_since, 1))
            state, _ = cleared(state, "source.failed")
        event = events.SOURCE_ODD if read.complete else events.SOURCE_INCOMPLETE
        other = events.SOURCE_INCOMPLETE if read.complete else events.SOURCE_ODD
        state, _ = cleared(state, other.name)
        if read.complete and not read.problems:
            state, _ = cleared(state, event.name)
        else:
            state, due = noticed(state, event.name, _kinds(read.problems), now=now)
            if due:
                work.log.emit(event, records=len(read.records), problems=_first(list(read.problems)))
        if read.as_of is not None and now - read.as_of > OLD_AFTER:
            state, due = noticed(state, events.SOURCE_OLD.name, "", now=now)
            if due:
                work.log.emit(events.SOURCE_OLD, age=round(now - read.as_of))
        else:
            state, _ = cleared(state, events.SOURCE_OLD.name)
        return replace(state, source_failing_since=None)

    def source_failed(self, error: SourceError, work: Work, *, now: float) -> OperatorState:
        """The source could not be read."""
        since = work.state.source_failing_since
        state = replace(work.state, source_failing_since=now if since is None else since)
        state, due = noticed(
            state, events.SOURCE_FAILED.name, _alike(error.message), now=now, text=error.message
        )
        if due:
            work.log.emit(
                events.SOURCE_FAILED,
                text=error.message,
                fix=error.hint,
                failing_for=None if since is None else round(now - since),
            )
        return state

    def mapped(self, fleet: MappedFleet, seen: Observation, work: Work, *, now: float) -> None:
        """A read was mapped: unmapped values once each, rejected records when they change, new spellings."""
        for value in fleet.unmapped:
            name = (value.vocabulary, value.column, value.value)
            if name not in self._unmapped and len(self._unmapped) < UNMAPPED_TOLD:
                self._unmapped.add(name)
                work.log.emit(
                    events.VALUE_UNMAPPED,
                    vocabulary=value.vocabulary,
                    column=value.column,
                    value=value.value,
                    evses=value.count,
                    fix=value.hint,
                )
        for remark in fleet.remarks:
            kind = _alike(remark.text)
            if remark.amiss and kind not in self._remarked:
                self._remarked.add(kind)
                work.log.emit(events.SIGNS_OF_LIFE, text=remark.text, fix=remark.fix)
        self._tell_rejected(fleet.rejected, work, now=now)
        if seen.respelled:
            pairs = [f"{row.wire_id} is now {row.source_id}" for row in seen.respelled]
            work.log.emit(events.ID_SPELLING, count=len(pairs), ids=_first(pairs))

    def believed(self, steps: Steps, work: Work, *, now: float) -> OperatorState:
        """What the mass guard withheld passes because nobody could read it for so long: an ERROR, hourly at most."""
        if not steps.believed:
            return work.state
        state, due = noticed(work.state, events.UNMAPPED_BELIEVED.name, "", now=now)
        if due:
            values = sorted({work.rows[key].value for key in steps.believed})
            work.log.emit(events.UNMAPPED_BELIEVED, evses=len(steps.believed), values=_first(values))
        return state

    def _tell_rejected(self, rejected: tuple[Rejected, ...], work: Work, *, now: float) -> None:
        """What is new among them. The same ones in another order, or on other lines, are no news."""
        counted = Counter(one.identity for one in rejected)
        if counted == self._rejected:
            return
        before = self._rejected or Counter()
        fresh, solved = counted - before, before - counted
        if fresh:
            named = [
                f"{one.evse_id or one.origin}: {one.reason}" for one in rejected if one.identity in fresh
            ]
            work.log.emit(
                events.RECORD_REJECTED,
                count=len(rejected),
                new=fresh.total(),
                solved=solved.total(),
                records=_first(named),
            )
        self._ledger.save_rejected(rejected, now=now)
        self._rejected = counted

    def ambiguous(self, fleet: MappedFleet, work: Work, *, now: float) -> OperatorState:
        """Identities that two chargers may claim: when the list changes, then daily."""
        found = fleet.ambiguous
        if not found:
            return cleared(work.state, events.ID_AMBIGUOUS.name)[0]
        texts = [one.text for one in found]
        state, due = noticed(
            work.state,
            events.ID_AMBIGUOUS.name,
            signature(tuple(f"{one.key} {one.agree}" for one in found)),
            now=now,
            every=DAY,
            text="; ".join(_first(texts)),
            fix=found[0].fix,
        )
        if due:
            set_aside = sum(not one.agree for one in found)
            work.log.emit(
                events.ID_AMBIGUOUS,
                count=len(found),
                set_aside=set_aside,
                ids=_first(texts),
                fix=found[0].fix,
            )
        return state

    def let_pass(self, text: str, work: Work, *, now: float) -> OperatorState:
        """Removals that go out although a few unusable records speak against them; "" if there are none."""
        name = events.GUARD_LET_PASS.name
        if not text:
            return cleared(work.state, name)[0]
        state, due = noticed(work.state, name, _alike(text), now=now, every=DAY, text=text, fix=_REPAIR)
        if due:
            work.log.emit(events.GUARD_LET_PASS, text=text, fix=_REPAIR)
        return state

    def refusals(self, report: CycleReport, work: Work, *, keep: bool) -> OperatorState:
        """Guards that say no: ERROR when it begins or changes, then hourly; the unknown baseline daily."""
        state, now = work.state, self._clock.now()
        standing = {refusal.guard: refusal for refusal in report.refusals}
        for guard in Guard:
            refusal = standing.get(guard)
            if refusal is None:
                if guard in (Guard.BASELINE, Guard.ADOPT_COUNT) or report.failures:
                    continue  # only a full cycle asks these; a failed cycle cannot tell
                if guard is Guard.EMPTINESS and report.full_load in ("", POSTPONED):
                    continue
                state, was = cleared(state, guard.value)
                if was:
                    work.log.emit(events.GUARD_CLEARED, guard=guard.value)
                continue
            if guard is Guard.BASELINE:
                continue  # told daily below, whether or not a full load was asked for
            # What it withholds, not the text: the text counts a fleet that grows and shrinks all day.
            what = signature(refusal.keys) if refusal.keys else refusal.text
            if refusal.kind:
                what = growing(state.notices.get(guard.value), refusal.kind, len(refusal.keys))
            state, due = noticed(state, guard.value, what, now=now, text=refusal.text, fix=refusal.hint)
            if due:
                work.log.emit(
                    events.GUARD_REFUSED,
                    guard=guard.value,
                    text=refusal.text,
                    fix=refusal.hint,
                    withheld=len(refusal.keys),
                )
        state = self._baseline(state, work, now=now)
        if not (keep and report.missing):
            state, _ = cleared(state, events.EVSE_MISSING_KEPT.name)
        else:
            state, due = noticed(
                state, events.EVSE_MISSING_KEPT.name, str(report.missing), now=now, every=DAY
            )
            if due:
                work.log.emit(events.EVSE_MISSING_KEPT, count=report.missing)
        return state

    def _baseline(self, state: OperatorState, work: Work, *, now: float) -> OperatorState:
        # Where it is automatic, the next full load ends it by itself: nobody has to act.
        if state.baseline or (self._automatic_baseline and not state.by_hand):
            return cleared(state, Guard.BASELINE.value)[0]
        state, due = noticed(state, Guard.BASELINE.value, "", now=now, every=DAY)
        if due:
            held = sum(1 for row in work.rows.values() if row.held)
            work.log.emit(events.BASELINE_UNKNOWN, evses=held, why=state.too_large or None)
        return state

    def would_send(self, plan: Plan, work: Work) -> None:
        """Observe mode: one line for the plan, and one per EVSE whose part in it has changed since."""
        would = {change.key: change for change in plan.changes}
        work.log.emit(
            events.PLAN_OBSERVED,
            records=len(would),
            withdrawals=len(plan.withdrawals),
            withheld=len(plan.withheld),
        )
        if self._observed is not None:
            for key, change in would.items():
                if self._observed.get(key) is not change.status:
                    work.log.emit(
                        events.EVSE_OBSERVED,
                        evse_id=change.wire_id,
                        action=change.action.value,
                        after=change.status.value if change.status else "deleted",
                        reason=change.reason,
                    )
        self._observed = {key: change.status for key, change in would.items()}

    def pause(self, report: CycleReport, work: Work, state: OperatorState, *, now: float) -> OperatorState:
        """A pause is told when it begins or changes, then daily; and when it has ended."""
        if report.paused:
            state, due = noticed(state, events.OPERATOR_PAUSED.name, report.paused, now=now, every=DAY)
            if due:
                work.log.emit(events.OPERATOR_PAUSED, text=report.paused)
            return state
        state, was = cleared(state, events.OPERATOR_PAUSED.name)
        if was:
            work.log.emit(events.OPERATOR_RESUMED)
        return state

    def overdue(self, report: CycleReport, work: Work, waits: Waiting, *, now: float) -> OperatorState:
        """What has waited too long is an ERROR, then hourly, whatever it waits for: refused connections, 429 and
        answers that never come all look alike on a map. Not while a person wants it to wait. It ends when nothing waits
        any more, or something goes through again: a clock that is put back in an outage ends nothing."""
        state, since = work.state, waits.overdue_since
        if report.chosen_stop:
            return state
        young = since is None or now - since < self._overdue_after
        if since is None or (young and (work.acked or events.DELIVERY_OVERDUE.name not in state.notices)):
            state, was = cleared(state, events.DELIVERY_OVERDUE.name)
            if was:
                work.log.emit(events.DELIVERY_CAUGHT_UP, backlog=waits.backlog)
            return state
        state, due = noticed(state, events.DELIVERY_OVERDUE.name, "", now=now)
        if due:
            work.log.emit(
                events.DELIVERY_OVERDUE,
                backlog=waits.backlog,
                waited=round(now - since, 1),
                text=report.waits,
                fix=state.trouble.hint or None if state.trouble is not None else None,
            )
        return state

    def summary(self, report: CycleReport, work: Work, waits: Waiting) -> None:
        """One line for a cycle that found a change, had an answer, or met something new; one for all quiet deltas of
        `summary_every`. So the last line always says what waits now, and since when."""
        failed = "; ".join(text for _, text, _ in report.failures) or None
        standing = (*_standing(report, failed), waits.since, waits.newest)
        ticks = self._clock.monotonic()
        self._cycles += report.job == "delta"
        quiet = report.job == "delta" and not work.answered and standing == self._told
        if quiet and ticks - self._told_at < self._summary_every:
            return
        if report.job == "delta":
            cycles, self._cycles, self._told, self._told_at = self._cycles, 0, standing, ticks
            work.log.emit(events.DELTA_DONE, **report.summary(), cycles=cycles, failed=failed)
            return
        if report.job == "full":
            work.log.emit(events.FULL_DONE, **report.summary(), full_load=report.full_load, failed=failed)
            return
        work.log.emit(
            events.RECONCILE_DONE, **report.summary(), found=report.found, healed=report.healed, failed=failed
        )
        if report.healed:
            work.log.emit(events.RECONCILE_HEALED, found=report.found, healed=report.healed)


def _standing(report: CycleReport, failed: str | None) -> tuple[object, ...]:
    """What is news in a summary line when it differs from the one before. Numbers in texts are not: a next try."""
    counts = (
        report.read,
        report.quarantined,
        report.rejected,
        report.withheld,
        report.in_doubt,
        report.missing,
    )
    return (*counts, report.complete, report.backlog, _alike(report.waits or ""), _alike(failed or ""))


def _alike(text: str) -> str:
    """The same trouble with other numbers, such as an age or a line, is the same trouble."""
    return re.sub(r"\d+", "#", text)


def _kinds(problems: Iterable[str]) -> str:
    """The same kinds of problem, in whatever order and with whatever example, are the same trouble."""
    reasons = (problem.partition(UNDECODABLE)[2] or problem for problem in problems)
    return "; ".join(sorted({_QUOTED.sub("…", _alike(reason)) for reason in reasons}))[:_SIGNATURE]


def _first(texts: list[str]) -> list[str]:
    more = len(texts) - SHOWN
    return texts[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
