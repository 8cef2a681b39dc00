"""The full load: the one request that can delete a fleet, so every way not to send it comes first (P4).

It waits for a complete read and for records in doubt; it needs a known baseline or a person's exact number; the
withdrawal guard sees what it would leave out; what Hubject names as refused is left out and the guards look again.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from oicp_adapter.core.guards import (
    Allowance,
    Guard,
    Refusal,
    baseline_guard,
    emptiness_guard,
    withdrawal_guard,
)
from oicp_adapter.core.high_water import approved
from oicp_adapter.core.notices import cleared, noticed
from oicp_adapter.core.plan import FullLoadPlan, make_full_load, of_writing
from oicp_adapter.core.records import OperatorState
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.codes import NO_EVSE_DATA
from oicp_adapter.sync.decide import Decider, Decision, withheld_by
from oicp_adapter.sync.isolation import named
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import Work
from oicp_adapter.telemetry import events

DOUBTS_SUSPEND = 2
"""Unanswered full loads in a row after which scheduled ones are replaced by a rolling resync."""

_IN_DOUBT = "nothing: Hubject may have applied it or not; after settle every EVSE is pushed again by itself"

APPLIED, POSTPONED, REFUSED, ROLLING, FAILED = "applied", "postponed", "refused", "rolling", "failed"


class FullLoader:
    """Sends the full load of one operator, or says why not."""

    def __init__(
        self,
        *,
        decider: Decider,
        publisher: Publisher,
        automatic_baseline: bool,
        limit: int | None = None,
    ) -> None:
        """`limit`: bytes above which no full load is sent; None: only what Hubject refuses is too large."""
        self._limit = limit
        self._decider = decider
        self._publisher = publisher
        self.automatic_baseline = automatic_baseline
        """The first full load needs nobody's yes."""

    def plan(
        self, work: Work, decision: Decision, allowance: Allowance, *, now: float, refused: frozenset[str]
    ) -> tuple[FullLoadPlan, Refusal | None]:
        """The full load as it would be sent, and the first guard that says no."""
        if work.state.full_without_refused:
            refused |= {key for key, row in work.rows.items() if row.quarantine is not None}
        # Its own guard looks at what it would withdraw; a step stays withheld all the same.
        withheld = withheld_by(one for one in decision.refusals if one.guard is not Guard.WITHDRAWAL)
        full = make_full_load(
            work.rows.values(),
            of_writing(self._decider.plan, work.state),
            now=now,
            withheld=withheld,
            refused=refused,
            adopting=allowance.adopt is not None,
        )
        for refusal in decision.refusals:
            if refusal.guard is Guard.FIRST_RUN:
                return full, refusal
        # What was too large may fit now, and nobody should find out by a command that cannot work.
        state = replace(work.state, too_large=self._excess(full, work.state))
        operator = self._decider.operator
        said_no = baseline_guard(
            full, state, allowance=allowance, automatic=self.automatic_baseline, operator=operator
        ) or withdrawal_guard(
            frozenset(full.withdraws),
            list(work.rows.values()),
            state,
            self._decider.guards,
            now=now,
            remain=full.shown,
            allowance=allowance,
            operator=operator,
        )
        return full, said_no or emptiness_guard(full, state, allowance)

    def run(
        self,
        work: Work,
        decision: Decision,
        allowance: Allowance,
        *,
        now: float,
        complete: bool,
        report: CycleReport,
    ) -> None:
        """Send it if everything allows; `report.full_load` says what came of it."""
        refused: frozenset[str] = frozenset()
        quarantined: frozenset[str] = frozenset()
        while True:
            full, refusal = self.plan(work, decision, allowance, now=now, refused=refused)
            first_run = refusal is not None and refusal.guard is Guard.FIRST_RUN
            if not complete or (full.waiting and not first_run):
                waiting = f"{full.waiting} EVSEs are in doubt, or withheld with no status to keep"
                why = waiting if complete else "the read was not complete"
                report.full_load, report.why = POSTPONED, why
                self._say_postponed(work, why, complete=complete, now=now)
                return
            work.state, _ = cleared(work.state, events.FULL_POSTPONED.name)
            if not refused and _names_what_is_left(full, allowance, work):
                refused = _without_data(full, work)
                continue
            if self._rolls(full, refusal, work, report):
                return
            if refusal is not None:
                report.full_load = REFUSED
                work.state = replace(work.state, full_wanted="")
                if not (refusal.guard is Guard.BASELINE and allowance.only_changes):
                    report.refuse(refusal)  # who only allowed changes got what was asked for
                return
            how = "adopted" if allowance.adopt is not None else "automatic"
            first = not work.state.baseline
            answer = self._publisher.full_load(full, work, how=how)
            at_fault = _at_fault(full, answer)
            if answer.reaction is Reaction.REFUSED and at_fault:
                self._publisher.quarantine(sorted(at_fault - quarantined), answer, work)
                quarantined |= at_fault
                refused |= _not_as_before(at_fault, full, answer, work)
                continue
            self._react(full, answer, work, report)
            by_a_person = allowance.adopt is not None or allowance.withdrawals is not None
            if by_a_person and answer.reaction is Reaction.APPLIED:
                work.state = approved(work.state, full.shown, now=now)
            if first and answer.reaction is Reaction.APPLIED:
                work.log.emit(events.BASELINE_KNOWN, how=how, records=len(full.records))
            return

    def _rolls(self, full: FullLoadPlan, refusal: Refusal | None, work: Work, report: CycleReport) -> bool:
        """It is known to be too large: bundles replace it. They take nobody off the maps, so only what would be wrong
        in bundles, too, is in their way."""
        if refusal is not None and refusal.guard in (Guard.FIRST_RUN, Guard.ADOPT_COUNT):
            return False
        if not self._too_large(full, work, report):
            work.state = replace(work.state, too_large="")
            return False
        if refusal is not None and refusal.guard is not Guard.BASELINE:
            report.refuse(refusal)
        return True

    def suspended(self, work: Work) -> bool:
        """Two full loads in a row got no answer."""
        return work.state.full_doubts >= DOUBTS_SUSPEND

    def roll(self, work: Work, report: CycleReport) -> None:
        """Replace the full load by a rolling resync: every EVSE in bundles, none missing at any moment."""
        report.full_load = ROLLING
        since = work.state.rolling_since
        work.state = replace(
            work.state, full_wanted="", rolling_since=self._publisher.now() if since is None else since
        )

    def _say_postponed(self, work: Work, why: str, *, complete: bool, now: float) -> None:
        """The kind of reason counts, not the number of records, which changes while they settle."""
        wanted = work.state.full_wanted
        what = f"{wanted}: {'in doubt' if complete else 'not complete'}"
        work.state, due = noticed(work.state, events.FULL_POSTPONED.name, what, now=now)
        if due:
            work.log.emit(events.FULL_POSTPONED, why=why, wanted=wanted)

    def _too_large(self, full: FullLoadPlan, work: Work, report: CycleReport) -> bool:
        """It would be larger than it may be, and a rolling resync replaces it."""
        excess = self._excess(full, work.state)
        if not excess:
            return False
        self._roll_instead(full, excess, work, report)
        return True

    def _excess(self, full: FullLoadPlan, state: OperatorState) -> str:
        """Why no such full load goes out: larger than the setting allows, or not smaller than what Hubject refused as
        too large; "" if it may."""
        learned = state.full_limit
        if self._limit is None and learned is None:
            return ""
        size = self._publisher.full_size(full)
        if self._limit is not None and size > self._limit:
            return _excess_text(full, size, f"hubject.max_body allows {self._limit}")
        if learned is not None and size >= learned:
            return _excess_text(full, size, f"Hubject refused {learned} (413)")
        return ""

    def _roll_instead(self, full: FullLoadPlan, excess: str, work: Work, report: CycleReport) -> None:
        size = self._publisher.full_size(full)
        work.log.emit(events.FULL_TOO_LARGE, records=len(full.records), bytes=size)
        report.why = excess
        work.state = replace(work.state, too_large=excess)
        self.roll(work, report)

    def _react(self, full: FullLoadPlan, answer: Answer, work: Work, report: CycleReport) -> None:
        match answer.reaction:
            case Reaction.APPLIED:
                report.full_load, report.full_records = APPLIED, len(full.records)
                work.acked += len(full.records)
            case Reaction.TOO_LARGE:
                size = self._publisher.full_size(full)
                work.state = replace(work.state, full_limit=size)
                self._roll_instead(full, _excess_text(full, size, "Hubject refused it (413)"), work, report)
            case Reaction.REFUSED:
                work.state = replace(work.state, full_without_refused=True)
                report.why = f"Hubject refused it and named nobody: {answer.text}"
                self.roll(work, report)  # nobody is named: bundle by bundle the records at fault are found
            case Reaction.IN_DOUBT:
                report.full_load = FAILED
                report.failures.append((4, f"the full load is in doubt: {answer.text}", _IN_DOUBT))
                if self.suspended(work):
                    work.log.emit(
                        events.FULL_SUSPENDED,
                        records=len(full.records),
                        bytes=self._publisher.full_size(full),
                        duration=round(answer.duration, 1),
                        process_id=answer.process_id,
                    )
            case _:  # not applied, and worth trying again: it stays due
                report.full_load = FAILED
                work.stopped_by = answer


def _excess_text(full: FullLoadPlan, size: int, limit: str) -> str:
    return f"too large for one full load: {len(full.records)} records, {size} bytes; {limit}"


def _at_fault(full: FullLoadPlan, answer: Answer) -> frozenset[str]:
    positions = named([wire_id for _, wire_id, _ in full.records], answer)
    return frozenset(full.records[position][0] for position in positions)


def _not_as_before(
    at_fault: frozenset[str], full: FullLoadPlan, answer: Answer, work: Work
) -> frozenset[str]:
    """What has to be left out of the next try. The others stay in it with their last acknowledged status (P5)."""
    sent = {key: status for key, _, status in full.records if key in at_fault}
    before = {key: work.rows[key].status for key in at_fault}
    hopeless = answer.code == NO_EVSE_DATA
    return frozenset(key for key in at_fault if hopeless or before[key] in (None, sent[key]))


def _without_data(full: FullLoadPlan, work: Work) -> frozenset[str]:
    """What Hubject refused for want of EVSE data and would refuse in the full load, too."""
    refused = ((key, work.rows[key].quarantine) for key, _, _ in full.records)
    return frozenset(key for key, entry in refused if entry is not None and entry.code == NO_EVSE_DATA)


def _names_what_is_left(full: FullLoadPlan, allowance: Allowance, work: Work) -> bool:
    """The person's N is the number that remains after Hubject named what it does not accept."""
    if allowance.adopt is None or allowance.adopt == len(full.records):
        return False
    without = _without_data(full, work)
    return bool(without) and allowance.adopt == len(full.records) - len(without)


def signature(keys: tuple[str, ...]) -> str:
    """A short fingerprint of what a refusal withholds: a change of it is logged anew."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]
