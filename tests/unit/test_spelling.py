"""EvseIDs with other separators: what is replaced, what is only suggested, what a person may write."""

from __future__ import annotations

import pytest

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Flaw, MappedFleet, SourceRecord
from oicp_adapter.core.spelling import near, replacing, setting, suggested, understood

NOW = 1_800_000_000.0
OWN = (parse_prefix("DE*ABC"), parse_prefix("+49*123"))


def mapped(*records: SourceRecord, replace: dict[str, str], template: str | None = None) -> MappedFleet:
    rules = MappingRules(
        vocabulary="ocpp1.6",
        prefixes=OWN,
        evse_id_replace=replace,
        evse_id_template=template,
    )
    return map_fleet(records, rules, now=NOW)


def named(evse_id: str, status: str = "Available") -> SourceRecord:
    return SourceRecord(evse_id=evse_id, status=status)


def test_all_is_replaced_at_once_and_the_longest_first() -> None:
    # "-" becomes "*" and then nothing: one result is replaced again, and the order of the settings decides.
    change = replacing({"-": "*", "*": "", "--": "E", "x": "-"})
    assert change("DE*ABC--1-2x") == "DEABCE1*2-"
    assert replacing({})("DE-ABC") == "DE-ABC"
    assert replacing({".": "*"})("DE-ABC.E1") == "DE-ABC*E1"  # no pattern: a dot is a dot


@pytest.mark.parametrize(
    ("written", "replace", "wire"),
    [
        ("DE-ABC-E041503003", {"-": "*"}, "DE*ABC*E041503003"),
        ("DE.ABC.E12*1", {".": "*"}, "DE*ABC*E12*1"),
        ("DE ABC E13", {" ": "*"}, "DE*ABC*E13"),
        ("de_abc_e9_1", {"_": "*"}, "DE*ABC*E9*1"),
        ("DE*ABC*E1/2", {"/": "*"}, "DE*ABC*E1*2"),
        ("DE - ABC - E1", {" ": "", "-": "*"}, "DE*ABC*E1"),
        ("D-E-A-B-C-E1", {"-": ""}, "DEABCE1"),
        ("+49-123-456-7", {"-": "*"}, "+49*123*456*7"),
    ],
)
def test_a_refused_id_that_would_be_one_is_told_with_the_setting(
    written: str, replace: dict[str, str], wire: str
) -> None:
    # "not an EvseID" for a whole fleet, and nobody says that hyphens are the reason.
    meant = suggested(written, OWN)
    assert meant is not None
    assert (meant.replace, meant.wire) == (replace, wire)
    (rejected,) = mapped(named(written), replace={}).rejected
    assert rejected.reason.endswith(f"; with {setting([meant])} it is {wire}")
    assert [one.wire_id for one in mapped(named(written), replace=replace).desired.values()] == [wire]


@pytest.mark.parametrize(
    "written",
    ["ZAPFSAEULE 7", "charger 7", "NL-ABC-E1", "-", "DE*ABC*E1\\2", "DE-ABC-", "", "DE-ABC-E" + "1" * 40],
)
def test_what_would_be_none_even_so_is_not_suggested(written: str) -> None:
    # A setting that is tried and does not help.
    assert suggested(written, OWN) is None


def test_a_valid_id_needs_no_suggestion() -> None:
    # "with source.evse_id_replace = { }" under every foreign prefix.
    assert suggested("DE*ABC*E1", OWN) is None


def test_the_parts_of_the_template_are_cleaned_and_its_own_text_is_not() -> None:
    # A station "CP 1-A" cannot be said; or the template's own letters are replaced with the station's.
    record = SourceRecord(station_id="CP 1-A", connector_id="E2", status="Available")
    fleet = mapped(
        record, replace={" ": "", "-": "", "E": "9"}, template="DE*ABC*E{station_id}*{connector_id}"
    )
    assert [one.wire_id for one in fleet.desired.values()] == ["DE*ABC*ECP1A*92"]


def test_an_id_of_which_nothing_is_left_is_refused_and_not_made() -> None:
    # Two rows with "-" for an id get one from the template, and count as written alike.
    rows = [
        SourceRecord(evse_id="-", station_id=station, connector_id=connector, status="Available")
        for station, connector in (("1", "11"), ("11", "1"))
    ]
    fleet = mapped(*rows, replace={"-": ""}, template="DE*ABC*E{station_id}*{connector_id}")
    assert (fleet.desired, len(fleet.rejected)) == ({}, 2)


def test_two_ids_that_are_one_after_the_replacement_are_told_and_not_published() -> None:
    # E1-11 and E11-1 were two ids in the backend; without their hyphens one charger's status is the other's.
    fleet = mapped(named("DE*ABC*E1-11", "Charging"), named("DE*ABC*E11-1"), replace={"-": ""})
    assert [one.flaw for one in fleet.desired.values()] == [Flaw.AMBIGUOUS]
    assert "written DE*ABC*E1-11" in fleet.ambiguous[0].text
    same = mapped(named("DE-ABC-E1", "Charging"), named("DE-ABC-E1", "Charging"), replace={"-": "*"})
    assert same.ambiguous == ()
    stations = (
        SourceRecord(station_id="1-1", connector_id="1", status="Available"),
        SourceRecord(station_id="11", connector_id="1", status="Charging"),
    )
    made = mapped(*stations, replace={"-": ""}, template="DE*ABC*E{station_id}*{connector_id}")
    assert "station 1-1, connector 1" in made.ambiguous[0].text


def test_a_person_may_write_it_in_any_of_these_ways() -> None:
    # At 03:00 an id is copied from a portal that writes hyphens.
    for text in ("DE*ABC*E1*2", "de-abc-e1-2", "DE ABC E1 2", "DEABCE12", "DE.ABC.E1/2"):
        evse = understood(text, OWN)
        assert evse is not None
        assert evse.key == "DEABCE12"
    assert understood("rubbish", OWN) is None


def test_near_misses_are_offered_nearest_first_and_strangers_are_not() -> None:
    # A digit is lost on the telephone, and the answer is "nothing is known".
    known = ["DE*ABC*E1001*1", "DE*ABC*E1002*1", "DE*ABC*E7", "NL*XYZ*E1001*1"]
    assert "DE*ABC*E1001*1" in near("DE-ABC-E1001-2", known)
    assert near("DE*ABC*E101*1", known)[:1] == ["DE*ABC*E1001*1"]
    assert near("FR*ABC*E1001*1", known) == []


def test_one_setting_is_suggested_for_all_of_them() -> None:
    # Three settings in three lines, of which only the last one counts.
    assert setting(suggested(one, OWN) for one in ("DE-ABC-E1", "DE.ABC.E2", "DE*ABC*E3", "?")) == (
        'source.evse_id_replace = { "-" = "*", "." = "*" }'
    )
    assert setting([]) == ""
