"""One operator's cycle: read → map → observe → deliver → one summary line.

The danger: planning from a picture that is not one. A failed read plans nothing; an incomplete one lets no EVSE
go; a refusal withholds withdrawals and the full load only. Everything Hubject-facing goes through the delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from oicp_adapter.core.clockwork import jumped, pulled_back, pulled_back_state
from oicp_adapter.core.guards import Allowance, Guard, Refusal
from oicp_adapter.core.high_water import recollected
from oicp_adapter.core.model import ActionType, ConnectorState, MappedFleet, SourceRead, SourceRecord
from oicp_adapter.core.plan import FullLoadPlan, Missing, Mode, of_writing
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.standing import begun_anew
from oicp_adapter.core.transitions import (
    distrusted,
    distrusted_state,
    full_asked,
    full_cancelled,
    full_load_doubted,
    recovered,
    written,
)
from oicp_adapter.core.unusable import counted
from oicp_adapter.core.unusable import unusable as whose
from oicp_adapter.core.waiting import waiting
from oicp_adapter.errors import SourceError
from oicp_adapter.ports import Clock, Ledger, Pause, Source
from oicp_adapter.sync.accounting import stand
from oicp_adapter.sync.decide import Decider, Decision
from oicp_adapter.sync.delivery import NO_ALLOWANCE, CyclePolicy, Delivery, Order
from oicp_adapter.sync.full import FullLoader
from oicp_adapter.sync.herald import Herald
from oicp_adapter.sync.observe import never_pushed, observe, unreadable
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.reasons import obstacle, why
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import Work
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog

Mapper = Callable[[list[SourceRecord], float, Mapping[str, tuple[ConnectorState, ...]]], MappedFleet]
"""(records, now, remembered connector states) → the mapped fleet."""


GAP = 900.0
"""Seconds without a read, or three intervals, after which nobody knows whether a value has stood."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The settings that may change between two cycles: where the records come from, and how they count."""

    source: Source
    mapper: Mapper
    unknown_after: float | None
    """Seconds, see `CyclePolicy`."""
    hold_available: float
    """Seconds, see `PlanPolicy`."""


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

    @property
    def withdraws(self) -> int:
        """EVSEs that drivers see now, for all that is known, and would not see after the full load."""
        return sum(1 for key in self.full.withdraws if self.rows[key].held)


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
        self._unknown_after = policy.unknown_after
        self._log = log
        self._new_id = new_id
        self._herald = Herald(
            ledger=ledger,
            clock=clock,
            automatic_baseline=full_loader.automatic_baseline,
            overdue_after=policy.overdue_after,
            summary_every=policy.summary_every,
        )
        self._delivery = Delivery(
            ledger=ledger,
            clock=clock,
            decider=decider,
            publisher=publisher,
            full_loader=full_loader,
            herald=self._herald,
            policy=policy,
            paused=paused,
            chance=chance,
        )
        self._last_times: tuple[float, float] | None = None
        """Wall and monotonic time of the last cycle; None before the first one."""

    @property
    def operator(self) -> str:
        """The operator's key in the configuration."""
        return self._decider.operator

    def delta(self, *, force: bool = False) -> CycleReport:
        """Push what changed; a full load too if one is due. `force`: even while Hubject is given a rest."""
        return self._cycle(Order(job="delta", mode=Mode.DELTA, force=force))

    def reconcile(self) -> CycleReport:
        """Delta, and: retry due quarantine, re-assert, count what should not have been there to push."""
        return self._cycle(Order(job="reconcile", mode=Mode.RECONCILE))

    def retry(self, keys: frozenset[str]) -> CycleReport:
        """Reconcile, those first: a person waits for them. Their time must have come, see `hasten`."""
        return self._cycle(Order(job="reconcile", mode=Mode.RECONCILE, first=keys, force=True))

    def full(self, *, asked: str, allowance: Allowance = NO_ALLOWANCE, force: bool = False) -> CycleReport:
        """Send everything Hubject should hold, if the guards agree. `asked`: by whom, for logs and `status`."""
        return self._cycle(
            Order(job="full", mode=Mode.RECONCILE, asked=asked, allowance=allowance, force=force)
        )

    def hasten(self, key: str | None) -> frozenset[str]:
        """Bring the next try of one quarantined EVSE, or of all, forward to now; returns which."""
        now = self._clock.now()
        work = self._begin(now, write=True)
        rows = [
            replace(row, quarantine=replace(row.quarantine, retry_at=now))
            for row in work.rows.values()
            if row.quarantine is not None and key in (None, row.key)
        ]
        self._ledger.save(rows, work.state)
        return frozenset(row.key for row in rows)

    def distrust(self, why: str) -> int:
        """Believe nothing the ledger says about Hubject; the cycles after settle push everything again."""
        now = self._clock.now()
        work = self._begin(now, write=True)
        self._distrust(work, why, now=now)
        return len(work.rows)

    def _distrust(self, work: Work, why: str, *, now: float) -> None:
        rows = [distrusted(row, now=now) for row in work.rows.values()]
        work.rows.update((row.key, row) for row in rows)
        work.state = distrusted_state(work.state)
        self._ledger.save(rows, work.state)
        work.log.emit(events.LEDGER_DISTRUSTED, evses=len(rows), why=why)

    def want_full(self, asked: str) -> None:
        """A full load is due from now on, with the next cycle that may send one."""
        self._ledger.save((), full_asked(self._ledger.load().state, asked))

    def cancel_full(self, asked: str) -> None:
        """Who asked for a full load wants it no more; what others asked for, such as the night, stays due."""
        self._ledger.save((), full_cancelled(self._ledger.load().state, asked))

    def use(self, reading: Reading) -> None:
        """Read and map by new settings from the next cycle on."""
        self._source, self._mapper = reading.source, reading.mapper
        self._unknown_after = reading.unknown_after
        self._decider.plan = replace(self._decider.plan, hold_available=reading.hold_available)

    def preview(self, allowance: Allowance = NO_ALLOWANCE) -> Preview:
        """What a delta and a full load would send now. Raises SourceError; writes nothing, sends nothing."""
        now = self._clock.now()
        work = self._begin(now, write=False)
        read = self._source.read(now)
        report = CycleReport(
            job="plan", cycle_id=work.cycle_id, read=len(read.records), complete=read.complete
        )
        fleet = self._observe(read, work, now, report, write=False)
        order = Order(job="plan", mode=Mode.RECONCILE, allowance=allowance)
        decision = self._delivery.decide(work, order, now=now, complete=read.complete)
        full, refusal = self._full_loader.plan(work, decision, allowance, now=now, refused=frozenset())
        # An unknown baseline is no fault of the plan: it only keeps the full load waiting, unless it was asked for.
        baseline = refusal if refusal is not None and refusal.guard is Guard.BASELINE else None
        for each in (*decision.refusals, *([refusal] if refusal and not baseline else [])):
            report.refuse(each)
        if decision.let_pass:
            report.warnings.append((decision.let_pass, ""))
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

    def _cycle(self, order: Order) -> CycleReport:
        began, now = self._clock.monotonic(), self._clock.now()
        work = self._begin(now, write=True)
        if order.asked:
            work.state = full_asked(work.state, order.asked)
        report = CycleReport(job=order.job, cycle_id=work.cycle_id)
        try:
            read = self._source.read(now)
        except SourceError as error:
            self._source_failed(error, work, report, now)
        else:
            report.read, report.complete = len(read.records), read.complete
            work.state = self._herald.source_read(read, work, now=now)
            self._observe(read, work, now, report, write=True)
            self._delivery.deliver(work, order, report, now=now, complete=read.complete)
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
            state=recollected(picture),
            noted=picture.peak,
        )
        if write and picture.lost and not picture.state.by_hand:
            work.log.emit(events.LEDGER_LOST)
        times = (now, self._clock.monotonic())
        started = self._last_times is None
        anew = write and self._begins_anew(times, work)
        if write and picture.gone_back:
            self._distrust(work, "it is older than the last push: was a copy restored?", now=now)
            self._ledger.accept_age()
        waits_anew = anew and self._policy.settles_anew
        picture = replace(picture, rows=dict(work.rows))
        changed = {row.key: row for row in recovered(picture, now=now, restarted=waits_anew)}
        work.rows.update(changed)
        if not write:
            return work
        if any(push.action is ActionType.FULL_LOAD for push in picture.open_pushes):
            work.state = full_load_doubted(work.state, now=now)  # what killed us once may do so again
        elif waits_anew and work.state.full_doubt_since is not None and changed:
            work.state = replace(work.state, full_doubt_since=now)  # what appears meanwhile has to wait, too
        if anew:
            changed.update(self._pull_back(work, now, missing_anew=not started))
        if changed or picture.open_pushes or (anew and work.state != picture.state):
            self._ledger.interrupted(picture.open_pushes, changed.values(), work.state, now=now)
        self._last_times = times  # not before: on a full disk the next cycle is still the first
        if picture.open_pushes:
            work.log.emit(events.RECOVERED, pushes=len(picture.open_pushes), evses=len(changed))
            if work.state.full_doubts > picture.state.full_doubts and self._full_loader.suspended(work):
                work.log.emit(events.FULL_SUSPENDED, records=len(work.rows))
        return work

    def _begins_anew(self, times: tuple[float, float], work: Work) -> bool:
        """The first cycle of a process, or the first after the clock jumped: no time may be trusted."""
        if self._last_times is None:
            # A restart is often the cure; a verb from cron is none, and its first request stays a small one.
            # What Hubject has asked for holds all the same.
            trouble = work.state.trouble
            if self._policy.settles_anew and trouble is not None and trouble.not_before <= times[0]:
                work.state = replace(work.state, trouble=None)
            return True
        wall, monotonic = (now - last for now, last in zip(times, self._last_times, strict=True))
        if jumped(wall=wall, monotonic=monotonic):
            work.log.emit(events.CLOCK_JUMPED, by=round(wall - monotonic, 1))
            return True
        return False

    def _pull_back(self, work: Work, now: float, *, missing_anew: bool) -> dict[str, EvseRow]:
        changed, delivery = {}, self._publisher.policy
        for key, row in work.rows.items():
            after = pulled_back(
                row,
                now=now,
                settle=delivery.settle,
                first_retry=delivery.quarantine_first_retry,
                longest_retry=delivery.quarantine_longest_retry,
                missing_anew=missing_anew,
            )
            if after is not row:
                changed[key] = after
        work.rows.update(changed)
        work.state = pulled_back_state(work.state, now=now, missing_anew=missing_anew)
        return changed

    def _observe(
        self, read: SourceRead, work: Work, now: float, report: CycleReport, *, write: bool
    ) -> MappedFleet:
        remembered = {key: row.connectors for key, row in work.rows.items() if row.connectors}
        last, gap = work.state.last_read_at, max(GAP, 3 * self._policy.delta_interval)
        if last is None or now - last > gap:
            remembered = {key: begun_anew(states) for key, states in remembered.items()}
        fleet = self._mapper(read.records, now, remembered)
        unusable = whose(fleet.rejected, work.rows)
        seen = observe(
            fleet,
            work.rows,
            complete=read.complete,
            baseline_known=bool(work.state.baseline),
            last_complete_at=work.state.last_complete_at,
            full_doubt_since=work.state.full_doubt_since,
            settle=self._decider.plan.settle,
            unusable=unusable.keys,
            now=now,
        )
        work.rows = seen.rows
        report.rejected = len(fleet.rejected)
        work.rejected = 0 if work.state.baseline else never_pushed(fleet.rejected, work.rows)
        report.warnings += [(one.text, one.fix) for one in fleet.ambiguous]
        if read.complete:
            work.state = written(work.state, read.writing, now=now)
            work.strangers = unusable.strangers
            work.state = counted(work.state, work.rows.values(), unusable.strangers, now=now)
        work.state = replace(
            work.state,
            last_read_at=now,
            last_complete_at=now if read.complete else work.state.last_complete_at,
        )
        if write:
            self._herald.mapped(fleet, seen, work, now=now)
            work.state = self._herald.ambiguous(fleet, work, now=now)
            self._ledger.save(seen.changed, work.state, forget=seen.forgotten)
        return fleet

    def _source_failed(self, error: SourceError, work: Work, report: CycleReport, now: float) -> None:
        report.complete = False
        report.failures.append((error.exit_code, error.message, error.hint))
        work.state = self._herald.source_failed(error, work, now=now)
        limit, since = self._unknown_after, work.state.source_failing_since
        if limit is None or since is None or now - since < limit:
            return
        rows = unreadable(work.rows, now=now)
        if rows:
            work.log.emit(events.SOURCE_UNKNOWN, evses=len(rows), since=round(now - since))
            self._ledger.save(rows, work.state)
            work.rows.update((row.key, row) for row in rows)
        order = Order(job=report.job, mode=Mode.DELTA)
        self._delivery.deliver(work, order, report, now=now, complete=None)

    def _finish(self, work: Work, report: CycleReport) -> None:
        now, policy = self._clock.now(), of_writing(self._decider.plan, work.state)
        waits = waiting(work.rows.values(), policy, now=now)
        stand(report, work, waits, now=now)
        work.state = self._herald.refusals(report, work, keep=policy.missing is Missing.KEEP)
        work.state = self._herald.pause(report, work, work.state, now=now)
        stopped = obstacle(work.state, chosen=report.chosen_stop, unknown_after=self._unknown_after, now=now)
        report.waits = why(waits, policy, stopped=stopped, now=now)
        work.state = self._herald.overdue(report, work, waits, now=now)
        self._ledger.save((), work.state)
        self._herald.summary(report, work, waits)
