"""Trying a mapping: it must show what the daemon will do, and the setting that really changes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_evse_id, parse_prefix
from oicp_adapter.core.mapping import MappingRules, explain_fleet, map_fleet
from oicp_adapter.core.model import EvseStatus, SourceRecord
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.trial import Outcome, attempt, entries, owners, sample_id, without_operator
from oicp_adapter.core.vocabulary import Target, load_vocabulary, vocabulary_names

NOW = 1_800_000_000.0
RULES = MappingRules(
    vocabulary="ocpp1.6",
    prefixes=(parse_prefix("DE*ABC"),),
    overrides={"Preparing": Target.AVAILABLE, "Out of Order": Target.OUT_OF_SERVICE, "Stored": Target.SKIP},
    rules=(
        OverrideRule(name="site", to=Target.UNKNOWN, evse_ids=(parse_evse_pattern("DE*ABC*E9%"),)),
        OverrideRule(
            name="harmless",
            to=Target.AVAILABLE,
            values=("Faulted",),
            columns=(("error_code", ("WeakSignal",)),),
        ),
    ),
)


def record(**columns: Any) -> SourceRecord:
    return SourceRecord(**{"evse_id": "DE*ABC*E1"} | columns)


def only(*records: SourceRecord, rules: MappingRules = RULES) -> Outcome:
    (outcome,) = attempt(records, rules, now=NOW).outcomes
    return outcome


@pytest.mark.parametrize(
    ("columns", "status", "setting"),
    [
        ({"status": "Charging"}, "Occupied", "mapping.overrides.Charging"),
        ({"status": "Out of Order"}, "OutOfService", 'mapping.overrides."Out of Order"'),
        ({"status": "Stored"}, "not published", "mapping.overrides.Stored"),
        ({"status": "Faulted", "error_code": "WeakSignal"}, "Available", "mapping.rules.harmless"),
        ({"evse_id": "DE*ABC*E99", "status": "Charging"}, "Unknown", "mapping.rules.site"),
        (
            {"status": "Charging", "last_seen": 0.0},
            "Unknown",
            "mapping.heartbeat_interval, mapping.missed_heartbeats",
        ),
        ({"status": "Charging", "connection": "Offline"}, "Unknown", ""),
        (
            {"status": "Charging", "vocabulary": "greenflux", "lifecycle": "Stock"},
            "EvseNotFound",
            "mapping.words.lifecycle.Stock",
        ),
    ],
)
def test_an_outcome_names_the_setting_that_changes_it(
    columns: dict[str, Any], status: str, setting: str
) -> None:
    # A person sets what is without effect, and goes live believing in it.
    outcome = only(record(**columns))
    assert (outcome.status, outcome.setting) == (status, setting)


def test_the_setting_is_the_one_that_decided_whatever_words_stand_in_a_rule() -> None:
    # The person changes a setting that has no effect, and believes the charger is mapped.
    rules = msgspec.structs.replace(
        RULES, overrides={"not charging yet": Target.AVAILABLE, "offline: stale": Target.UNKNOWN}
    )
    for word in rules.overrides:
        assert only(record(status=word), rules=rules).setting == f'mapping.overrides."{word}"'
    assert only(record(status=None)).setting.endswith('mapping.overrides."" = "Unknown"')
    rows = [
        record(connector_id="1", status="Faulted", error_code="WeakSignal"),
        record(connector_id="2", status="Unavailable"),
    ]
    outcome = only(*rows)
    assert (outcome.status, outcome.setting) == ("Available", "mapping.rules.harmless")
    session = only(record(status="Preparing"), rules=msgspec.structs.replace(RULES, overrides={}))
    assert session.setting == "mapping.overrides.Preparing"


def test_a_value_no_table_knows_comes_with_the_setting_that_maps_it() -> None:
    # The newcomer stops here.
    trial = attempt([record(status="Frei")], RULES, now=NOW)
    (outcome,), (unmapped,) = trial.outcomes, trial.unmapped
    assert outcome.status == "Unknown"
    assert outcome.setting == unmapped.hint
    assert 'mapping.overrides."Frei"' in unmapped.hint


def test_outcomes_are_counted_the_most_frequent_first() -> None:
    # What matters about a fleet of 10,000 is at the top.
    fleet = [record(evse_id=f"DE*ABC*E{number}", status="Available") for number in range(3)]
    fleet += [record(evse_id="DE*ABC*E7", status="Charging"), record(evse_id="DE*XYZ*E1", status="Charging")]
    trial = attempt(fleet, RULES, now=NOW)
    assert [(one.status, one.evses) for one in trial.outcomes] == [("Available", 3), ("Occupied", 1)]
    assert (trial.records, trial.evses, trial.statuses) == (5, 4, {"Available": 3, "Occupied": 1})
    assert [one.evse_id for one in trial.rejected] == ["DE*XYZ*E1"]


def test_a_trial_maps_as_the_daemon_does() -> None:
    # Two ways to map, of which people see the one that is not used.
    fleet = [
        record(status="Charging", station_id="S", connector_id="1"),
        record(status="Available", station_id="S", connector_id="2"),
        record(evse_id="DE*ABC*E2", status="Available", connection="Offline"),
        record(evse_id="E 2", status="Available"),
    ]
    mapped, explained = explain_fleet(fleet, RULES, now=NOW)
    assert mapped == map_fleet(fleet, RULES, now=NOW)
    assert set(explained) == set(mapped.desired)


@pytest.mark.parametrize("name", vocabulary_names())
def test_every_status_that_a_vocabulary_gives_comes_with_its_sentence(name: str) -> None:
    # `map` shows a rule and leaves the person without the reason.
    rules = msgspec.structs.replace(RULES, vocabulary=name, overrides={}, rules=())
    for value, row in load_vocabulary(name).values.items():
        outcome = only(record(status=value), rules=rules)
        assert (outcome.because, outcome.source) == (row.why, row.source)


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "Kaputt"},
        {"status": "Charging", "connection": "Offline"},
        {"status": "Preparing"},
        {"status": "Faulted", "error_code": "WeakSignal"},
        {"evse_id": "DE*ABC*E9", "status": "Faulted"},
        {"status": "Available", "connector_id": "0"},
        {"status": "Available", "vocabulary": "greenflux", "station_status": "Disabled"},
    ],
)
def test_what_decides_instead_of_a_row_has_a_sentence_too(columns: dict[str, Any]) -> None:
    # As above, for everything that is not in a table.
    assert only(record(**columns)).because.endswith(".")


def test_connectors_that_do_not_agree_have_a_sentence_too() -> None:
    # As above.
    rows = [record(connector_id="1", status="Kaputt"), record(connector_id="2", status="Faulted")]
    assert only(*rows).because.endswith(".")


def test_a_table_is_shown_as_the_settings_leave_it() -> None:
    # The operator checks his overrides against a table without them.
    rules = msgspec.structs.replace(RULES, reserved=EvseStatus.RESERVED)
    shown = {entry.value: (entry.status, entry.rule) for entry in entries("greenflux", rules)}
    assert shown["Preparing"] == ("Available", "override Preparing")
    assert shown["Reserved"] == ("Reserved", "greenflux Reserved")
    assert shown["Stored"] == ("not published", "override Stored")
    assert shown["lifecycle = Stock"] == ("EvseNotFound", "greenflux lifecycle Stock")


def test_without_a_configuration_every_operator_of_the_file_is_accepted() -> None:
    # The first look at one's own export shows nothing but refused EVSEs.
    rules = without_operator("ocpi", ["DE*ABC*E1", None, "nonsense", "deabce2", "+49*123*4*5"])
    assert [prefix.text for prefix in rules.prefixes] == ["49*123", "DE*ABC"]
    template = without_operator("ocpi", [None], template="NL*XYZ*E{station_id}")
    assert [prefix.text for prefix in template.prefixes] == ["NL*XYZ"]


@pytest.mark.parametrize("prefix", ["DE*ABC", "DEABC*E12", "+49*123", "+49*123*4"])
def test_the_id_made_up_for_a_trial_belongs_to_the_operator(prefix: str) -> None:
    # The trial of a bare value ends with "outside of evse_id_prefixes".
    rules = msgspec.structs.replace(RULES, prefixes=(parse_prefix(prefix),))
    assert parse_prefix(prefix).covers(parse_evse_id(sample_id(rules)))


def test_nothing_that_names_an_operator_is_no_operator() -> None:
    # A crash in place of an answer.
    assert owners([None, "", "*"]) == ()
