"""A change of the word that was seen between two reads is a sign of life of that station, at that moment."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.heard import Heard
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import SourceRecord
from oicp_adapter.core.vocabulary import Target

NOW = 1_800_000_000.0
RULES = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))


def row(status: str | None, **more: Any) -> SourceRecord:
    given: dict[str, Any] = {"evse_id": "DE*ABC*E1", "last_heartbeat": NOW - 7200.0} | more
    return SourceRecord(status=status, **given)


def statuses(*reads: tuple[float, list[SourceRecord]], rules: MappingRules = RULES) -> list[str]:
    heard = Heard(rules)
    return [
        str(map_fleet(rows, rules, now=NOW + at, heard=heard).desired["DEABCE1"].status) for at, rows in reads
    ]


@pytest.mark.parametrize("station", [None, "S1"])
def test_a_charger_that_has_just_reported_is_alive_until_it_is_silent_again(station: str | None) -> None:
    # SteVe's heartbeat moves with Heartbeat only, which a charger may skip while it says something else.
    free, busy = row("Available", station_id=station), row("Charging", station_id=station)
    assert statuses((0, [free]), (60, [busy]), (2700, [busy]), (2800, [busy])) == [
        "Unknown",
        "Occupied",
        "Occupied",
        "Unknown",
    ]


def test_it_is_a_sign_of_the_whole_station() -> None:
    one = row("Available", station_id="S1", connector_id="1")
    other = row("Available", station_id="S1", connector_id="2", evse_id="DE*ABC*E2")
    busy = msgspec.structs.replace(other, status="Charging")
    assert statuses((0, [one, other]), (60, [one, busy])) == ["Unknown", "Available"]


@pytest.mark.parametrize("word", ["Offline", "kaputt", None])
def test_a_change_to_an_offline_or_unknown_word_is_none(word: str | None) -> None:
    # The backend writes it because the charger is gone.
    assert statuses((0, [row("Charging")]), (60, [row(word)])) == ["Unknown", "Unknown"]
    rules = msgspec.structs.replace(RULES, overrides={"Offline": Target.OUT_OF_SERVICE})
    assert statuses((0, [row("Charging")]), (60, [row("Offline")]), rules=rules) == ["Unknown", "Unknown"]


def test_other_rows_a_first_sight_and_a_long_gap_are_no_change() -> None:
    # Two rows of one connector in another order; an EVSE that is new; hours in which it may have died.
    rows = [row("Available"), row("Charging")]
    assert statuses((0, rows), (60, rows[::-1])) == ["Unknown", "Unknown"]
    assert statuses((0, [row("Available", evse_id="DE*ABC*E1")]), (10_000, [row("Charging")]))[1] == "Unknown"


def test_it_does_not_outvote_a_connection_that_is_offline() -> None:
    assert statuses((0, [row("Available")]), (60, [row("Charging", connection="false")]))[1] == "Unknown"


def test_a_charger_without_any_time_is_not_offline_when_its_change_is_long_ago() -> None:
    # What was seen is forgotten; it does not become the only, old sign of life.
    free, busy = row("Available", last_heartbeat=None), row("Charging", last_heartbeat=None)
    assert statuses((0, [free]), (60, [busy]), (20_000, [busy])) == ["Available", "Occupied", "Occupied"]
