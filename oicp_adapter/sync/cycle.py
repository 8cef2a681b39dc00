"""One operator's cycle: read → map → observe → decide → push → record → one summary line.

The danger: planning from a picture that is not one. A failed read plans nothing; an incomplete one lets no EVSE
go; a refusal withholds withdrawals and the full load only. Everything Hubject-facing goes through the publisher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from oicp_adapter.core import trouble
from oicp_adapter.core.guards import Allowance, Guard, Refusal, grown, published
from oicp_adapter.core.model import ActionType, ConnectorState, MappedFleet, SourceRead, SourceRecord
from oicp_adapter.core.plan import Change, FullLoadPlan, Kind, Missing, Mode
from oicp_adapter.core.records import (
    EvseRow,
    OperatorState,
    Presence,
    distrusted,
    distrusted_state,
    full_load_doubted,
    recovered,
)
from oicp_adapter.errors import SourceError
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.ports import Clock, Ledger, Pause, Source
from oicp_adapter.sync.decide import Decider, Decision
from oicp_adapter.sync.facts import pause_text
from oicp_adapter.sync.full import APPLIED, ROLLING, FullLoader
from oicp_adapter.sync.herald import Herald
from oicp_adapter.sync.observe import observe, unreadable
from oicp_adapter.sync.publisher import Publisher, Work
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog

Mapper = Callable[[list[SourceRecord], float, Mapping[str, tuple[ConnectorState, ...]]], MappedFleet]
"""(records, now, remembered connector states) → the mapped fleet."""

NO_ALLOWANCE = Allowance()


@dataclass(frozen=True, kw_only=True)
class CyclePolicy:
    """Times in seconds."""

    delta_interval: float = 10.0
    observe: bool = False
    """Do everything but push, and log what would be pushed: a parallel run before the cut-over."""
    unknown_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would be sent now; nothing was."""

    read: SourceRead
    fleet: MappedFleet
    rows: dict[str, EvseRow]
    state: OperatorState
    decision: Decision
    full: FullLoadPlan
    baseline: Refusal | None
    """The full load waits for the baseline to become known."""
    report: CycleReport


class OperatorSync:
    """The use cases of one operator. Runs in one thread; only `preview` may run beside it (it writes nothing)."""

    def __init__(
        self,
        *,
        source: Source,
        mapper: Mapper,
        ledger: Ledger,
        clock: Clock,
        decider: Decider,
        publisher: Publisher,
        full_loader: FullLoader,
        policy: CyclePolicy,
        log: EventLog,
        paused: Callable[[float], Pause | None] = lambda now: None,
        new_id: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        self._source = source
        self._mapper = mapper
        self._ledger = ledger
        self._clock = clock
        self._decider = decider
        self._publisher = publisher
        self._full_loader = full_loader
        self._policy = policy
        self._log = log
        self._paused = paused
        self._new_id = new_id
        self._chance = chance
        self._herald = Herald(ledger=ledger, clock=clock)
        self._restarted = True

    @property
    def operator(self) -> str:
        """The operator's key in the configuration."""
        return self._decider.operator

    def delta(self, *, force: bool = False) -> CycleReport:
        """Push what changed; a full load too if one is due. `force`: even while Hubject is given a rest."""
        return self._cycle("delta", Mode.DELTA, force=force)

    def reconcile(self) -> CycleReport:
        """Delta, and: retry due quarantine, re-assert, count what should not have been there to push."""
        return self._cycle("reconcile", Mode.RECONCILE)

    def full(self, *, asked: str, allowance: Allowance = NO_ALLOWANCE, force: bool = False) -> CycleReport:
        """Send everything Hubject should hold, if the guards agree. `asked`: by whom, for logs and `status`."""
        return self._cycle("full", Mode.RECONCILE, asked=asked, allowance=allowance, force=force)

    def hasten(self, key: str | None) -> int:
        """Bring the next try of one quarantined EVSE, or of all, forward to now; returns how many."""
        now = self._clock.now()
        work = self._begin(now, write=True)
        rows = [
            replace(row, quarantine=replace(row.quarantine, retry_at=now))
            for row in work.rows.values()
            if row.quarantine is not None and key in (None, row.key)
        ]
        self._ledger.save(rows, work.state)
        return len(rows)

    def distrust(self, why: str) -> int:
        """Believe nothing the ledger says about Hubject; the cycles after settle push everything again."""
        now = self._clock.now()
        work = self._begin(now, write=True)
        rows = [distrusted(row, now=now) for row in work.rows.values()]
        self._ledger.save(rows, distrusted_state(work.state))
        work.log.emit(events.LEDGER_DISTRUSTED, evses=len(rows), why=why)
        return len(rows)

    def use(self, source: Source, mapper: Mapper) -> None:
        """Read and map by new settings from the next cycle on."""
        self._source, self._mapper = source, mapper

    def preview(self, allowance: Allowance = NO_ALLOWANCE) -> Preview:
        """What a delta and a full load would send now. Raises SourceError; writes nothing, sends nothing."""
        now = self._clock.now()
        work = self._begin(now, write=False)
        read = self._source.read(now)
        report = CycleReport(
            job="plan", cycle_id=work.cycle_id, read=len(read.records), complete=read.complete
        )
        fleet = self._observe(read, work, now, report, write=False)
        decision = self._decide(work, Mode.RECONCILE, now=now, read=read, allowance=allowance)
        full, refusal = self._full_loader.plan(work, decision, allowance, now=now, refused=frozenset())
        # An unknown baseline is no fault of the plan: it only keeps the full load waiting, unless it was asked for.
        baseline = refusal if refusal is not None and refusal.guard is Guard.BASELINE else None
        for each in (*decision.refusals, *([refusal] if refusal and not baseline else [])):
            report.refuse(each)
        return Preview(
            read=read,
            fleet=fleet,
            rows=work.rows,
            state=work.state,
            decision=decision,
            full=full,
            baseline=baseline,
            report=report,
        )

    def _cycle(
        self,
        job: str,
        mode: Mode,
        *,
        asked: str = "",
        allowance: Allowance = NO_ALLOWANCE,
        force: bool = False,
    ) -> CycleReport:
        began, now = self._clock.monotonic(), self._clock.now()
        work = self._begin(now, write=True)
        if asked:
            work.state = replace(work.state, full_wanted=asked)
        report = CycleReport(job=job, cycle_id=work.cycle_id)
        try:
            read = self._source.read(now)
        except SourceError as error:
            self._source_failed(error, work, report, now)
        else:
            report.read, report.complete = len(read.records), read.complete
            work.state = self._herald.source_read(read, work, now=now)
            self._observe(read, work, now, report, write=True)
            self._deliver(
                work,
                mode,
                report,
                now=now,
                read=read,
                allowance=allowance,
                force=force,
                manual=force and bool(asked),  # the night asks too, but nobody waits for its full load
            )
        report.duration = self._clock.monotonic() - began
        self._finish(work, report)
        return report

    def _begin(self, now: float, *, write: bool) -> Work:
        """Load the picture; what a crash or a full disk left open is in doubt from now on."""
        picture = self._ledger.load()
        cycle_id = self._new_id()
        work = Work(
            cycle_id=cycle_id,
            log=self._log.bind(cycle_id=cycle_id),
            rows=dict(picture.rows),
            state=picture.state,
        )
        doubted = recovered(picture, now=now, restarted=self._restarted)
        work.rows.update((row.key, row) for row in doubted)
        if not write:
            return work
        if self._restarted:
            work.state = replace(work.state, trouble=None)
        if any(push.action is ActionType.FULL_LOAD for push in picture.open_pushes):
            work.state = full_load_doubted(work.state)  # what killed us once may do so again
        if doubted or picture.open_pushes:
            self._ledger.interrupted(picture.open_pushes, doubted, work.state, now=now)
        if picture.open_pushes:
            work.log.emit(events.RECOVERED, pushes=len(picture.open_pushes), evses=len(doubted))
            if work.state.full_doubts > picture.state.full_doubts and self._full_loader.suspended(work):
                work.log.emit(events.FULL_SUSPENDED, records=len(work.rows))
        self._restarted = False
        return work

    def _observe(
        self, read: SourceRead, work: Work, now: float, report: CycleReport, *, write: bool
    ) -> MappedFleet:
        remembered = {key: row.connectors for key, row in work.rows.items() if row.connectors}
        fleet = self._mapper(read.records, now, remembered)
        seen = observe(
            fleet,
            work.rows,
            complete=read.complete,
            baseline_known=bool(work.state.baseline),
            last_complete_at=work.state.last_complete_at,
            now=now,
        )
        work.rows = seen.rows
        report.rejected = len(fleet.rejected)
        work.state = replace(
            work.state,
            last_read_at=now,
            last_complete_at=now if read.complete else work.state.last_complete_at,
        )
        if write:
            self._herald.mapped(fleet, seen, work, now=now)
            self._ledger.save(seen.changed, work.state, forget=seen.forgotten)
        return fleet

    def _decide(
        self, work: Work, mode: Mode, *, now: float, read: SourceRead | None, allowance: Allowance
    ) -> Decision:
        return self._decider.decide(
            work.rows,
            work.state,
            now=now,
            complete=read is not None and read.complete,
            mode=mode,
            allowance=allowance,
        )

    def _deliver(
        self,
        work: Work,
        mode: Mode,
        report: CycleReport,
        *,
        now: float,
        read: SourceRead | None,
        allowance: Allowance,
        force: bool,
        manual: bool,
    ) -> None:
        """`now` is the time of the read, however long reading and pushing take: one read is never two."""
        size_before = published(work.rows.values())
        withdrawn_before = {key for key, row in work.rows.items() if row.withdrawn_at is not None}
        decide = partial(self._decide, work, now=now, read=read, allowance=allowance)
        decision = decide(mode)
        resting = work.state.trouble
        if self._policy.observe:
            work.state = replace(work.state, full_wanted="")
            self._herald.would_send(decision.plan, work)
        elif self._pausing(report, now=now):
            pass
        elif resting is not None and not force and now < resting.next_try:
            report.failures.append((4, resting.text, resting.hint))
        else:
            if work.state.full_wanted and read is not None:
                if resting is not None and decision.plan.changes:
                    self._publisher.publish(decision.plan, work, probe=True)  # a full load is no probe
                    decision = decide(mode)
                if work.stopped_by is None:
                    mode = self._full_load(
                        work, mode, decision, report, now=now, read=read, allowance=allowance, manual=manual
                    )
                    decision = decide(mode)
            if work.stopped_by is None:
                probe = resting is not None and not work.answered
                self._publisher.publish(decision.plan, work, probe=probe)
            self._settle_trouble(work, report)
        report.withdrawn = sum(
            1
            for row in work.rows.values()
            if row.withdrawn_at is not None and row.key not in withdrawn_before
        )
        for refusal in decision.refusals:
            report.refuse(refusal)
        work.state = replace(work.state, mass_since=decision.mass_since)
        for size in (size_before, published(work.rows.values())):
            work.state = grown(work.state, size, now=now)
        self._mark_withheld(decision, work)
        self._account(decision, work, report, now=now)

    def _full_load(
        self,
        work: Work,
        mode: Mode,
        decision: Decision,
        report: CycleReport,
        *,
        now: float,
        read: SourceRead,
        allowance: Allowance,
        manual: bool,
    ) -> Mode:
        """The full load that is due, or what replaces it. Returns the mode of the rest of the cycle."""
        if self._full_loader.suspended(work) and not manual:
            report.full_load = ROLLING
            work.state = replace(work.state, full_wanted="")
        else:
            self._full_loader.run(work, decision, allowance, now=now, complete=read.complete, report=report)
        return Mode.RESYNC if report.full_load == ROLLING else mode

    def _pausing(self, report: CycleReport, *, now: float) -> bool:
        pause = self._paused(now)
        if pause is not None:
            report.paused = pause_text(pause)
        return pause is not None

    def _mark_withheld(self, decision: Decision, work: Work) -> None:
        """So that `status` and `explain` can say which guard holds an EVSE back."""
        withheld = decision.withheld
        changed = [
            replace(row, withheld=withheld.get(key, ""))
            for key, row in work.rows.items()
            if row.withheld != withheld.get(key, "")
        ]
        work.rows.update((row.key, row) for row in changed)
        if changed:
            self._ledger.save(changed, work.state)

    def _settle_trouble(self, work: Work, report: CycleReport) -> None:
        before, answer = work.state.trouble, work.stopped_by
        if answer is not None:
            self._worsen(answer, work, report)
        elif before is not None and work.answered:
            work.state = replace(work.state, trouble=None)
            work.log.emit(events.HUB_RECOVERED, after=round(self._clock.now() - before.since, 1))

    def _worsen(self, answer: Answer, work: Work, report: CycleReport) -> None:
        now, before = self._clock.now(), work.state.trouble
        after = trouble.worsened(
            before,
            permanent=answer.reaction is Reaction.STOPPED,
            code=answer.code,
            text=answer.text,
            hint=answer.hint,
            now=now,
            chance=self._chance(),
        )
        if answer.retry_after is not None:
            after = replace(after, next_try=max(after.next_try, now + answer.retry_after))
        work.state = replace(work.state, trouble=after)
        report.failures.append((4, answer.text, answer.hint))
        if after.permanent and (before is None or (before.permanent, before.text) != (True, after.text)):
            work.log.emit(
                events.HUB_STOPPED,
                code=after.code or None,
                text=after.text,
                fix=after.hint,
                process_id=answer.process_id,
            )

    def _source_failed(self, error: SourceError, work: Work, report: CycleReport, now: float) -> None:
        report.complete = False
        report.failures.append((error.exit_code, error.message, error.hint))
        work.state = self._herald.source_failed(error, work, now=now)
        limit, last = self._policy.unknown_after, work.state.last_read_at
        if limit is None or last is None or now - last < limit:
            return
        rows = unreadable(work.rows, now=now)
        if rows:
            work.log.emit(events.SOURCE_UNKNOWN, evses=len(rows), since=round(now - last))
            self._ledger.save(rows, work.state)
            work.rows.update((row.key, row) for row in rows)
        self._deliver(
            work,
            Mode.DELTA,
            report,
            now=now,
            read=None,
            allowance=NO_ALLOWANCE,
            force=False,
            manual=False,
        )

    def _account(self, decision: Decision, work: Work, report: CycleReport, *, now: float) -> None:
        plan = decision.plan
        report.requests, report.pushed, report.acked = work.requests, work.pushed, work.acked
        report.bundle, report.lag = work.largest_bundle, work.lag
        report.changed, report.unchanged = len(plan.changes), plan.unchanged
        report.withheld, report.missing = len(plan.withheld), plan.missing
        rows = work.rows.values()
        report.quarantined = sum(1 for row in rows if row.quarantine is not None)
        report.in_doubt = sum(1 for row in rows if row.in_doubt_since is not None)
        report.backlog = sum(1 for change in plan.changes if not _done(change, work))
        for change in plan.changes:
            if change.kind is Kind.RESYNC or self._fresh(change, now=now):
                continue
            kind = change.kind.value
            report.found[kind] = report.found.get(kind, 0) + 1
            if _done(change, work) and not _refused(change, work):
                report.healed[kind] = report.healed.get(kind, 0) + 1

    def _fresh(self, change: Change, *, now: float) -> bool:
        """An ordinary change that has not waited for longer than two delta intervals."""
        if change.kind not in (Kind.NEW, Kind.STATUS, Kind.WITHDRAWAL):
            return False
        if change.since is None or change.presence is not Presence.PRESENT:
            return True
        due = change.since + (self._decider.plan.missing_after if change.removal else 0.0)
        return due >= now - 2 * self._policy.delta_interval

    def _finish(self, work: Work, report: CycleReport) -> None:
        work.state = self._herald.refusals(report, work, keep=self._decider.plan.missing is Missing.KEEP)
        work.state = self._herald.pause(report, work, work.state, now=self._clock.now())
        self._ledger.save((), work.state)
        self._herald.summary(report, work)


def _done(change: Change, work: Work) -> bool:
    """Nothing more is to be sent for it now."""
    row = work.rows[change.key]
    if row.in_doubt_since is not None:
        return False
    gone = change.removal and row.presence is Presence.ABSENT
    return gone or row.status is change.status or _refused(change, work)


def _refused(change: Change, work: Work) -> bool:
    return work.rows[change.key].quarantine is not None


__all__ = ["APPLIED", "CyclePolicy", "OperatorSync", "Preview"]
