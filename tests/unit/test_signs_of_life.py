"""Is the charger still there? Every combination of two times, with and without a word about the connection."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from oicp_adapter.core.heard import Heard
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import map_fleet
from oicp_adapter.core.model import NEVER, Cause, Desired, MappedFleet, SourceRecord
from oicp_adapter.core.rules import MappingRules

NOW = 1_800_000_000.0
RULES = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))
SIGNS: dict[str, float | str | None] = {
    "fresh": NOW - 60,
    "old": NOW - 3 * 3600,
    "never": NEVER,
    "ahead": NOW + 1800,
    "unreadable": "28.11.2026 14:40",
    "empty": None,
}


def record(number: int = 1, **columns: Any) -> SourceRecord:
    """A record; a time given as text cannot be read."""
    unread = tuple(
        (name, value) for name, value in columns.items() if name in TIMES and isinstance(value, str)
    )
    for name, _ in unread:
        del columns[name]
    members = {"evse_id": f"DE*ABC*E{number}", "status": "Available", "unread": unread}
    return SourceRecord(**(members | columns))


TIMES = ("last_heartbeat", "last_seen", "updated_at")


def mapped(*records: SourceRecord, **rules: Any) -> MappedFleet:
    return map_fleet(records, msgspec.structs.replace(RULES, **rules), now=NOW)


def only(*records: SourceRecord, **rules: Any) -> Desired:
    (found,) = mapped(*records, **rules).desired.values()
    return found


def expected(kinds: set[str]) -> tuple[str, Cause]:
    """The rule in words: one fresh time is enough; what cannot be used is told before what is old."""
    if "fresh" in kinds:
        return "Available", Cause.REPORTED
    if kinds & {"unreadable", "ahead"}:
        return "Unknown", Cause.UNMAPPED
    if kinds & {"old", "never"}:
        return "Unknown", Cause.STALE
    return "Available", Cause.REPORTED


PAIRS = list(itertools.product(SIGNS, SIGNS))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_combination_of_two_times_of_one_record(one: str, other: str) -> None:
    # A heartbeat in German notation kept dead chargers on the map as free.
    found = only(record(last_heartbeat=SIGNS[one], last_seen=SIGNS[other]))
    assert (found.status, found.cause) == expected({one, other})


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_combination_of_the_times_of_two_connectors_of_a_station(one: str, other: str) -> None:
    # A heartbeat belongs to the charger: the one that stands at the other connector counts, too.
    rows = [
        record(number, station_id="S", connector_id=str(number), last_seen=SIGNS[kind])
        for number, kind in enumerate((one, other), 1)
    ]
    for found in mapped(*rows).desired.values():
        assert (found.status, found.cause) == expected({one, other})


@pytest.mark.parametrize("word", ["Online", "true", "t", "1", "yes", "Y", "on", "up", "connected"])
@pytest.mark.parametrize("kind", SIGNS)
def test_online_has_no_age(word: str, kind: str) -> None:
    # The flag stays true after the backend was killed: beside a time that is old it says nothing.
    found = only(record(connection=word, last_seen=SIGNS[kind]))
    assert (found.status, found.cause) == expected({kind})
    if kind == "empty":
        fleet = mapped(record(connection=word), no_sign_of_life="offline")
        assert [one.status for one in fleet.desired.values()] == ["Available"]
        assert fleet.remarks == ()


@pytest.mark.parametrize("kind", SIGNS)
def test_offline_is_not_outvoted_by_any_time(kind: str) -> None:
    # The last heartbeat came a minute before the line was cut.
    assert only(record(connection="Offline", last_seen=SIGNS[kind])).status == "Unknown"


def test_no_sign_of_life_is_no_rule_but_is_told() -> None:
    # A fleet of which no charger can ever be offline looks healthy.
    fleet = mapped(record(1), record(2, last_seen=NOW), record(3))
    assert [one.status for one in fleet.desired.values()] == ["Available"] * 3
    (remark,) = fleet.remarks
    assert remark.text == "2 EVSEs give no sign of life and are never offline"
    assert remark.amiss
    assert "no_sign_of_life" in remark.fix
    silent = mapped(record(1), record(2, last_seen=NOW), no_sign_of_life="offline")
    assert [one.status for one in silent.desired.values()] == ["Unknown", "Available"]


def test_a_silent_charger_is_out_of_service_after_the_second_threshold_only_where_its_time_is_known() -> None:
    # "Never", "unreadable" and "ahead" do not say for how long.
    for kind, value in SIGNS.items():
        found = only(record(last_seen=value), offline_out_of_service_after=3600.0)
        assert found.status == ("OutOfService" if kind == "old" else expected({kind})[0])


@pytest.mark.parametrize("kind", SIGNS)
def test_the_time_of_the_last_change_ages_nothing_unless_a_setting_reads_it(kind: str) -> None:
    # A quiet charger is not a dead one; with stale_after set, what cannot be read is not fresh.
    row = record(updated_at=SIGNS[kind], last_seen=NOW)
    assert only(row).status == "Available"
    found = only(row, stale_after=3600.0)
    assert (found.status, found.cause) == expected({kind})
    sign = only(record(updated_at=SIGNS[kind]), signs_of_life=("updated_at",))
    assert (sign.status, sign.cause) == expected({kind})


def test_a_status_that_just_changed_is_a_sign_of_life_where_the_settings_say_so() -> None:
    # SteVe's heartbeat only moves with heartbeats; the charger reported Charging a minute ago.
    row = record(status="Charging", updated_at=NOW - 60, last_heartbeat=NOW - 7200)
    assert only(row).status == "Unknown"
    signs = ("last_heartbeat", "last_seen", "updated_at")
    assert only(row, signs_of_life=signs).status == "Occupied"


def test_times_that_cannot_be_used_are_counted_with_the_setting_that_mends_them() -> None:
    # The person sees Unknown, and not that one setting would mend all of it.
    unread = mapped(*(record(n, last_seen="28.11.2026 14:40") for n in range(3)))
    (told,) = unread.unmapped
    assert (told.value, told.count) == ("last_seen cannot be read", 3)
    assert "28.11.2026 14:40" in told.hint
    assert "source.time_format" in told.hint
    ahead = mapped(*(record(n, last_seen=NOW + 3600 - 10 * n) for n in range(10)))
    (told,) = ahead.unmapped
    assert (told.value, told.count) == ("last_seen lies more than 5 min ahead", 10)
    assert "source.time_zone" in told.hint


@pytest.mark.parametrize(
    ("hours", "text"), [(2, "2 h ahead"), (-2, "2 h in the past"), (-5.5, "5.5 h in the past")]
)
def test_clocks_that_are_wrong_alike_name_the_zone(hours: float, text: str) -> None:
    # Local time read as UTC: dead chargers stay free for two hours, or the whole fleet is offline.
    fleet = mapped(*(record(n, last_seen=NOW + hours * 3600 - 20 * n) for n in range(40)))
    (remark,) = fleet.remarks
    assert text in remark.text
    assert "source.time_zone" in remark.fix


def test_a_fleet_that_is_dead_names_no_zone() -> None:
    # A backend that stopped at night is no wrong clock: its times spread.
    fleet = mapped(*(record(n, last_seen=NOW - 7200 - 1200 * n) for n in range(40)))
    assert fleet.remarks == ()


def test_a_word_that_we_saw_change_is_not_a_time_that_the_source_gives() -> None:
    # "Some EVSEs give no sign of life" is said of a source that gives none at all, after its first change.
    heard, rows = Heard(RULES), [record(number, station_id=f"S{number}") for number in range(3)]
    map_fleet(rows, RULES, now=NOW - 10, heard=heard)
    rows[0] = record(0, station_id="S0", status="Charging")
    fleet = map_fleet(rows, RULES, now=NOW, heard=heard)
    (remark,) = fleet.remarks
    assert not remark.amiss
    assert remark.text == "3 EVSEs give no sign of life and are never offline"
