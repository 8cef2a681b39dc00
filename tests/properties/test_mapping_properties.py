"""The mapping over arbitrary dirty snapshots: total, independent of order, stable."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import EvseStatus, SourceRecord
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target, load_vocabulary, vocabulary_names

NOW = 1_800_000_000.0

# Few different things, so that they meet: same EVSEs, stations, connectors and times again and again.
times = st.sampled_from([None, NOW, NOW - 60, NOW - 10_000, NOW + 60, NOW + 10_000])
words = sorted({value for name in vocabulary_names() for value in load_vocabulary(name).values})
records = st.builds(
    SourceRecord,
    evse_id=st.sampled_from([None, "DE*ABC*E1", "DEABCE1", "DE*ABC*E2", "DE*XYZ*E1", "rubbish"]),
    station_id=st.sampled_from([None, "", "S1", "S2"]),
    evse_number=st.sampled_from([None, None, "0", "1"]),
    connector_id=st.sampled_from([None, "0", "1", "2"]),
    status=st.sampled_from([None, "", "Kaputt", *words]),
    vocabulary=st.sampled_from([None, None, *vocabulary_names(), "no such"]),
    updated_at=times,
    last_heartbeat=times,
    last_seen=st.sampled_from([None, None, NOW - 60]),
    connection=st.sampled_from([None, None, "Online", "Offline", ""]),
    lifecycle=st.sampled_from([None, None, "Production", "Stock"]),
    station_status=st.sampled_from([None, None, "Enabled", "Faulted"]),
    charging=st.sampled_from([None, "Yes", "No"]),
    error_code=st.sampled_from([None, "WeakSignal"]),
    vendor=st.sampled_from([None, None, "A", "B"]),
)
own_rules = st.builds(
    OverrideRule,
    name=st.sampled_from(["one", "two"]),
    to=st.sampled_from(Target),
    values=st.sampled_from([(), ("Faulted", "")]),
    columns=st.sampled_from(
        [(), (("error_code", ("WeakSignal",)),), (("vendor", ("A",)),), (("connector_id", ("0", "1")),)]
    ),
    evse_ids=st.sampled_from([(), (parse_evse_pattern("DE*ABC*E1"),)]),
)
fleets = st.lists(records, max_size=7)
rule_sets = st.builds(
    MappingRules,
    vocabulary=st.sampled_from(vocabulary_names()),
    prefixes=st.just((parse_prefix("DE*ABC"),)),
    overrides=st.dictionaries(
        st.sampled_from(["Preparing", "Faulted", "BLOCKED", ""]), st.sampled_from(Target)
    ),
    rules=st.lists(own_rules, max_size=2).map(tuple),
    reserved=st.sampled_from([EvseStatus.OCCUPIED, EvseStatus.RESERVED]),
    evse_id_template=st.sampled_from(
        [
            None,
            "DE*ABC*E{station_id}*{connector_id}",
            "DE*ABC*E{station_id}*{evse_number}",
            "DE*ABC*E{station_id}",
        ]
    ),
    offline_out_of_service_after=st.sampled_from([None, 5000.0]),
    stale_after=st.sampled_from([None, 900.0]),
)


@settings(max_examples=300, deadline=None)
@given(fleets, rule_sets, st.data())
def test_the_order_of_the_rows_does_not_matter(
    fleet: list[SourceRecord], rules: MappingRules, data: st.DataObject
) -> None:
    # A backend that returns its rows in another order makes statuses flap, each flap pushed to every driver.
    shuffled = data.draw(st.permutations(fleet))
    assert map_fleet(shuffled, rules, now=NOW) == map_fleet(fleet, rules, now=NOW)


@settings(max_examples=300, deadline=None)
@given(fleets, rule_sets)
def test_every_record_ends_up_somewhere_and_every_status_is_one_of_oicps(
    fleet: list[SourceRecord], rules: MappingRules
) -> None:
    # A record that vanishes silently is taken for a removed EVSE; a made-up status is refused by Hubject.
    mapped = map_fleet(fleet, rules, now=NOW)
    for key, desired in mapped.desired.items():
        assert desired.key == key
        assert desired.status is None or desired.status in set(EvseStatus)
        assert desired.status is not EvseStatus.RESERVED or rules.reserved is EvseStatus.RESERVED
        assert desired.rule
        assert desired.value
    for record in fleet:
        alone = map_fleet([record], rules, now=NOW)
        assert set(alone.desired) <= set(mapped.desired)
        assert alone.desired or alone.rejected
        about_a_station_only = (
            record.station_id and not record.evse_id
        )  # it is the station's, once that has an EVSE
        assert about_a_station_only or set(alone.rejected) <= set(mapped.rejected)


@settings(max_examples=200, deadline=None)
@given(fleets, rule_sets)
def test_reading_the_same_fleet_again_changes_nothing(fleet: list[SourceRecord], rules: MappingRules) -> None:
    # A rule text or a remembered state that drifts writes history, and pushes, with every cycle.
    first = map_fleet(fleet, rules, now=NOW)
    remembered = {key: desired.connectors for key, desired in first.desired.items()}
    assert map_fleet(fleet, rules, now=NOW, previous=remembered) == first


@settings(max_examples=200, deadline=None)
@given(fleets, rule_sets)
def test_the_same_row_twice_changes_no_status(fleet: list[SourceRecord], rules: MappingRules) -> None:
    # An export joined once too often doubles every row.
    once, twice = map_fleet(fleet, rules, now=NOW), map_fleet(fleet + fleet, rules, now=NOW)
    assert twice.desired == once.desired


@settings(max_examples=200, deadline=None)
@given(fleets, records, rule_sets)
def test_another_stations_record_never_touches_an_evse(
    fleet: list[SourceRecord], other: SourceRecord, rules: MappingRules
) -> None:
    # One charger's fault or silence published for its neighbour.
    stranger = SourceRecord(
        evse_id="DE*ABC*E9",
        station_id="S9",
        connector_id=other.connector_id,
        status=other.status,
        connection="Offline",
        last_heartbeat=NOW - 100_000,
    )
    alone, together = map_fleet(fleet, rules, now=NOW), map_fleet([*fleet, stranger], rules, now=NOW)
    assert {key: together.desired[key] for key in alone.desired} == alone.desired


tables_only = rule_sets.map(lambda rules: msgspec.structs.replace(rules, rules=()))
"""Without the operator's own rules, which may say what an EVSE is, whatever it reports."""


def _available(fleet: list[SourceRecord], rules: MappingRules) -> set[str]:
    mapped = map_fleet(fleet, rules, now=NOW)
    return {key for key, desired in mapped.desired.items() if desired.status is EvseStatus.AVAILABLE}


def _unreadable(record: SourceRecord, *columns: str) -> SourceRecord:
    return msgspec.structs.replace(
        record, **dict.fromkeys(columns), unread=tuple((column, "29.02.2025 25:61") for column in columns)
    )


@settings(max_examples=100, deadline=None)
@given(fleets, tables_only)
def test_nothing_is_available_where_no_time_that_counts_can_be_read(
    fleet: list[SourceRecord], rules: MappingRules
) -> None:
    # A dead fleet whose heartbeat was rewritten in German notation comes back as free.
    silent = [_unreadable(record, "last_heartbeat", "last_seen") for record in fleet]
    assert not _available(silent, rules)
    rules = msgspec.structs.replace(rules, stale_after=900.0)
    assert not _available([_unreadable(record, "updated_at") for record in fleet], rules)


@settings(max_examples=100, deadline=None)
@given(st.lists(records, min_size=1, max_size=7), tables_only, st.data())
def test_one_time_that_cannot_be_read_makes_nothing_available(
    fleet: list[SourceRecord], rules: MappingRules, data: st.DataObject
) -> None:
    # It says as little as an empty cell, and never more.
    column = data.draw(st.sampled_from(["updated_at", "last_heartbeat", "last_seen"]))
    at = data.draw(st.integers(0, len(fleet) - 1))
    before, one, after = fleet[:at], fleet[at], fleet[at + 1 :]
    empty = msgspec.structs.replace(one, **{column: None})
    dirty = _unreadable(one, column)
    assert _available([*before, dirty, *after], rules) <= _available([*before, empty, *after], rules)


@pytest.mark.parametrize("column", ["status", "connection", "station_status", "lifecycle", "publish"])
@settings(max_examples=100, deadline=None)
@given(fleets, tables_only, st.sampled_from(["Kaputt", "vielleicht", "!Kaputt", "0x1"]))
def test_nothing_is_available_where_nobody_knows_the_words_of_a_column(
    column: str, fleet: list[SourceRecord], rules: MappingRules, word: str
) -> None:
    # A backend's update renames its words, and every broken charger is free. (`charging` is asked only where the
    # status says nothing.)
    rules = msgspec.structs.replace(rules, configured=(column,))
    assert not _available([msgspec.structs.replace(record, **{column: word}) for record in fleet], rules)


@pytest.mark.parametrize(
    "column", ["status", "connection", "station_status", "lifecycle", "charging", "publish"]
)
@settings(max_examples=60, deadline=None)
@given(st.lists(records, min_size=1, max_size=7), tables_only, st.data())
def test_a_word_that_nobody_knows_makes_nothing_available(
    column: str, fleet: list[SourceRecord], rules: MappingRules, data: st.DataObject
) -> None:
    # Beside other rows, connectors and stations, too: it says as little as an empty cell, and never more.
    rules = msgspec.structs.replace(rules, configured=(column,))
    at = data.draw(st.integers(0, len(fleet) - 1))
    word = data.draw(st.sampled_from(["Kaputt", "vielleicht", "!Kaputt", "0x1"]))
    before, one, after = fleet[:at], fleet[at], fleet[at + 1 :]
    empty = msgspec.structs.replace(one, **{column: None})
    dirty = msgspec.structs.replace(one, **{column: word})
    assert _available([*before, dirty, *after], rules) <= _available([*before, empty, *after], rules)


one_charger = st.lists(
    st.builds(
        SourceRecord,
        evse_id=st.sampled_from(["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]),
        station_id=st.just("S1"),
        status=st.sampled_from(["Available", "Charging", "Faulted", "Kaputt"]),
        vocabulary=st.just("ocpp1.6"),
        last_heartbeat=times,
        publish=st.sampled_from([None, None, "Kaputt"]),
    ),
    min_size=2,
    max_size=5,
)


@pytest.mark.parametrize("shared", ["station", (parse_evse_pattern("DE*ABC*%"),)], ids=["station", "pattern"])
@settings(max_examples=100, deadline=None)
@given(fleet=one_charger, rules=rule_sets)
def test_evses_that_share_a_charger_are_never_more_available_for_it(
    shared: object, fleet: list[SourceRecord], rules: MappingRules
) -> None:
    # A setting against double promises that frees what is broken or silent.
    alone = map_fleet(fleet, rules, now=NOW).desired
    joined = map_fleet(fleet, msgspec.structs.replace(rules, shared=shared), now=NOW).desired
    assert joined.keys() == alone.keys()
    for key, before in alone.items():
        after = joined[key]
        if after.status is not before.status:
            assert (before.status, after.status) == (EvseStatus.AVAILABLE, EvseStatus.OCCUPIED)
        elif after.fallback is not before.fallback:
            assert (before.fallback, after.fallback) == (EvseStatus.AVAILABLE, EvseStatus.OCCUPIED)
