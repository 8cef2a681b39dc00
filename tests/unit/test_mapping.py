"""What the scenario tables cannot say: stability over time, memory of connectors, counting, loading."""

from __future__ import annotations

import msgspec
import pytest

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Cause, ConnectorState, Desired, EvseStatus, SourceRecord
from oicp_adapter.core.vocabulary import (
    Target,
    load_vocabulary,
    read_vocabulary,
    vocabulary_names,
)
from oicp_adapter.errors import ConfigurationError

NOW = 1_800_000_000.0
RULES = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))
PREPARING_IS_FREE = msgspec.structs.replace(RULES, overrides={"Preparing": Target.AVAILABLE})


def record(status: str | None = "Available", **more: object) -> SourceRecord:
    return msgspec.structs.replace(SourceRecord(evse_id="DE*ABC*E1", status=status), **more)


def only(*records: SourceRecord, rules: MappingRules = RULES, now: float = NOW) -> Desired:
    (desired,) = map_fleet(records, rules, now=now).desired.values()
    return desired


def test_a_dead_charger_keeps_its_rule_text_while_it_gets_older() -> None:
    # An age in the text writes a ledger row and a history line per dead charger and cycle.
    dead = record(last_heartbeat=NOW - 5000)
    assert only(dead) == only(dead, now=NOW + 3600)


def test_exactly_three_missed_intervals_are_not_yet_too_many() -> None:
    # Chargers flap at the limit, each flap pushed.
    assert only(record(last_heartbeat=NOW - 2700)).status is EvseStatus.AVAILABLE
    assert only(record(last_heartbeat=NOW - 2701)).status is EvseStatus.UNKNOWN


def test_a_session_that_ends_in_preparing_stays_occupied_until_another_value_is_seen() -> None:
    # Drivers are sent to a place where the last car is still plugged in.
    seen: dict[str, tuple[ConnectorState, ...]] = {}
    statuses = []
    for status in ("Preparing", "Charging", "Preparing", "Preparing", "Available", "Preparing"):
        one = record(status, station_id="S1", connector_id="1")
        fleet = map_fleet([one], PREPARING_IS_FREE, now=NOW, previous=seen)
        seen = {key: desired.connectors for key, desired in fleet.desired.items()}
        statuses.append(str(fleet.desired["DEABCE1"].status))
    assert statuses == ["Available", "Occupied", "Occupied", "Occupied", "Available", "Available"]


@pytest.mark.parametrize(
    "between",
    [
        ["Unavailable"],
        ["Faulted", "Unavailable"],
        [None],
        ["rebooting", ""],
        ["Reserved"],
        ["Unavailable", "Preparing", "Faulted"],
    ],
    ids=str,
)
def test_a_session_is_remembered_until_the_charger_says_available(between: list[str | None]) -> None:
    # It reboots in the session and comes back in Preparing: drivers are sent to a place with a car on the cable.
    seen: dict[str, tuple[ConnectorState, ...]] = {}
    statuses = []
    for status in ("Charging", *between, "Preparing", "Available", "Faulted", "Preparing"):
        one = record(status, station_id="S1", connector_id="1")
        fleet = map_fleet([one], PREPARING_IS_FREE, now=NOW, previous=seen)
        seen = {key: desired.connectors for key, desired in fleet.desired.items()}
        statuses.append(str(fleet.desired["DEABCE1"].status))
    assert statuses[-4:] == ["Occupied", "Available", "OutOfService", "Available"]


def test_a_harmless_fault_that_is_published_as_available_ends_no_session() -> None:
    # The operator overrides Faulted, and the fault in the middle of a session frees the place.
    harmless = msgspec.structs.replace(
        PREPARING_IS_FREE, overrides={"Preparing": Target.AVAILABLE, "Faulted": Target.AVAILABLE}
    )
    before = {"DEABCE1": (ConnectorState("", "Charging", charging=True),)}
    seen = map_fleet([record("Faulted")], harmless, now=NOW, previous=before).desired["DEABCE1"]
    assert (seen.status, seen.connectors[0].charging) == (EvseStatus.AVAILABLE, True)


def test_a_word_of_the_operators_own_that_means_available_ends_the_session() -> None:
    # The backend says "Frei"; the place stays taken for ever after the first session.
    own = msgspec.structs.replace(
        PREPARING_IS_FREE, overrides={"Preparing": Target.AVAILABLE, "Frei": Target.AVAILABLE}
    )
    before = {"DEABCE1": (ConnectorState("", "Charging", charging=True),)}
    seen = map_fleet([record("Frei")], own, now=NOW, previous=before).desired["DEABCE1"]
    assert not seen.connectors[0].charging


def test_an_available_behind_a_lost_connection_ends_the_session() -> None:
    # The last word of the charger was that it is free; Preparing after the connection is back is a new driver.
    before = {"DEABCE1": (ConnectorState("", "Charging", charging=True),)}
    gone = map_fleet([record(connection="Offline")], PREPARING_IS_FREE, now=NOW, previous=before)
    assert not gone.desired["DEABCE1"].connectors[0].charging


def test_the_memory_of_one_connector_does_not_speak_for_another() -> None:
    # With two connectors a free one stays taken for ever after the other has charged.
    before = {"DEABCE1": (ConnectorState("S1/2", "Charging", charging=True),)}
    one = record("Preparing", station_id="S1", connector_id="1")
    fleet = map_fleet([one], PREPARING_IS_FREE, now=NOW, previous=before)
    assert fleet.desired["DEABCE1"].status is EvseStatus.AVAILABLE


def test_connectors_are_remembered_one_by_one_and_sorted() -> None:
    # After a restart the ledger cannot tell which connector was charging.
    desired = only(
        record("Available", station_id="S1", connector_id="2"),
        record("SuspendedEV", station_id="S1", connector_id="1"),
        record("Available", station_id="S1", connector_id="0"),
    )
    assert desired.connectors == (
        ConnectorState("S1/1", "SuspendedEV", charging=True),
        ConnectorState("S1/2", "Available", charging=False),
    )


def test_an_offline_charger_still_remembers_its_session() -> None:
    # A short loss of connection ends the memory: Preparing after it shows a taken place as free.
    desired = only(record("Charging", connection="Offline"))
    assert desired.status is EvseStatus.UNKNOWN
    assert desired.connectors == (ConnectorState("", "Charging", charging=True),)


def test_a_disabled_station_still_remembers_its_session() -> None:
    # As above: the station's column decides, the connector's session goes on.
    disabled = record("Charging", vocabulary="greenflux", station_status="Disabled")
    assert only(disabled).status is EvseStatus.OUT_OF_SERVICE
    assert only(disabled).connectors == (ConnectorState("", "Charging", charging=True),)


def test_an_unmapped_value_is_counted_per_record_and_marks_its_evse() -> None:
    # The mass guard (P4) and the log see no wrong vocabulary.
    fleet = map_fleet(
        [record("Free", evse_id=f"DE*ABC*E{number}", origin=f"line {number}") for number in range(3)],
        RULES,
        now=NOW,
    )
    assert [(one.vocabulary, one.value, one.count) for one in fleet.unmapped] == [("ocpp1.6", "Free", 3)]
    assert {desired.cause for desired in fleet.desired.values()} == {Cause.UNMAPPED}


def test_a_rejected_record_says_where_it_stands() -> None:
    # Nobody finds the bad row among ten thousand.
    (rejected,) = map_fleet([record(evse_id="E 1", origin="line 17")], RULES, now=NOW).rejected
    assert (rejected.evse_id, rejected.origin) == ("E 1", "line 17")


def test_the_time_of_the_newest_connector_is_the_time_of_the_evse() -> None:
    # The lag shown to the operator (P7) is measured from a change long past.
    desired = only(
        record(connector_id="1", updated_at=NOW - 500), record(connector_id="2", updated_at=NOW - 5)
    )
    assert desired.source_time == NOW - 5


def test_a_time_that_is_not_a_number_is_no_time() -> None:
    # One NaN in an export makes the choice between duplicates depend on their order.
    rows = [record("Faulted", updated_at=float("nan")), record("Charging", updated_at=NOW)]
    assert only(*rows) == only(*rows[::-1])
    assert only(*rows).status is EvseStatus.OUT_OF_SERVICE


def test_a_default_vocabulary_that_does_not_exist_is_a_configuration_error() -> None:
    # A misspelt setting turns the whole fleet Unknown instead of stopping at the start.
    with pytest.raises(ConfigurationError, match=r"did you mean 'ocpp1\.6'.*ocpi, ocpp1\.5, ocpp1\.6"):
        map_fleet([], msgspec.structs.replace(RULES, vocabulary="OCPP1.6J"), now=NOW)


@pytest.mark.parametrize("name", vocabulary_names())
def test_every_row_says_why_and_where_from(name: str) -> None:
    # Nobody can judge or dispute a mapping without its reason.
    vocabulary = load_vocabulary(name)
    said = [(row.why, row.source) for row in vocabulary.values.values()]
    said += [(rule.why, rule.source) for rule in vocabulary.columns]
    assert all(why.endswith(".") and len(source) > 8 for why, source in said)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ('target = "Free"', "value 'A'.*Free"),
        ('target = "available"', "value 'A'.*available"),
        ("", "value 'A'.*target"),
        ('target = "Available"\ntraget = "x"', "value 'A'.*traget"),
        ("target = ", "Invalid value"),
    ],
)
def test_a_vocabulary_with_a_bad_row_is_refused_and_the_row_is_named(row: str, named: str) -> None:
    # A target Hubject does not know is found by Hubject, in production, one 400 per push.
    text = f'title = "T"\nlevel = "evse"\n[values.A]\nwhy = "W."\nsource = "S"\n{row}\n'
    with pytest.raises(ConfigurationError, match=named):
        read_vocabulary("mine", text)


def test_the_time_of_the_last_change_is_no_sign_of_life() -> None:
    # A backend that restamps every record keeps the last state of dead chargers on the map.
    restamped = record(last_heartbeat=NOW - 86_400, updated_at=NOW)
    assert (only(restamped).status, only(restamped).cause) == (EvseStatus.UNKNOWN, Cause.STALE)
