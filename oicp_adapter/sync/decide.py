"""A plan that has passed the guards. Pure: the same picture gives the same decision.

The guards look at the finished plan; what they withhold is planned again as "leave it as Hubject has it", and
everything else goes out (P4).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from oicp_adapter.core.guards import (
    Allowance,
    GuardPolicy,
    Refusal,
    first_run_guard,
    withdrawal_guard,
)
from oicp_adapter.core.mass import mass_guard, mass_unknown, with_all_unmapped
from oicp_adapter.core.plan import Mode, Plan, PlanPolicy, make_plan
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.unusable import unusable_guard


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What goes out, what is withheld and why."""

    plan: Plan
    refusals: tuple[Refusal, ...]
    mass_since: float | None
    """Since when the mass guard has seen too many; kept in the operator's state."""

    @property
    def withheld(self) -> dict[str, str]:
        """Key → guard."""
        return {key: refusal.guard.value for refusal in self.refusals for key in refusal.keys}


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
        unusable: Container[str] = frozenset(),
    ) -> Decision:
        """Plan, ask the guards, plan again without what they withhold. `unusable`: keys whose records are."""
        values = list(rows.values())
        plan = make_plan(
            values, self.plan, now=now, complete=complete, mode=mode, rolling_since=state.rolling_since
        )
        refusals: list[Refusal] = []
        if refusal := first_run_guard(values):
            refusals.append(refusal)
        suspects = mass_unknown(plan, rows, self.guards)
        mass_since = None
        if suspects:
            mass_since = state.mass_since if state.mass_since is not None else now
            if refusal := mass_guard(suspects, rows, self.guards, now=now, since=mass_since):
                refusals.append(with_all_unmapped(refusal, plan, rows))
        if refusal := withdrawal_guard(
            {change.key for change in plan.withdrawals},
            values,
            state,
            self.guards,
            now=now,
            allowed=allowance.withdrawals,
            operator=self.operator,
        ):
            refusals.append(refusal)
        if refusal := unusable_guard(
            plan, rows, state, unusable, allowed=allowance.withdrawals, operator=self.operator
        ):
            refusals.append(refusal)
        decision = Decision(plan=plan, refusals=tuple(refusals), mass_since=mass_since)
        if not refusals:
            return decision
        replanned = make_plan(
            values,
            self.plan,
            now=now,
            complete=complete,
            mode=mode,
            rolling_since=state.rolling_since,
            withheld=decision.withheld,
        )
        return Decision(plan=replanned, refusals=tuple(refusals), mass_since=mass_since)
