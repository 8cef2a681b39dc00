"""EVSEs that share one charger, and rules about other columns than the status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, explain_fleet, map_fleet
from oicp_adapter.core.model import Cause, EvseStatus, SourceRecord
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target

NOW = 1_800_000_000.0
RULES = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))
SHARED = msgspec.structs.replace(RULES, shared="station")


def record(name: str, status: str, station: str = "S1", **more: Any) -> SourceRecord:
    return SourceRecord(
        evse_id=f"DE*ABC*{name}" if name else None,
        station_id=station,
        connector_id=more.pop("connector", name[1:]),
        status=status,
        **more,
    )


def statuses(*records: SourceRecord, rules: MappingRules = SHARED) -> dict[str, str]:
    fleets = [map_fleet(given, rules, now=NOW) for given in (records, records[::-1])]
    assert fleets[0].desired == fleets[1].desired, "the order of rows decides"
    return {
        key.removeprefix("DEABC"): one.status or "not published" for key, one in fleets[0].desired.items()
    }


# shared


def test_while_one_is_in_use_the_free_ones_of_its_charger_are_taken() -> None:
    # A driver waits before the second plug of a charger that serves one car.
    fleet = [record("E1", "Charging"), record("E2", "Available"), record("E3", "Faulted")]
    other = record("E4", "Available", "S2")
    assert statuses(*fleet, other) == {
        "E1": "Occupied",
        "E2": "Occupied",
        "E3": "OutOfService",
        "E4": "Available",
    }
    assert statuses(*fleet, rules=RULES)["E2"] == "Available", "off by default"


def test_the_rule_names_the_evse_that_is_in_use() -> None:
    # "Occupied, ocpp1.6 Available" is no explanation.
    records = [record("E3", "Charging"), record("E1", "Finishing"), record("E2", "Available")]
    fleet, explained = explain_fleet(records, SHARED, now=NOW)
    assert fleet.desired["DEABCE2"].rule == "shares its charger with DE*ABC*E1, which is in use"
    assert explained["DEABCE2"].rule.setting == "mapping.shared"
    assert "in use" in explained["DEABCE2"].why


def test_what_is_silent_reserved_or_broken_takes_nobody_elses_place() -> None:
    # A dead charger's last state keeps its living neighbour off the map.
    for status, more in (("Charging", {"last_seen": NOW - 9_000}), ("Reserved", {}), ("Faulted", {})):
        free = record("E2", "Available", last_seen=NOW)
        whole = (
            SHARED if status != "Charging" else msgspec.structs.replace(SHARED, shared=pattern("DE*ABC*E%"))
        )
        station = "S9" if status == "Charging" else "S1"
        assert statuses(record("E1", status, station, **more), free, rules=whole)["E2"] == "Available"


def test_being_taken_is_not_handed_on() -> None:
    # E1 and E2 share, E2 and E3 share: E3 is free while E1 is in use.
    rules = msgspec.structs.replace(RULES, shared=(*pattern("DE*ABC*E1%"), *pattern("DE*ABC*E%2")))
    fleet = [record("E11", "Charging"), record("E12", "Available"), record("E32", "Available")]
    assert statuses(*fleet, rules=rules) == {"E11": "Occupied", "E12": "Occupied", "E32": "Available"}


def test_a_private_neighbour_in_use_takes_the_place_too() -> None:
    # It is on no map, but its car stands there.
    fleet = [record("E1", "Charging", publish="false"), record("E2", "Available")]
    assert statuses(*fleet) == {"E1": "not published", "E2": "Occupied"}


def test_what_can_be_read_of_a_free_neighbour_that_nobody_can_read_is_no_longer_available() -> None:
    # While the mass guard holds Unknown back, the neighbour's Available would stay on the map.
    records = [record("E1", "Charging"), record("E2", "Available", publish="peut-être")]
    desired = map_fleet(records, SHARED, now=NOW).desired["DEABCE2"]
    assert (desired.status, desired.cause, desired.fallback) == (
        EvseStatus.UNKNOWN,
        Cause.UNMAPPED,
        EvseStatus.OCCUPIED,
    )


def test_a_setting_that_joins_no_two_evses_is_told() -> None:
    # Without a column for the station nothing is shared, and nobody notices.
    lonely = [SourceRecord(evse_id="DE*ABC*E1", status="Charging"), record("E2", "Available")]
    (remark,) = [one for one in map_fleet(lonely, SHARED, now=NOW).remarks if "shared" in one.text]
    assert remark.amiss
    both = map_fleet([record("E1", "Charging"), record("E2", "Available")], SHARED, now=NOW)
    assert not [one for one in both.remarks if "shared" in one.text]


def pattern(text: str) -> Any:
    return (parse_evse_pattern(text),)


# rules about other columns


def ruled(to: Target, *columns: tuple[str, str], value: str = "Faulted") -> MappingRules:
    rule = OverrideRule(
        name="one",
        to=to,
        values=(value,) if value else (),
        columns=tuple((at, (text,)) for at, text in columns),
    )
    return msgspec.structs.replace(RULES, rules=(rule,))


def test_a_word_of_connector_0_is_read_otherwise_than_that_of_another_one() -> None:
    # The station says "safe mode" and charges on; the same words of connector 2 are a real fault.
    fleet = [
        record("", "Faulted", connector="0", vendor="Alfen BV"),
        record("E1", "Charging", connector="1", vendor="Alfen BV"),
        record("E2", "Faulted", connector="2", vendor="Alfen BV"),
    ]
    rules = ruled(Target.AVAILABLE, ("connector_id", "0"), ("vendor", "alfen bv"))
    assert statuses(*fleet, rules=rules) == {"E1": "Occupied", "E2": "OutOfService"}


@pytest.mark.parametrize(
    ("column", "wanted", "said", "matches"),
    [
        ("info", "%safe mode%", "Modbus lost, Safe Mode since boot", True),
        ("info", "safe mode", "Modbus lost, safe mode", False),
        ("vendor_error_code", "0x2F%", "0x2f01", True),
        ("vendor_error_code", "210", "2100", False),
        ("vendor_error_code", "2.0", "210", False),
        ("parking_restrictions", "%plugged%", "EV_ONLY, PLUGGED", True),
        ("info", "", None, True),
    ],
)
def test_any_column_can_be_matched(column: str, wanted: str, said: str | None, matches: bool) -> None:
    # The code that tells a harmless fault from a real one stands in a column that no rule can name.
    rules = ruled(Target.AVAILABLE, (column, wanted))
    expected = "Available" if matches else "OutOfService"
    told: dict[str, Any] = {column: said}
    assert statuses(record("E1", "Faulted", **told), rules=rules)["E1"] == expected


@pytest.mark.parametrize("column", ["connector_id", "vendor_error_code", "info", "connection"])
def test_a_rule_about_what_is_reported_leaves_an_offline_charger_unknown(column: str) -> None:
    # A rule about an error text publishes chargers that have not been heard from for a day.
    said = "online" if column == "connection" else "7"
    more: dict[str, Any] = {column: said, "last_seen": NOW - 90_000}
    silent = SourceRecord(evse_id="DE*ABC*E1", status="Faulted", **more)
    rules = ruled(Target.OUT_OF_SERVICE, (column, said), value="")
    assert statuses(silent, rules=rules)["E1"] == "Unknown"


def test_a_rule_about_a_station_says_what_its_evses_are() -> None:
    # A building site is OutOfService, offline or not.
    rules = ruled(Target.OUT_OF_SERVICE, ("station_id", "S1"), value="")
    assert statuses(record("E1", "Available", last_seen=NOW - 90_000), rules=rules)["E1"] == "OutOfService"
