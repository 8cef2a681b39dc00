"""A manual full resync, from asking to its end: done, refused or failed.

It is the same full cycle as at night, with what the person allowed for this run only. While records are in doubt
it waits for them, because a full load would contain them.
"""

from __future__ import annotations

from dataclasses import dataclass

from oicp_adapter.core.guards import Allowance
from oicp_adapter.errors import SourceError, worst_exit_code
from oicp_adapter.ports import CommandState
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.full import APPLIED, FAILED, POSTPONED, ROLLING
from oicp_adapter.sync.report import CycleReport

GIVE_UP_AFTER = 900.0
"""Seconds a resync waits for records in doubt or a complete read; the full load stays due after that."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a resync ended."""

    state: CommandState
    exit_code: int
    text: str


class Resync:
    """One manual resync in progress; `step` until it returns an end. Its times are monotonic."""

    def __init__(self, sync: OperatorSync, allowance: Allowance, *, now: float, asked: str) -> None:
        self._sync = sync
        self._allowance = allowance
        self._asked = asked
        self._give_up_at = now + GIVE_UP_AFTER
        self.progress = ""
        """What it waits for, in words."""

    def step(self, now: float) -> Ended | None:
        """Run one full cycle. None: it has to wait; call again after a delta interval."""
        report = self._sync.full(asked=self._asked, allowance=self._allowance, force=True)
        self._allowance = self._allowance.without(withdrawals=report.withdrawn, unknowns=report.let_turn)
        if report.nothing_sent:
            self._sync.cancel_full(self._asked)
            return kept_back(report, self._sync.operator)
        if report.full_load == POSTPONED and not report.failures and now < self._give_up_at:
            self.progress = f"waiting: {report.why}"
            return None
        if report.full_load != POSTPONED:
            self._sync.cancel_full(
                self._asked
            )  # who asked is told how it ended; it must not come later as a surprise
        return ended(report, adopting=self._allowance.adopt is not None)


def kept_back(report: CycleReport, operator: str) -> Ended:
    """A person's own choice kept everything from being sent; the way out is theirs, too."""
    fix = f"oicp-adapter resume {operator}"
    if report.observed:
        fix = f'set operators.{operator}.mode = "push", then restart the daemon'
    text = f"nothing was sent: {report.nothing_sent}\n  fix: {fix}"
    return Ended(state=CommandState.REFUSED, exit_code=3, text=text)


def ended(report: CycleReport, *, adopting: bool = False) -> Ended:
    """What a finished full cycle means to the person who asked for it. `adopting`: for one full load with N records."""
    code = report.exit_code
    lines = [f"{refusal.text}\n  fix: {refusal.hint}" for refusal in report.refusals]
    lines += [f"{text}\n  fix: {hint}" if hint else text for _, text, hint in report.failures]
    if report.full_load == APPLIED:
        lines.insert(0, f"full load applied: {report.full_records} records")
    elif report.full_load == ROLLING:
        why = report.why or "two in a row got no answer"
        done = f"every EVSE is pushed again in bundles, {report.acked} records so far"
        code = worst_exit_code([code, 4]) if adopting else code  # bundles adopt nothing
        lines.insert(0, f"no full load ({why}): {done}; what others left at Hubject stays there")
    elif report.full_load == POSTPONED:
        lines.insert(0, f"the full load still waits ({report.why}) and stays due")
        code = worst_exit_code([code, 4 if report.complete else SourceError.exit_code])
    else:
        what = "the full load failed" if report.full_load == FAILED else "no full load was sent"
        lines.insert(0, f"{what}; {report.acked} changes were acknowledged")
    if report.quarantined:
        lines.append(f"{report.quarantined} EVSEs are quarantined: oicp-adapter quarantine list")
    state = {0: CommandState.DONE, 3: CommandState.REFUSED}.get(code, CommandState.FAILED)
    return Ended(state=state, exit_code=code, text="\n".join(lines))
