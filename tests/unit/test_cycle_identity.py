"""Whose a record is, over many cycles: two chargers with one id, records without ids, stations without EVSEs."""

from __future__ import annotations

from typing import Any

import pytest

from oicp_adapter.core.model import Cause, EvseStatus, Flaw, SourceRecord
from oicp_adapter.core.records import Presence
from tests.fakes.answers import APPLIED_LATE, IN_DOUBT
from tests.fakes.operator import Choices, Operator, key, wire

TEMPLATE = "DE*ABC*E{station_id}*{connector_id}"
DAY = 86_400.0


def row(station: str, connector: str = "", status: str = "AVAILABLE", /, **more: Any) -> SourceRecord:
    """A record that names no EVSE."""
    return SourceRecord(
        station_id=station, connector_id=connector, status=status, origin=f"{station}-{connector}", **more
    )


def named(name: str, status: str = "AVAILABLE", /, **more: Any) -> SourceRecord:
    return SourceRecord(evse_id=wire(name), status=status, origin=name, **more)


CLASH = [row("1", "11", "CHARGING"), row("11", "1", "AVAILABLE")]
"""Both are E111."""
OTHERS = [row(str(number), "1") for number in range(20, 30)]


def operator(*records: SourceRecord, **choices: Any) -> Operator:
    made = Operator(Choices(template=TEMPLATE, **choices))
    made.source.records = list(records)
    return made


def told(made: Operator, event: str) -> int:
    return len(made.lines.of(event))


# two chargers, one identity


def test_two_chargers_with_one_id_are_not_inserted_and_the_others_are() -> None:
    # A driver is sent to a charger in use, because its neighbour's status was published for it.
    made = operator(*CLASH, *OTHERS)
    for job in (made.delta, made.reconcile, made.full):
        report = job(after=61)
        assert report.exit_code == 0
        assert (report.rejected, len(report.warnings)) == (1, 1)
        assert set(made.holds()) == {f"E{number}*1" for number in range(20, 30)}
    assert report.full_load == "applied"
    text, fix = report.warnings[0]
    assert "station 1, connector 11 (1-11); station 11, connector 1 (11-1)" in text
    assert "evse_id_template" in fix


def test_one_that_hubject_shows_becomes_unknown_and_comes_back_when_the_other_goes() -> None:
    # It stays Available for good: the last thing one of the two said.
    made = operator(CLASH[1], *OTHERS)
    assert made.delta().exit_code == 0
    assert made.holds()["E11*1"] == "Available"
    made.source.records = [*CLASH, *OTHERS]
    made.forget()
    assert made.delta(after=10).exit_code == 0
    assert made.sent() == ["update E11*1=Unknown"]
    held = made.row("E111")
    assert (held.cause, held.flaw) == (Cause.UNMAPPED, Flaw.AMBIGUOUS)
    assert made.full(after=DAY).full_load == "applied"
    assert made.holds()["E11*1"] == "Unknown"
    assert [made.delta(after=61).exit_code, made.reconcile(after=61).pushed] == [0, 0]
    made.source.records = [CLASH[0], *OTHERS]
    made.delta(after=10)
    assert made.holds()["E11*1"] == "Occupied"
    assert (made.row("E111").flaw, made.state.notices) == (Flaw.NONE, {})


def test_one_that_waits_for_its_first_push_is_not_inserted_any_more() -> None:
    # Hubject was away when it appeared; by now two chargers claim it, and the old wish is still carried out.
    made = operator(*OTHERS)
    made.delta()
    made.source.records = [CLASH[1], *OTHERS]
    made.hub.script = [IN_DOUBT]
    made.delta(after=10)
    made.source.records = [*CLASH, *OTHERS]
    for _ in range(4):
        made.delta(after=61)
    assert "E11*1" not in made.holds()
    after = made.row("E111")
    assert (after.presence, after.in_doubt_since, after.changed_at) == (Presence.ABSENT, None, None)


def test_one_whose_insert_was_applied_without_an_answer_becomes_unknown() -> None:
    # As above, and Hubject has it: it stays Available for good.
    made = operator(*OTHERS)
    made.delta()
    made.source.records = [CLASH[1], *OTHERS]
    made.hub.script = [APPLIED_LATE]
    made.delta(after=10)
    made.source.records = [*CLASH, *OTHERS]
    for _ in range(3):
        made.delta(after=61)
    assert made.holds()["E11*1"] == "Unknown"


@pytest.mark.parametrize("there", [True, False])
def test_while_the_baseline_is_unknown_it_is_tried_with_an_update_and_never_inserted(there: bool) -> None:
    # Held since before us it stays Available; not held, the trial puts it on the map or the full load does.
    made = operator(*CLASH, *OTHERS, baseline="", first_full_load="automatic")
    if there:
        made.preload({"E1*11": "Available"})
    made.full()
    made.delta(after=10)
    made.full(after=61)
    assert all(not sent.startswith("insert") or "=Unknown" not in sent for sent in made.sent())
    assert made.state.baseline == "automatic"
    assert made.holds().get("E1*11") == ("Unknown" if there else None)
    assert len(made.holds()) == (11 if there else 10)


def test_one_that_hubject_holds_as_gone_is_not_brought_back() -> None:
    # Two chargers claim an EVSE that left the map last week, and it returns as Unknown.
    made = operator(CLASH[1], *OTHERS)
    made.delta()
    made.source.records = [row("11", "1", "REMOVED"), *OTHERS]
    made.delta(after=10)
    made.source.records = [*CLASH, *OTHERS]
    made.delta(after=61)
    assert made.holds()["E11*1"] == "EvseNotFound"
    assert made.full(after=DAY).full_load == "applied"
    assert "E11*1" not in made.holds()


def test_claimants_that_agree_are_published_and_told_once_then_daily() -> None:
    # An export that writes one charger in two ways loses it; or the log is flooded; or nobody hears of it.
    made = Operator()
    made.source.records = [named("E1*11", "CHARGING"), named("E11*1", "CHARGING"), named("E2")]
    for _ in range(3):
        report = made.delta(after=10)
        assert (report.exit_code, report.rejected, len(report.warnings)) == (0, 0, 1)
    assert (made.holds(), told(made, "mapping.ambiguous")) == ({"E1*11": "Occupied", "E2": "Available"}, 1)
    assert "E1*11 (E1*11); written DE*ABC*E11*1 (E11*1); they agree" in next(
        notice.text for name, notice in made.state.notices.items() if name == "mapping.ambiguous"
    )
    made.delta(after=DAY)
    assert told(made, "mapping.ambiguous") == 2
    assert told(made, "mapping.spelling") == 0


def test_another_spelling_in_the_next_read_is_the_same_charger() -> None:
    # The backend is updated and writes ids without separators: the whole fleet turns Unknown.
    made = Operator()
    made.published({"E1*1": "AVAILABLE"})
    made.source.records = [SourceRecord(evse_id="DEABCE11", status="CHARGING")]
    report = made.delta(after=10)
    assert (report.warnings, made.holds()) == ([], {"E1*1": "Occupied"})
    assert told(made, "mapping.spelling") == 1


# records without an id: the EVSE at their address is not gone


def fleet(count: int) -> list[SourceRecord]:
    """E1 … at stations of their own; E7 is connector 1 of station S7."""
    return [named(f"E{number}", station_id=f"S{number}", connector_id="1") for number in range(1, count + 1)]


def junk(*stations: str) -> list[SourceRecord]:
    """Rows that have lost their ids."""
    return [row(station, "1") for station in stations]


def lets_go(made: Operator, *records: SourceRecord) -> Any:
    """Two reads in which EVSEs are missing, far enough apart; the second one's report."""
    made.source.records = list(records)
    made.delta(after=10)
    return made.delta(after=61)


def shown(made: Operator) -> set[str]:
    return {name for name, status in made.holds().items() if status != "EvseNotFound"}


def test_a_row_without_an_id_keeps_the_evse_at_its_address_and_no_other() -> None:
    # Two rows lose their ids on the day on which a site is closed: the site stays on the map, or the two leave it.
    made = Operator()
    made.source.records = fleet(100)
    made.delta()
    report = lets_go(made, *fleet(93), *junk("S99", "S100"))
    assert ([refusal.guard.value for refusal in report.refusals], report.withheld) == (
        ["unusable_records"],
        2,
    )
    assert set(made.row("E99").withheld.split()) == {"unusable_records"}
    assert made.full(after=10).full_load == "applied"
    assert shown(made) == {f"E{number}" for number in (*range(1, 94), 99, 100)}


def test_the_address_survives_a_restart_and_a_row_of_the_whole_station_counts_for_all_of_it() -> None:
    # The daemon is updated in the night in which the export loses its ids.
    made = Operator(Choices(vocabulary="ocpp1.6"))
    made.source.records = [
        named(f"E{number}", "Available", station_id=f"S{number // 2}", connector_id=str(number % 2 + 1))
        for number in range(40)
    ]
    made.delta()
    made.start()
    report = lets_go(made, *made.source.records[:36], row("S18", "0", "Available"))
    assert report.withheld == 2
    assert shown(made) == {f"E{number}" for number in (*range(36), 36, 37)}


def test_a_location_and_uid_are_an_address() -> None:
    # OCPI has no connector status: all EVSEs of a location would be kept by one row, or none.
    made = Operator()
    made.source.records = [
        named(f"E{number}", station_id="LOC", evse_number=f"u{number}") for number in range(1, 41)
    ]
    made.delta()
    lost = SourceRecord(station_id="LOC", evse_number="u40", status="AVAILABLE")
    assert lets_go(made, *made.source.records[:38], lost).withheld == 1
    assert shown(made) == {f"E{number}" for number in (*range(1, 39), 40)}


def test_an_evse_of_a_station_vocabulary_is_kept_by_its_stations_row() -> None:
    # Chargefox: the station is the EVSE. Its row loses the id, and nothing was remembered of where it stood.
    made = Operator(Choices(vocabulary="chargefox"))
    made.source.records = [
        named(f"E{number}", "Available", station_id=f"S{number}") for number in range(1, 41)
    ]
    made.delta()
    kept = SourceRecord(station_id="S40", status="Available", origin="line 41")
    report = lets_go(made, *made.source.records[:39], kept)
    assert (report.withheld, report.rejected) == (1, 1)
    assert len(shown(made)) == 40


def test_when_the_row_goes_too_the_evse_is_missing_from_then_on() -> None:
    # It waited under the guard for a day; the first read without the row, perhaps a bad one, lets it go at once.
    made = Operator()
    made.source.records = fleet(40)
    made.delta()
    for _ in range(3):
        lets_go(made, *fleet(39), *junk("S40"))
    assert made.row("E40").flaw is Flaw.UNUSABLE
    made.source.records = fleet(39)
    made.delta(after=61)
    assert (made.row("E40").flaw, "E40" in shown(made)) == (Flaw.NONE, True)
    made.delta(after=61)
    assert "E40" not in shown(made)


def test_two_junk_rows_do_not_withhold_hundreds_of_removals_and_it_is_said() -> None:
    # A region is sold; two rows of rubbish, added on the same day, keep all of it on the map.
    made = Operator()
    made.source.records = fleet(5000)
    made.delta()
    report = lets_go(made, *fleet(4574), *junk("T1", "T2"))
    assert (report.exit_code, report.withheld, len(shown(made))) == (0, 0, 4574)
    assert report.warnings[0][0].startswith("2 records without a usable EvseID")
    assert told(made, "guard.let_pass") == 1


@pytest.mark.parametrize(("strangers", "withheld"), [(4, 0), (5, 426)])
def test_one_in_a_hundred_withholds_all_and_fewer_none(strangers: int, withheld: int) -> None:
    # The limit is not where it is said to be.
    made = Operator()
    made.source.records = fleet(5000)
    made.delta()
    report = lets_go(made, *fleet(4574), *junk(*(f"T{number}" for number in range(strangers))))
    assert report.withheld == withheld


def test_rows_at_known_addresses_are_not_strangers_and_are_not_counted_as_missing() -> None:
    # Five rows that are known for whose they are make 98 removals look like more than a hundred, and they pass.
    made = Operator()
    made.source.records = fleet(2000)
    made.delta()
    lost = junk(*(f"S{number}" for number in range(1996, 2001)))
    report = lets_go(made, *fleet(1897), *lost, *junk("T1"))
    assert (report.withheld, report.warnings) == (103, [])
    assert len(shown(made)) == 2000


def test_what_is_withheld_goes_on_saying_what_the_source_says_once_the_id_is_back() -> None:
    # The row is repaired, and the charger keeps the status it had before.
    made = Operator()
    made.source.records = fleet(40)
    made.delta()
    lets_go(made, *fleet(39), *junk("S40"))
    made.source.records = [*fleet(39), named("E40", "CHARGING", station_id="S40", connector_id="1")]
    assert made.delta(after=10).exit_code == 0
    assert made.holds()["E40"] == "Occupied"
    assert made.row("E40").flaw is Flaw.NONE


def test_a_row_outside_the_prefixes_stands_for_its_own_evse_only() -> None:
    # A foreign charger moves into an address: the one that stood there before is taken for unusable, not for gone.
    made = Operator()
    made.source.records = fleet(40)
    made.delta()
    foreign = SourceRecord(evse_id="DE*XYZ*E1", station_id="S40", connector_id="1", status="AVAILABLE")
    assert lets_go(made, *fleet(39), foreign).withheld == 0
    assert "E40" not in shown(made)


def test_a_file_of_stations_only_publishes_nothing_and_lists_each() -> None:
    # "nothing to publish", exit 0: nobody learns that a column is missing.
    made = Operator(Choices(vocabulary="chargefox"))
    made.source.records = [row(f"S{number}") for number in range(6)]
    assert made.delta().rejected == 6
    assert made.holds() == {}


def test_stations_that_lose_their_evses_keep_them() -> None:
    # Only the rows of the stations are left in the export: no row has lost an id, and the fleet leaves the map.
    made = Operator(Choices(vocabulary="chargefox-connector"))
    evses = [
        named(f"E{number}", "Available", station_id=f"S{number}", connector_id="1") for number in range(20)
    ]
    stations = [
        SourceRecord(station_id=f"S{number}", status="Available", vocabulary="chargefox")
        for number in range(20)
    ]
    made.source.records = evses + stations
    made.delta()
    assert lets_go(made, *evses[:17], *stations).withheld == 3
    assert len(shown(made)) == 20
    assert made.row("E19").status is EvseStatus.AVAILABLE
    assert key("E19") == "DEABCE19"


def test_hubject_lost_it_and_an_update_refused_is_not_made_an_insert() -> None:
    # Somebody deletes it at Hubject; the update to Unknown is refused, and the other action puts it on the map.
    made = operator(CLASH[1], *OTHERS)
    made.delta()
    del made.hub.held[wire("E11*1")]
    made.source.records = [*CLASH, *OTHERS]
    made.forget()
    for _ in range(3):
        made.delta(after=61)
    assert not any(sent.startswith("insert") for sent in made.sent())
    assert "E11*1" not in made.holds()
