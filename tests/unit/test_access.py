"""What is not for the public is not published; and what nobody can read of that withdraws nothing and shows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Cause, Desired, EvseStatus, Flaw, MappedFleet, SourceRecord
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.sources.file import FileOptions, FileSource
from tests.fakes.operator import Choices, Operator, wire

NOW = 1_800_000_000.0
RULES = MappingRules(vocabulary="ocpi", prefixes=(parse_prefix("DE*ABC"),))
LONG = 4_000.0


def mapped(*records: SourceRecord, **rules: Any) -> MappedFleet:
    return map_fleet(records, msgspec.structs.replace(RULES, **rules), now=NOW)


def only(*records: SourceRecord, **rules: Any) -> Desired:
    (desired,) = mapped(*records, **rules).desired.values()
    return desired


def record(status: str = "AVAILABLE", **more: Any) -> SourceRecord:
    return SourceRecord(evse_id="DE*ABC*E1", status=status, **more)


def read(tmp_path: Path, name: str, text: str, **options: Any) -> MappedFleet:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = FileSource(FileOptions(path=path, **options)).read(NOW)
    assert found.complete, found.problems
    return mapped(*found.records)


def shown(fleet: MappedFleet) -> dict[str, str]:
    return {one.wire_id.removeprefix("DE*ABC*"): one.status or one.rule for one in fleet.desired.values()}


# words


@pytest.mark.parametrize("word", ["false", "FALSE", "f", "no", "No", "n", "off", "0", " false ", "!true"])
def test_what_is_not_published_in_any_spelling_is_not_published(word: str) -> None:
    # A company's own yard is on every map, because its backend writes "0" for false.
    desired = only(record(publish=word))
    assert desired.status is None
    assert desired.rule == f"not public: publish is {word.strip()}"


@pytest.mark.parametrize("word", [None, "", " ", "true", "T", "yes", "Y", "on", "1", "!false"])
def test_what_may_be_published_is_published(word: str | None) -> None:
    # A flag that says yes, or a backend without one, takes chargers off the map.
    assert only(record(publish=word)).status is EvseStatus.AVAILABLE


def test_one_connector_or_the_station_speaks_for_the_whole_evse() -> None:
    # The public connector of a private charger is shown.
    connectors = [
        record("Available", station_id="S", connector_id="1"),
        record("Available", station_id="S", connector_id="2", publish="no"),
    ]
    assert only(*connectors, vocabulary="ocpp1.6").status is None
    whole = SourceRecord(station_id="S", connector_id="0", status="Available", publish="false")
    assert only(connectors[0], whole, vocabulary="ocpp1.6").rule == "not public: publish is false"


def test_a_rule_of_the_operator_does_not_bring_a_private_charger_to_the_map() -> None:
    # A rule for a whole site publishes the company's own chargers on it.
    rule = OverrideRule(name="site", to=Target.OUT_OF_SERVICE, evse_ids=(parse_evse_pattern("DE*ABC*E%"),))
    assert only(record(publish="false"), rules=(rule,)).status is None


def test_what_is_gone_as_well_loses_to_the_same_evse_somewhere_else() -> None:
    # A charger that moved from a private site to a public one stands in both Locations.
    there = record("CHARGING", publish="true", station_id="new")
    assert only(record(publish="false", station_id="old"), there).status is EvseStatus.OCCUPIED


def test_a_silent_private_charger_stays_private() -> None:
    # When its heartbeat stops it appears on the map as Unknown.
    assert only(record(publish="false", last_seen=NOW - 9_000)).status is None


# who may see it, and who may park


@pytest.mark.parametrize("text", ["contract-7", '[{"uid": "7"}]', "A, B"])
def test_a_list_of_who_may_see_it_is_not_the_public(text: str) -> None:
    # A charger for residents only is shown to everybody.
    desired = only(record(publish="true", publish_allowed_to=text))
    assert (desired.status, desired.rule) == (None, "not public: publish_allowed_to names who may see it")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[{}]", "false", "0"])
def test_an_empty_list_keeps_nobody_out(text: str) -> None:
    # Every exporter that writes empty lists loses its whole fleet.
    assert only(record(publish_allowed_to=text)).status is EvseStatus.AVAILABLE


@pytest.mark.parametrize(
    "text", ["CUSTOMERS", "customers", "EV_ONLY,CUSTOMERS", '["EV_ONLY","CUSTOMERS"]', "{PLUGGED;CUSTOMERS}"]
)
def test_restricted_parking_counts_where_the_vocabulary_or_a_setting_says_so(text: str) -> None:
    # GreenFlux says that drivers must not see it; elsewhere 5 % of all public chargers would vanish.
    free = record("Available", parking_restrictions=text)
    hidden = only(free, vocabulary="greenflux")
    assert (hidden.status, hidden.rule) == (None, "not public: parking_restrictions has CUSTOMERS")
    assert only(free, vocabulary="greenflux", restricted_parking=()).status is EvseStatus.AVAILABLE
    assert only(free, vocabulary="ocpp1.6").status is EvseStatus.AVAILABLE
    assert only(free, vocabulary="ocpp1.6", restricted_parking=("Customers",)).status is None
    other = record("Available", parking_restrictions="NOT_FOR_CUSTOMERS")
    assert only(other, vocabulary="greenflux").status is EvseStatus.AVAILABLE


def test_the_fleet_tells_how_many_are_kept_from_the_public_and_why() -> None:
    # A site that is missing on the map is looked for at Hubject for a day.
    fleet = mapped(record(publish="no"), SourceRecord(evse_id="DE*ABC*E2", status="AVAILABLE"))
    (remark,) = fleet.remarks[1:]
    assert remark.text == "1 EVSEs are not published: not public: publish is no"
    assert "source.fields.publish" in remark.fix


# a word that nobody can read


def test_a_word_that_is_neither_yes_nor_no_is_unmapped_and_what_can_be_read_stays_known() -> None:
    # "nein" publishes a private charger, or "ja" withdraws a public one.
    fleet = mapped(record("CHARGING", publish="nein"))
    (desired,) = fleet.desired.values()
    assert (desired.status, desired.cause, desired.flaw) == (EvseStatus.UNKNOWN, Cause.UNMAPPED, Flaw.UNSURE)
    assert desired.fallback is EvseStatus.OCCUPIED
    (unmapped,) = fleet.unmapped
    assert (unmapped.column, unmapped.value, unmapped.count) == ("publish", "nein", 1)
    assert 'publish = ""' in unmapped.hint


@pytest.mark.parametrize("status", ["REMOVED", "PLANNED"])
def test_what_is_gone_or_not_there_yet_is_not_brought_back_by_an_unreadable_word(status: str) -> None:
    # A demolished charger returns to the map as Unknown.
    assert only(record(status, publish="perhaps")).status in (None, EvseStatus.EVSE_NOT_FOUND)


def test_an_unreadable_word_of_the_whole_station_is_about_all_of_it() -> None:
    # The connector beside it says nothing of who may see it, and is published.
    whole = SourceRecord(station_id="S", connector_id="0", status="Available", publish="teils")
    desired = only(record("Available", station_id="S", connector_id="1"), whole, vocabulary="ocpp1.6")
    assert (desired.status, desired.flaw) == (EvseStatus.UNKNOWN, Flaw.UNSURE)


def test_an_unreadable_word_shows_nothing_newly_and_withdraws_nothing() -> None:
    # A new column in an export empties the map, or fills it with private chargers.
    operator = Operator(Choices())
    names = [f"E{number}" for number in range(1, 13)]
    operator.published(dict.fromkeys(names, "AVAILABLE"))
    operator.source.records = [
        *(SourceRecord(evse_id=wire(name), status="AVAILABLE") for name in names[1:]),
        SourceRecord(evse_id=wire(names[0]), status="AVAILABLE", publish="nee"),
        SourceRecord(evse_id=wire("E99"), status="AVAILABLE", publish="nee"),
    ]
    for job in (operator.delta, operator.reconcile, operator.full):
        job(after=61)
    assert operator.holds() == dict.fromkeys(names, "Available") | {"E1": "Unknown"}


def test_a_fleet_of_unreadable_words_is_a_mass_and_what_can_be_read_flows() -> None:
    # The export changes its language over night, and the whole map turns Unknown.
    operator = Operator(Choices())
    names = [f"E{number}" for number in range(1, 13)]
    operator.published(dict.fromkeys(names, "AVAILABLE"))
    operator.source.records = [
        SourceRecord(evse_id=wire(name), status="CHARGING" if name == "E1" else "AVAILABLE", publish="oui")
        for name in names
    ]
    report = operator.delta(after=10)
    assert [refusal.guard for refusal in report.refusals] == ["mass_unknown"]
    assert operator.holds() == dict.fromkeys(names, "Available") | {"E1": "Occupied"}


def test_private_now_is_a_withdrawal_that_names_its_rule_and_the_guard_counts_it() -> None:
    # A mistake in one column takes a fleet off the map without a person.
    operator = Operator(Choices())
    names = [f"E{number}" for number in range(1, 31)]
    operator.published(dict.fromkeys(names, "AVAILABLE"))

    def private(count: int) -> None:
        operator.source.records = [
            SourceRecord(evse_id=wire(name), status="AVAILABLE", publish="no" if at < count else "yes")
            for at, name in enumerate(names)
        ]

    private(2)
    operator.delta()
    operator.delta(after=LONG)
    assert sorted(name for name, status in operator.holds().items() if status == "EvseNotFound") == [
        "E1",
        "E2",
    ]
    private(20)
    operator.delta(after=10)
    report = operator.delta(after=LONG)
    assert [refusal.guard for refusal in report.refusals] == ["withdrawal"]
    assert sum(status == "EvseNotFound" for status in operator.holds().values()) == 2


# sources


def test_a_location_speaks_for_all_its_evses(tmp_path: Path) -> None:
    # `publish` stands on the Location, where no EVSE has it.
    text = """{"data": [
      {"id": "L1", "publish": false, "evses": [{"uid": "1", "evse_id": "DE*ABC*E1", "status": "CHARGING"},
                                               {"uid": "2", "evse_id": "DE*ABC*E2", "status": "AVAILABLE"}]},
      {"id": "L2", "publish": true, "publish_allowed_to": [{"uid": "0102", "type": "RFID"}],
       "evses": [{"uid": "3", "evse_id": "DE*ABC*E3", "status": "AVAILABLE"}]},
      {"id": "L3", "publish": "False", "publish_allowed_to": [],
       "evses": [{"uid": "4", "evse_id": "DE*ABC*E4", "status": "AVAILABLE"}]},
      {"id": "L4", "publish": null, "publish_allowed_to": [], "evses": [
        {"uid": "5", "evse_id": "DE*ABC*E5", "status": "AVAILABLE", "parking_restrictions": ["CUSTOMERS"]}]}
    ], "status_code": 1000}"""
    fleet = read(tmp_path, "f.json", text, format="ocpi-locations")
    assert shown(fleet) == {
        "E1": "not public: publish is false",
        "E2": "not public: publish is false",
        "E3": "not public: publish_allowed_to names who may see it",
        "E4": "not public: publish is False",
        "E5": "Available",
    }
    unread = read(tmp_path, "f.json", text, format="ocpi-locations", fields={"publish": ""})
    assert shown(unread)["E1"] == "Occupied"


def test_flat_files_have_the_same_columns_whatever_stands_in_them(tmp_path: Path) -> None:
    # A list where a text is expected spoils every record, and nothing is published any more.
    text = """[{"evse_id": "DE*ABC*E1", "status": "AVAILABLE", "publish": false},
      {"evse_id": "DE*ABC*E2", "status": "AVAILABLE", "publish": 0},
      {"evse_id": "DE*ABC*E3", "status": "AVAILABLE", "publish_allowed_to": [{"uid": "7"}]},
      {"evse_id": "DE*ABC*E4", "status": "AVAILABLE", "publish_allowed_to": [], "parking_restrictions": ["EV_ONLY"]},
      {"evse_id": "DE*ABC*E5", "status": "AVAILABLE", "publish": {"from": "2030"}, "info": {"fw": ["1", "2"]}},
      {"evse_id": "DE*ABC*E6", "status": "AVAILABLE", "info": "Modbus lost\\nsafe mode", "vendor_error_code": [7]}]"""
    expected = {
        "E1": "not public: publish is false",
        "E2": "not public: publish is 0",
        "E3": "not public: publish_allowed_to names who may see it",
        "E4": "Available",
        "E5": "Unknown",
        "E6": "Available",
    }
    assert shown(read(tmp_path, "f.json", text)) == expected
    nested = f'{{"a": [{{"b": {text}}}]}}'
    assert shown(read(tmp_path, "n.json", nested, records="a[].b[]")) == expected
    csv = 'evse_id,status,publish,info\nDE*ABC*E1,AVAILABLE,FALSE,\nDE*ABC*E2,AVAILABLE,,"Modbus lost\nsafe mode"\n'
    assert shown(read(tmp_path, "f.csv", csv)) == {"E1": "not public: publish is FALSE", "E2": "Available"}
