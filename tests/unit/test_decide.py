"""A plan that has passed the guards: what they withhold stays, everything else goes out."""

from __future__ import annotations

from typing import Any

import msgspec

from oicp_adapter.core.guards import Allowance, GuardPolicy
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import Mode, PlanPolicy
from oicp_adapter.core.records import EvseRow, OperatorState, Presence
from oicp_adapter.sync.decide import Decider, Decision

NOW = 1_800_000_000.0
GONE: dict[str, Any] = {"first_missing": NOW - 60}
STALE: dict[str, Any] = {"desired": EvseStatus.UNKNOWN, "cause": Cause.STALE}
BUSY: dict[str, Any] = {"desired": EvseStatus.OCCUPIED}


def rows_of(prefix: str, count: int, /, **more: Any) -> list[EvseRow]:
    known = EvseRow(
        key="",
        wire_id="",
        source_id="",
        presence=Presence.PRESENT,
        status=EvseStatus.AVAILABLE,
        desired=EvseStatus.AVAILABLE,
    )
    names = [f"{prefix}{number}" for number in range(count)]
    return [msgspec.structs.replace(known, key=name, wire_id=name, source_id=name, **more) for name in names]


def decide(
    *groups: list[EvseRow], state: OperatorState | None = None, allowed: int | None = None
) -> Decision:
    decider = Decider(operator="slb", plan=PlanPolicy(), guards=GuardPolicy())
    return decider.decide(
        {row.key: row for group in groups for row in group},
        state or OperatorState(),
        now=NOW,
        complete=True,
        mode=Mode.DELTA,
        allowance=Allowance(withdrawals=allowed),
    )


def going(decision: Decision) -> set[str]:
    return {change.key for change in decision.plan.changes}


def test_a_refused_withdrawal_holds_back_the_withdrawals_only() -> None:
    # A lost region in the export stops every other status of the fleet.
    decision = decide(rows_of("gone", 20, **GONE), rows_of("busy", 3, **BUSY), rows_of("rest", 77))
    assert going(decision) == {"busy0", "busy1", "busy2"}
    assert set(decision.withheld.values()) == {"withdrawal"}
    assert len(decision.withheld) == 20


def test_an_allowed_withdrawal_goes_out() -> None:
    # The printed command does nothing.
    gone = rows_of("gone", 20, **GONE)
    assert len(going(decide(gone, rows_of("rest", 80), allowed=20))) == 20
    assert going(decide(gone, rows_of("rest", 80), allowed=19)) == set()


def test_an_allowed_withdrawal_does_not_open_the_other_guards() -> None:
    # Whoever allows twenty removals also greys out the fleet.
    decision = decide(rows_of("gone", 20, **GONE), rows_of("dead", 80, **STALE), allowed=20)
    assert len(going(decision)) == 20
    assert set(decision.withheld.values()) == {"mass_unknown"}


def test_what_a_step_is_withheld_from_still_flows_unless_it_is_available() -> None:
    # The freeze: statuses that turned Faulted behind an unreadable heartbeat stay Available at Hubject.
    def silent(name: str, said: EvseStatus) -> list[EvseRow]:
        return rows_of(name, 2, **STALE, fallback=said)

    decision = decide(
        silent("busy", EvseStatus.OCCUPIED),
        silent("broken", EvseStatus.OUT_OF_SERVICE),
        silent("free", EvseStatus.AVAILABLE),
        rows_of("mute", 2, **STALE),
        rows_of("freed", 2, **{**STALE, "status": EvseStatus.OCCUPIED}, fallback=EvseStatus.AVAILABLE),
    )
    assert {change.key: change.status for change in decision.plan.changes} == {
        "busy0": "Occupied",
        "busy1": "Occupied",
        "broken0": "OutOfService",
        "broken1": "OutOfService",
    }
    assert len(decision.withheld) == 10


def test_what_can_be_read_as_gone_passes_the_withdrawal_guard_too() -> None:
    # Behind an unknown word of one connector the others say "removed", and the whole region leaves the map.
    odd: dict[str, Any] = {"desired": EvseStatus.UNKNOWN, "cause": Cause.UNMAPPED}
    removed = rows_of("removed", 60, **odd, fallback=EvseStatus.EVSE_NOT_FOUND)
    decision = decide(removed, rows_of("rest", 40))
    assert [refusal.guard.value for refusal in decision.refusals] == ["mass_unknown", "withdrawal"]
    assert (going(decision), len(decision.withheld)) == (set(), 60)
    few = decide(removed[:3], rows_of("odd", 57, **odd), rows_of("rest", 40))
    assert going(few) == {"removed0", "removed1", "removed2"}


def test_several_guards_are_all_told() -> None:
    # The engineer repairs one thing, and the next refusal follows.
    decision = decide(rows_of("gone", 20, **GONE), rows_of("dead", 80, **STALE))
    assert sorted(refusal.guard.value for refusal in decision.refusals) == ["mass_unknown", "withdrawal"]


def test_a_first_run_that_nobody_can_read_publishes_nothing() -> None:
    # With the wrong vocabulary the fleet appears at Hubject as Unknown.
    new: dict[str, Any] = {"presence": Presence.ABSENT, "status": None}
    unmapped = rows_of("odd", 60, **new, desired=EvseStatus.UNKNOWN, cause=Cause.UNMAPPED)
    decision = decide(unmapped, rows_of("good", 40, **new))
    assert going(decision) == set()
    assert set(decision.withheld.values()) == {"first_run"}


def test_while_the_mass_guard_stands_no_unmapped_value_is_published_at_all() -> None:
    # A wrong vocabulary: what was EvseNotFound, and what was not published, comes to the maps as Unknown.
    odd: dict[str, Any] = {"desired": EvseStatus.UNKNOWN, "cause": Cause.UNMAPPED}
    gone = rows_of("gone", 1, **{**odd, "status": EvseStatus.EVSE_NOT_FOUND})
    new = rows_of("new", 1, **{**odd, "status": None, "presence": Presence.ABSENT})
    decision = decide(rows_of("known", 8, **odd), gone, new)
    assert going(decision) == set()
    assert {"known0", "gone0", "new0"} <= set(decision.withheld)
