"""What no plan may do by accident: turn a fleet to Unknown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.guards import GuardPolicy, Refusal
from oicp_adapter.core.mass import mass_guard, mass_unknown
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import PlanPolicy, make_plan
from oicp_adapter.core.records import EvseRow, Presence

NOW = 1_800_000_000.0
POLICY = GuardPolicy()


def row(name: str, /, **more: Any) -> EvseRow:
    known = EvseRow(
        key=name,
        wire_id=name,
        source_id=name,
        presence=Presence.PRESENT,
        status=EvseStatus.AVAILABLE,
        desired=EvseStatus.AVAILABLE,
    )
    return msgspec.structs.replace(known, **more)


def turned(count: int, of: int, *, cause: Cause = Cause.STALE, value: str = "X") -> dict[str, EvseRow]:
    unknown = {"desired": EvseStatus.UNKNOWN, "cause": cause, "value": value}
    rows = [row(f"E{number}", **(unknown if number < count else {})) for number in range(of)]
    return {one.key: one for one in rows}


def suspects(rows: dict[str, EvseRow]) -> int:
    plan = make_plan(rows.values(), PlanPolicy(), now=NOW, complete=True)
    return len(mass_unknown(plan, rows, POLICY))


@pytest.mark.parametrize(
    ("count", "of", "found"), [(5, 5, 0), (6, 6, 6), (50, 100, 0), (51, 100, 51), (6, 12, 0), (6, 11, 6)]
)
def test_more_than_half_and_more_than_five_turning_to_unknown_is_too_many(
    count: int, of: int, found: int
) -> None:
    # A stopped heartbeat service greys out the whole network.
    assert suspects(turned(count, of)) == found


def test_what_is_in_doubt_counts_though_its_turn_comes_after_settle() -> None:
    # A wrong vocabulary beside one lost answer: 40 % now and 20 % a minute later pass as less than half each.
    rows = turned(60, 100)
    rows |= {name: msgspec.structs.replace(rows[name], in_doubt_since=NOW) for name in list(rows)[:20]}
    assert suspects(rows) == 40
    refusal = mass(rows, since=NOW)
    assert refusal is not None
    assert refusal.text.startswith("60 of 100 ")


def test_unknown_said_by_the_source_itself_is_believed() -> None:
    # The backend says the truth, and it is withheld.
    assert suspects(turned(100, 100, cause=Cause.REPORTED)) == 0


def test_what_hubject_already_shows_as_unknown_does_not_turn() -> None:
    # Re-assertions of dead chargers trip the guard.
    rows = turned(100, 100)
    already = {
        name: msgspec.structs.replace(one, status=EvseStatus.UNKNOWN, in_doubt_since=NOW - 60)
        for name, one in rows.items()
    }
    assert suspects(already) == 0


def mass(rows: dict[str, EvseRow], *, since: float) -> Refusal | None:
    plan = make_plan(rows.values(), PlanPolicy(), now=NOW, complete=True)
    return mass_guard(mass_unknown(plan, rows, POLICY), rows, POLICY, now=NOW, since=since)


def test_staleness_is_believed_after_fifteen_minutes_and_unmapped_values_never() -> None:
    # A real outage is hidden for ever; or a wrong vocabulary greys out the fleet after a quarter of an hour.
    assert mass(turned(60, 100), since=NOW - 899) is not None
    assert mass(turned(60, 100), since=NOW - 900) is None
    assert mass(turned(60, 100, cause=Cause.UNMAPPED), since=NOW - 10**6) is not None


def test_believed_staleness_goes_out_while_unmapped_values_stay_back() -> None:
    # One unknown value holds back every dead charger.
    rows = turned(60, 100)
    rows["E0"] = msgspec.structs.replace(rows["E0"], cause=Cause.UNMAPPED, value="Weird")
    refusal = mass(rows, since=NOW - 900)
    assert refusal is not None
    assert refusal.keys == ("E0",)
    assert "Weird" in refusal.text
    assert "mapping.overrides" in refusal.hint
    assert "SIGHUP" in refusal.hint, "the corrected file alone changes nothing in a running daemon"
