"""A plan that has passed the guards. Pure: the same picture gives the same decision.

The guards look at the finished plan; what they withhold is planned again as "leave it as Hubject has it", and
everything else goes out (P4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oicp_adapter.core.guards import (
    Allowance,
    Guard,
    GuardPolicy,
    Refusal,
    all_called_gone,
    first_run_guard,
    remaining,
    untried,
    withdrawal_guard,
)
from oicp_adapter.core.mass import Steps, mass_guard
from oicp_adapter.core.plan import Mode, Plan, PlanPolicy, make_plan, of_writing
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.standing import standing_guard
from oicp_adapter.core.unusable import let_pass, unusable_guard


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What goes out, what is withheld and why."""

    plan: Plan
    refusals: tuple[Refusal, ...]
    steps: Steps
    """What the mass guard says to the steps that staleness or something unmapped gives."""
    let_pass: str = ""
    """What goes out although a few unusable records speak against it."""
    untried: tuple[str, ...] = ()
    """Keys of what is called gone and waits for the baseline; no refusal: the unknown baseline is told anyway."""

    @property
    def withheld(self) -> dict[str, str]:
        """Key → guard."""
        waiting = dict.fromkeys(self.untried, Guard.BASELINE.value)
        return waiting | withheld_by(self.refusals)


def withheld_by(refusals: Iterable[Refusal]) -> dict[str, str]:
    """Key → guard; the last one where several withhold the same."""
    return {key: refusal.guard.value for refusal in refusals for key in refusal.keys}


@dataclass(kw_only=True)
class Decider:
    """The operator's policies, ready to decide. One object for all use cases of the operator."""

    operator: str
    plan: PlanPolicy
    """Exchanged between cycles when the settings are read again."""
    guards: GuardPolicy

    def decide(
        self,
        rows: dict[str, EvseRow],
        state: OperatorState,
        *,
        now: float,
        complete: bool,
        mode: Mode,
        allowance: Allowance,
        strangers: int = 0,
        rejected: int = 0,
    ) -> Decision:
        """Plan, ask the guards, plan again without what they withhold. `rejected`: see `first_run_guard`.

        `strangers`: records of the read that could be any EVSE's.
        The guards over withdrawals come last: what can be read of a withheld EVSE may be that it is gone.
        """
        values = list(rows.values())

        def planned() -> Plan:
            return make_plan(
                values,
                of_writing(self.plan, state),
                now=now,
                complete=complete,
                mode=mode,
                rolling_since=state.rolling_since,
                withheld=dict.fromkeys(waiting, Guard.BASELINE.value) | withheld_by(refusals),
            )

        steps = mass_guard(values, self.guards, now=now, allowed=allowance.unknowns, operator=self.operator)
        first = first_run_guard(values, rejected=rejected)
        if allowance.adopt is None:  # else a person has said what is to remain
            first = first or all_called_gone(values)
        stood = standing_guard(values, self.guards, now=now, operator=self.operator)
        refusals = [refusal for refusal in (first, steps.refusal, stood) if refusal is not None]
        waiting: tuple[str, ...] = ()
        plan = planned()
        leaving = {change.key for change in plan.withdrawals}
        withdrawals = withdrawal_guard(
            leaving,
            values,
            state,
            self.guards,
            now=now,
            remain=remaining(values, leaving) if leaving else 0,
            allowance=allowance,
            operator=self.operator,
        )
        unusables = unusable_guard(
            plan, rows, state, strangers, allowed=allowance.withdrawals, operator=self.operator
        )
        later = [refusal for refusal in (withdrawals, unusables) if refusal is not None]
        waiting = untried(plan, rows, state, self.guards)
        if later or waiting:
            refusals += later
            plan = planned()
        return Decision(
            plan=plan,
            refusals=tuple(refusals),
            steps=steps,
            let_pass=let_pass(plan, rows, state, strangers),
            untried=waiting,
        )
