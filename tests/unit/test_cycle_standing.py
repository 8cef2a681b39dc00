"""A rule with `for`: a value that has stood for so long frees an EVSE, over many cycles. Times in seconds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from oicp_adapter.core.clockwork import pulled_back
from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import map_fleet
from oicp_adapter.core.model import Cause, ConnectorState, SourceRecord
from oicp_adapter.core.rules import MappingRules, OverrideRule
from oicp_adapter.core.trial import attempt
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.oicp.answers import Answer
from tests.fakes.answers import APPLIED_LATE, IN_DOUBT, KILLED, KILLED_AFTER, TRANSIENT
from tests.fakes.hub import Crash, Scripted
from tests.fakes.operator import Choices, Operator, World, wired

NOW = 1_800_000_000.0
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


@pytest.mark.parametrize("answer", [IN_DOUBT, APPLIED_LATE, KILLED, KILLED_AFTER])
def test_what_a_lost_answer_may_have_turned_keeps_its_share(answer: Answer | Scripted) -> None:
    # Two halves of a fleet pass one after the other, because nobody knows what came of the first.
    made = operator(20, 8)
    made.source.records[8:15] = [
        msgspec.structs.replace(one, status="CHARGING") for one in made.source.records[8:15]
    ]
    for at in range(6):
        if at == 5:
            made.hub.script.append(answer)
        try:
            assert not made.delta(after=300).refusals
        except Crash:
            made.start()
    report = made.delta(after=300)
    assert [str(one.guard) for one in report.refusals] == ["mass_available"]
    assert len(report.refusals[0].keys) == 7
    made.delta(after=70)
    assert (free(made), made.row("E1").turned_at is not None) == (5 + 8, True)


def test_what_was_not_sent_has_no_share() -> None:
    # Hubject's own trouble closes the account, and stuck chargers stay Occupied for an hour.
    made = operator(20, 8)
    for _ in range(5):
        made.delta(after=300)
    made.hub.script.append(TRANSIENT)
    made.delta(after=300)
    assert made.row("E1").turned_at is None
    assert (made.delta(after=60).refusals, free(made)) == ([], 20)


def test_what_is_withheld_stays_so_in_full_loads_over_restarts_and_by_time() -> None:
    # The night's full load shows the whole fleet as free, or a restart does.
    made = operator(20, 15)
    for _ in range(6):
        made.delta(after=300)
    report = made.full(after=60)
    assert (report.full_load, len(made.holds()), free(made)) == ("applied", 20, 5)
    made.start()
    for _ in range(30):
        assert [str(one.guard) for one in made.delta(after=600).refusals] == ["mass_available"]
    assert free(made) == 5


def test_a_person_lets_it_pass_by_a_rule_that_names_them() -> None:
    # The guard cannot be answered, and a fleet that is free stays Occupied.
    made = operator(20, 15)
    for _ in range(6):
        made.delta(after=300)
    named = OverrideRule(
        name="free",
        to=Target.AVAILABLE,
        values=("CHARGING",),
        evse_ids=tuple(parse_evse_pattern(f"DE*ABC*E{at}") for at in range(1, 11)),
    )
    made.choices = msgspec.structs.replace(made.choices, rules=(named, STUCK))
    made.start()
    # What a person says is not counted, and the other five are no mass.
    assert (made.delta(after=60).refusals, free(made)) == ([], 20)


def test_a_silent_charger_is_not_free_however_long_its_value_has_stood() -> None:
    # A dead charger is shown as free, because the word it left behind no longer changes.
    made = Operator(Choices(rules=(STUCK,)))
    made.has({"E1": "CHARGING"}, last_seen=made.clock.now())
    shown = [made.delta(after=300) and made.holds()["E1"] for _ in range(12)]
    assert shown == ["Occupied"] * 6 + ["Available"] * 3 + ["Unknown"] * 3


@pytest.mark.parametrize(
    ("second", "third"), [("Charging", Target.OCCUPIED), ("Available", Target.AVAILABLE)]
)
def test_two_connectors_wait_each_for_themselves(second: str, third: Target) -> None:
    # A car that has just arrived is not seen, because the neighbouring connector is stuck.
    rules = MappingRules(
        vocabulary="ocpp1.6",
        prefixes=(parse_prefix("DE*ABC"),),
        rules=(msgspec.structs.replace(STUCK, values=("Charging",)),),
    )
    previous: dict[str, tuple[ConnectorState, ...]] = {}
    shown = []
    for now, beside in ((0.0, "Available"), (1_790.0, second), (1_800.0, second)):
        records = [
            SourceRecord(evse_id="DE*ABC*E1", station_id="S1", connector_id=str(at), status=value)
            for at, value in enumerate(("Charging", beside), 1)
        ]
        one = map_fleet(records, rules, now=NOW + now, previous=previous).desired["DEABCE1"]
        previous = {one.key: one.connectors}
        shown.append(str(one.status))
    assert shown == ["Occupied", "Occupied", third.value]
    assert one.cause is (Cause.STOOD if third is Target.AVAILABLE else Cause.REPORTED)


def test_a_whole_station_waits_for_itself() -> None:
    # A charger whose own record is stuck is never free, because only its connectors are remembered.
    rules = MappingRules(
        vocabulary="ocpp1.6",
        prefixes=(parse_prefix("DE*ABC"),),
        rules=(msgspec.structs.replace(STUCK, to=Target.OUT_OF_SERVICE, values=("Faulted",)),),
        overrides={"Faulted": Target.UNKNOWN},
    )
    previous: dict[str, tuple[ConnectorState, ...]] = {}
    shown = []
    for now in (0.0, 1_790.0, 1_800.0):
        records = [
            SourceRecord(evse_id="DE*ABC*E1", station_id="S1", connector_id="1", status="Available"),
            SourceRecord(station_id="S1", connector_id="0", status="Faulted"),
        ]
        one = map_fleet(records, rules, now=NOW + now, previous=previous).desired["DEABCE1"]
        previous = {one.key: one.connectors}
        shown.append(str(one.status))
    assert shown[2] == "OutOfService" != shown[1] == shown[0]


def test_who_tries_it_is_told_that_it_only_waits() -> None:
    # A new user takes a rule for wrong that holds half an hour later.
    rules = MappingRules(vocabulary="ocpi", prefixes=(parse_prefix("DE*ABC"),), rules=(STUCK,))
    records = [
        SourceRecord(evse_id="DE*ABC*E1", status="CHARGING"),
        SourceRecord(evse_id="DE*ABC*E2", status="AVAILABLE"),
    ]
    said = attempt(records, rules, now=NOW).remarks
    assert any("rule stuck waits: 1 records match it" in one.text and "1800 s" in one.fix for one in said)
    assert not any("waits" in one.text for one in map_fleet(records, rules, now=NOW).remarks)


def test_a_restart_does_not_end_the_wait(tmp_path: Path) -> None:
    # A daemon that is restarted within half an hour never frees a stuck charger.
    made = Operator(Choices(rules=(STUCK,), first_full_load="automatic"))
    made.has({"E1": "CHARGING", "E2": "AVAILABLE"})
    shown = []
    for _ in range(7):
        with SqliteStore.open(tmp_path / "ledger.db", now=made.clock.now()) as store:
            world = World(
                source=made.source,
                hub=made.hub,
                ledger=store.operator("https://hub.example/api/oicp", "DEABC"),
                clock=made.clock,
            )
            assert wired(made.choices, world).delta().exit_code == 0
        shown.append(made.holds()["E1"])
        made.passes(300)
    assert shown == ["Occupied"] * 6 + ["Available"]
