"""From the ledger's rows to Hubject: decide, send what is due, and note what Hubject as a whole is like (P6).

The danger: hammering a Hubject that refuses us, or a full load as the first request after an outage. While Hubject
is given a rest nothing is sent; the first request after one holds a single record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from oicp_adapter.core import trouble
from oicp_adapter.core.guards import Allowance, Guard, accepted, grown
from oicp_adapter.core.plan import Kind, Mode
from oicp_adapter.core.records import EvseRow, Trouble
from oicp_adapter.core.transitions import full_cancelled
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.ports import Clock, Ledger, Pause
from oicp_adapter.sync.accounting import account, none_through
from oicp_adapter.sync.decide import Decider, Decision
from oicp_adapter.sync.full import FullLoader
from oicp_adapter.sync.herald import Herald
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.reasons import pause_text
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import Work
from oicp_adapter.telemetry import events

NO_ALLOWANCE = Allowance()
FEW = 5
"""So many refused changes in a cycle, and no other, are a matter of those EVSEs; all of more are a failure."""
_SEE_WHY = "oicp-adapter quarantine list says why"


@dataclass(frozen=True, kw_only=True)
class CyclePolicy:
    """Times in seconds."""

    delta_interval: float = 10.0
    observe: bool = False
    """Do everything but push, and log what would be pushed: a parallel run before the cut-over."""
    unknown_after: float | None = None
    overdue_after: float = 300.0
    """What has waited for Hubject longer than this, and nobody decided so, is an ERROR."""
    summary_every: float = 300.0
    """Deltas that found nothing and met nothing new are summed up this often."""
    settles_anew: bool = True
    """A daemon waits for settle anew after a start. A verb that runs and ends would then never get there: it goes on
    waiting from where the last one closed its connection; only what a crash left open begins anew."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a cycle was asked to do."""

    job: str
    mode: Mode
    asked: str = ""
    """By whom a full load was asked for; "" for no full load."""
    allowance: Allowance = NO_ALLOWANCE
    first: frozenset[str] = frozenset()
    """Keys of quarantined EVSEs that a person wants tried now: before all else."""
    force: bool = False
    """A person waits: send even while Hubject is given a rest, unless it has asked for one itself."""

    @property
    def manual(self) -> bool:
        """A person asked for a full load; the night asks too, but nobody waits for it."""
        return self.force and bool(self.asked)


class Delivery:
    """Decides and sends for one operator."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        decider: Decider,
        publisher: Publisher,
        full_loader: FullLoader,
        herald: Herald,
        policy: CyclePolicy,
        paused: Callable[[float], Pause | None],
        chance: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._decider = decider
        self._publisher = publisher
        self._full_loader = full_loader
        self._herald = herald
        self._policy = policy
        self._paused = paused
        self._chance = chance

    def deliver(
        self, work: Work, order: Order, report: CycleReport, *, now: float, complete: bool | None
    ) -> None:
        """Send what is due. `complete`: whether the read was; None: there was none, and no full load is sent.

        `now` is the time of the read, however long reading and pushing take: one read is never two.
        """
        self._remember(work, now=now)
        work.withdrawn_before = frozenset(
            key for key, row in work.rows.items() if row.withdrawn_at is not None
        )
        decide = partial(self.decide, work, order, now=now, complete=bool(complete))
        decision = first = decide()
        work.state = self._herald.believed(decision.steps, work, now=now)
        resting = work.state.trouble
        if self._policy.observe:
            report.observed = True
            work.state = replace(work.state, full_wanted="")
            self._herald.would_send(decision.plan, work)
        elif pause := self._paused(now):
            report.paused = pause_text(pause)
        elif resting is not None and now < (until := self._rest_ends(resting, order, decision)):
            report.rests_until = until
            report.can_be_forced = not order.force and now >= resting.not_before
            report.failures.append((4, resting.text, resting.hint))
        else:
            decision = self._send(first, decide, work, order, report, now=now, complete=complete)
            self._settle_trouble(resting, work, report)
        report.withdrawn, report.let_turn = work.withdrawn, len(work.let_turn)
        if first.let_pass:
            report.warnings.append((first.let_pass, ""))
        if complete is not None:
            work.state = self._herald.let_pass(first.let_pass, work, now=now)
        for refusal in decision.refusals:
            report.refuse(refusal)
        self._remember(work, now=now)
        self._mark_withheld(decision, work)
        report.accepted = sum(1 for key in order.first if _accepted(work.rows.get(key)))
        report.refused_again = sum(1 for key in order.first if key in work.refused)
        account(decision.plan, work, report, overdue=now - 2 * self._policy.delta_interval)
        if not report.failures and (count := none_through(decision.plan, work)) > FEW:
            report.failures.append((4, f"Hubject refused all of {count} changes; none got through", _SEE_WHY))

    def _rest_ends(self, resting: Trouble, order: Order, decision: Decision) -> float:
        """Until when nothing is sent. A run that ends does not wait out what may be over by now: the next one comes."""
        passing = not self._policy.settles_anew and not resting.permanent
        if order.force or passing:
            return resting.not_before
        if self._publisher.may_answer(decision.plan, since=resting.tried_at):
            return min(resting.next_try, resting.tried_at + trouble.PERMANENT_FIRST)
        return resting.next_try

    def decide(self, work: Work, order: Order, *, now: float, complete: bool) -> Decision:
        """What would be sent, after the guards."""
        decision = self._decider.decide(
            work.rows,
            work.state,
            now=now,
            complete=complete,
            mode=order.mode,
            allowance=_left(order, work),
            strangers=work.strangers,
            rejected=work.rejected,
        )
        work.steps = decision.steps
        return decision

    def _remember(self, work: Work, *, now: float) -> None:
        """How large the fleet is now: what leaves it is measured by that, also when the ledger is lost."""
        work.state = grown(work.state, accepted(work.rows.values()), now=now)
        if work.state.peak != work.noted:
            self._ledger.remember(work.state.peak)
            work.noted = work.state.peak

    def _send(
        self,
        decision: Decision,
        decide: Callable[[], Decision],
        work: Work,
        order: Order,
        report: CycleReport,
        *,
        now: float,
        complete: bool | None,
    ) -> Decision:
        """A full load if one is due and may go, then everything else. Returns the last decision."""
        resting = work.state.trouble is not None
        if work.state.full_wanted and complete is not None:
            if resting and decision.plan.changes:
                self._publisher.publish(decision.plan, work, probe=True)  # a full load is no probe
                decision = decide()
            if resting and complete and not work.answered and work.stopped_by is None:
                self._probe(work, decision, order, now=now)
            if work.stopped_by is None:
                self._full_load(work, decision, order, report, now=now, complete=complete)
                decision = decide()
        if work.stopped_by is None:
            self._publisher.publish(
                decision.plan, work, probe=resting and not work.answered, first=order.first
            )
            self._end_of_rolling(decide, work)
        return decision

    def _probe(self, work: Work, decision: Decision, order: Order, *, now: float) -> None:
        """Hubject failed lately, a full load would go out, and nothing else is there to ask with: one record of it is
        pushed again, alone. A full load as the question may be in doubt with the whole fleet, or be the 413."""
        full, refusal = self._full_loader.plan(
            work, decision, _left(order, work), now=now, refused=frozenset()
        )
        if refusal is not None or full.waiting or self._full_loader.suspended(work):
            return
        again = self._decider.decide(
            work.rows,
            replace(work.state, rolling_since=now),
            now=now,
            complete=True,
            mode=Mode.DELTA,
            allowance=NO_ALLOWANCE,
            strangers=work.strangers,
        ).plan
        one = [change for change in again.changes if change.kind is Kind.RESYNC][:1]
        self._publisher.publish(replace(again, changes=tuple(one)), work)

    def _full_load(
        self,
        work: Work,
        decision: Decision,
        order: Order,
        report: CycleReport,
        *,
        now: float,
        complete: bool,
    ) -> None:
        if self._full_loader.suspended(work) and not order.manual:
            self._full_loader.roll(work, report)
        else:
            wanted = work.state
            self._full_loader.run(
                work, decision, _left(order, work), now=now, complete=complete, report=report
            )
            if any(refusal.guard is Guard.ADOPT_COUNT for refusal in report.refusals):
                # The person's number was wrong; nobody has refused the night's.
                others = full_cancelled(wanted, order.asked).full_wanted
                work.state = replace(work.state, full_wanted=others)
        self._ledger.save((), work.state)  # what replaces a full load has to outlive a crash

    def _end_of_rolling(self, decide: Callable[[], Decision], work: Work) -> None:
        """A rolling resync goes on over cycles, crashes and restarts, until nothing older is left."""
        since = work.state.rolling_since
        if since is None or any(change.kind is Kind.RESYNC for change in decide().plan.changes):
            return
        work.state = replace(work.state, rolling_since=None)
        work.log.emit(events.FULL_ROLLED, duration=round(self._clock.now() - since, 1))

    def _mark_withheld(self, decision: Decision, work: Work) -> None:
        """So that `status` and `explain` can say which guard holds an EVSE back."""
        withheld = decision.withheld
        changed: list[EvseRow] = [
            replace(row, withheld=withheld.get(key, ""))
            for key, row in work.rows.items()
            if row.withheld != withheld.get(key, "")
        ]
        work.rows.update((row.key, row) for row in changed)
        if changed:
            self._ledger.save(changed, work.state)

    def _settle_trouble(self, before: Trouble | None, work: Work, report: CycleReport) -> None:
        if work.stopped_by is not None:
            self._worsen(work.stopped_by, before, work, report)
        elif before is not None and work.answered:
            work.state = replace(work.state, trouble=None)
            work.log.emit(events.HUB_RECOVERED, after=round(self._clock.now() - before.since, 1))

    def _worsen(self, answer: Answer, before: Trouble | None, work: Work, report: CycleReport) -> None:
        now = self._clock.now()
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
            until = now + answer.retry_after
            after = replace(after, next_try=max(after.next_try, until), not_before=until)
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


def _accepted(row: EvseRow | None) -> bool:
    """What was quarantined is so no more, and nothing is in doubt."""
    return row is None or (row.quarantine is None and row.in_doubt_since is None)


def _left(order: Order, work: Work) -> Allowance:
    """What a person allowed is good for at most N in a run, however many requests it takes (P4)."""
    return order.allowance.without(withdrawals=work.withdrawn, unknowns=len(work.let_turn))
