"""The scenario tables of tests/scenarios/mapping_*.yaml, each row both ways round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_evse_id, parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Cause, ConnectorState, Desired, Flaw, MappedFleet, SourceRecord
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target, load_vocabulary, vocabulary_names

SCENARIOS = Path(__file__).parent.parent / "scenarios"
VALUES: dict[str, dict[str, str]] = yaml.safe_load((SCENARIOS / "mapping_values.yaml").read_text("utf-8"))
SITUATIONS: list[dict[str, Any]] = yaml.safe_load((SCENARIOS / "mapping_rules.yaml").read_text("utf-8"))
NOW = 1_800_000_000.0
TIMES = ("updated_at", "last_heartbeat", "last_seen")
DURATIONS = ("stale_after", "offline_out_of_service_after")


def key(evse_id: str) -> str:
    return parse_evse_id(evse_id).key


def published(desired: Desired) -> str:
    return "not published" if desired.status is None else str(desired.status)


def rules_of(situation: dict[str, Any]) -> MappingRules:
    raw = dict(situation.get("rules", {}))
    raw |= {name: raw[name] * 60 for name in DURATIONS if name in raw}
    given = {"vocabulary": situation.get("vocabulary", "ocpp1.6"), **raw}
    own = tuple(rule_of(name, rule) for name, rule in given.pop("rules", {}).items())
    rules = msgspec.convert({"prefixes": [], **given}, MappingRules)
    return msgspec.structs.replace(rules, prefixes=(parse_prefix("DE*ABC"),), rules=own)


def rule_of(name: str, raw: dict[str, Any]) -> OverrideRule:
    patterns = tuple(parse_evse_pattern(text) for text in raw.get("evse_ids", ()))
    given: dict[str, Any] = raw | {"evse_ids": patterns, "to": Target(raw["to"])}
    shorthands = {"error_codes": "error_code", "vendors": "vendor", "models": "model"}
    given["columns"] = tuple(
        (column, tuple(given.pop(short))) for short, column in shorthands.items() if short in given
    )
    assert set(given) <= set(OverrideRule.__struct_fields__), "a misspelt condition would match everything"
    return OverrideRule(name=name, **given)


def record_of(row: dict[str, Any]) -> SourceRecord:
    assert set(row) <= set(SourceRecord.__struct_fields__), "a misspelt column would test nothing"
    times = {name: NOW - row[name] * 60 for name in TIMES if name in row}
    return msgspec.convert(row | times, SourceRecord)


def run(situation: dict[str, Any], *, backwards: bool) -> MappedFleet:
    records = [record_of(row) for row in situation["records"]]
    before = {
        key(evse): tuple(msgspec.convert(state, ConnectorState) for state in states)
        for evse, states in situation.get("before", {}).items()
    }
    return map_fleet(records[::-1] if backwards else records, rules_of(situation), now=NOW, previous=before)


@pytest.mark.parametrize("vocabulary", vocabulary_names())
def test_every_row_of_a_vocabulary_has_a_scenario_and_no_scenario_is_without_a_row(vocabulary: str) -> None:
    # A row added or lost without anybody stating what drivers should see.
    assert set(VALUES[vocabulary]) == set(load_vocabulary(vocabulary).values)


@pytest.mark.parametrize(
    ("vocabulary", "value"), [(v, value) for v, rows in VALUES.items() for value in rows]
)
def test_a_value_becomes_what_the_table_says(vocabulary: str, value: str) -> None:
    # Every driver of this vocabulary is sent to, or kept away from, the wrong chargers.
    fleet = run(
        {"vocabulary": vocabulary, "records": [{"evse_id": "DE*ABC*E1", "status": value}]}, backwards=False
    )
    (desired,) = fleet.desired.values()
    assert published(desired) == VALUES[vocabulary][value]
    assert desired.rule == f"{vocabulary} {value}"
    assert desired.value == value
    assert desired.cause is Cause.REPORTED
    assert fleet.unmapped == ()


@pytest.mark.parametrize("backwards", [False, True], ids=["as written", "backwards"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=[one["about"] for one in SITUATIONS])
def test_a_situation_in_the_field(situation: dict[str, Any], backwards: bool) -> None:
    # What breaks is said by the scenario's name; backwards, because no export promises an order.
    fleet = run(situation, backwards=backwards)

    expected = {key(evse): wanted for evse, wanted in situation["expect"].items()}
    assert set(fleet.desired) == set(expected)
    for evse, wanted in expected.items():
        status, rule = wanted if isinstance(wanted, list) else (wanted, fleet.desired[evse].rule)
        assert (published(fleet.desired[evse]), fleet.desired[evse].rule) == (status, rule)
    assert {desired.wire_id for desired in fleet.desired.values()} == set(situation["expect"])

    stale = {evse for evse, desired in fleet.desired.items() if desired.cause is Cause.STALE}
    assert stale == {key(evse) for evse in situation.get("stale", [])}

    parts = situation.get("rejected", [])
    assert len(fleet.rejected) == len(parts)
    assert all(any(part in one.reason for one in fleet.rejected) for part in parts)

    hints = {one.value: one.hint for one in fleet.unmapped}
    assert set(hints) == set(situation.get("unmapped", {}))
    assert all(part in hints[value] for value, part in situation.get("unmapped", {}).items())
    assert fleet.duplicates == situation.get("duplicates", 0)

    doubtful = situation.get("ambiguous", [])
    assert len(fleet.ambiguous) == len(doubtful)
    assert all(any(part in one.text for one in fleet.ambiguous) for part in doubtful)
    unsure = {evse for evse, one in fleet.desired.items() if one.flaw is Flaw.AMBIGUOUS}
    assert unsure == {key(evse) for evse in situation.get("unsure", [])}
