"""A rule with `for`: a value that has stood for so long frees an EVSE, over many cycles. Times in seconds."""

from __future__ import annotations

import msgspec
import pytest

from oicp_adapter.core.clockwork import pulled_back
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target
from tests.fakes.operator import Choices, Operator

STUCK = OverrideRule(name="stuck", to=Target.AVAILABLE, values=("CHARGING",), lasting=1_800.0)


def operator(count: int, busy: int) -> Operator:
    made = Operator(Choices(rules=(STUCK,)))
    made.published({f"E{at}": "CHARGING" if at <= busy else "AVAILABLE" for at in range(1, count + 1)})
    return made


def free(made: Operator) -> int:
    return sum(status == "Available" for status in made.holds().values())


def test_it_holds_when_the_value_has_stood_so_long_and_not_before() -> None:
    # A charger in use is shown as free, or one that is stuck never becomes free.
    made = operator(20, 3)
    assert [(made.delta(after=300).exit_code, free(made)) for _ in range(6)] == [(0, 17)] * 5 + [(0, 20)]
    assert made.row("E1").rule == "rule stuck"


@pytest.mark.parametrize("between", ["AVAILABLE", "gap", "gone"])
def test_another_value_a_gap_in_reading_or_an_absence_begins_anew(between: str) -> None:
    # A new session is taken for the old one, and a driver is sent to a car that is charging.
    made = operator(20, 1)
    for _ in range(5):
        made.delta(after=300)
    whole = list(made.source.records)
    if between == "gap":
        made.delta(after=901)
    else:
        made.source.records = (
            whole[1:]
            if between == "gone"
            else [msgspec.structs.replace(whole[0], status=between), *whole[1:]]
        )
        made.delta(after=10)
        made.source.records = whole
        made.delta(after=10)
    for _ in range(5):
        made.delta(after=300)
        assert made.holds()["E1"] == "Occupied"
    made.delta(after=310)
    assert made.holds()["E1"] == "Available"


def test_a_jump_of_the_clock_begins_anew() -> None:
    # The clock is set an hour ahead, and every busy charger is free.
    made = operator(20, 1)
    made.delta(after=300)
    row, now = made.row("E1"), made.clock.now() + 3_600
    after = pulled_back(row, now=now, settle=60, first_retry=60, longest_retry=600, missing_anew=True)
    assert [state.since for state in after.connectors] == [(("stuck", now),)]


def test_half_of_the_map_does_not_turn_to_available_within_an_hour() -> None:
    # An export that stands still frees a whole fleet of busy chargers.
    made = operator(20, 15)
    for _ in range(5):
        made.delta(after=300)
    report = made.delta(after=300)
    assert ([str(one.guard) for one in report.refusals], free(made)) == (["mass_available"], 5)
    assert "without `for`" in report.refusals[0].hint


def test_one_by_one_over_a_day_is_ordinary() -> None:
    # The guard that is meant for a mass keeps single chargers off the map.
    made = operator(14, 0)
    for at in range(12):
        made.source.records[at] = msgspec.structs.replace(made.source.records[at], status="CHARGING")
        for _ in range(4):
            assert not made.delta(after=600).refusals
    for _ in range(4):
        made.delta(after=600)
    assert free(made) == 14
