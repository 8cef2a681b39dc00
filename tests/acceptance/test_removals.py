"""EVSEs that leave the export: really gone, or an export that lost them; a person decides where it matters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from oicp_adapter.simulator import SimulatorOptions
from tests.acceptance.fleet import fleet, lines_of, published, replace, without
from tests.acceptance.house import Ended, House, opened, wait_until

FIFTY = [f"DE*SLB*E{number:04d}*1" for number in range(61, 111)]
OVERRIDE = "oicp-adapter resync slb --allow-withdrawal 50"


def withdrawn(house: House) -> int:
    """How many EVSEs drivers no longer see."""
    return sum(1 for status in house.holds().values() if status == "EvseNotFound")


@pytest.mark.parametrize("baseline", ["adopted", "unknown"])
def test_fifty_evses_that_vanish_are_withheld_until_a_person_allows_it(house: House, baseline: str) -> None:
    # In the field: an export lost a region, and drivers lost fifty working chargers.
    evses = fleet(120)
    house.configure_quick(delivery__missing_after='"500ms"')
    house.published(evses, adopt=baseline == "adopted")
    daemon = house.runs()

    house.exports(without(evses, FIFTY))
    told = daemon.waits_for("guard.refused")
    assert (told["level"], told["guard"], told["withheld"]) == ("error", "withdrawal", 50)
    assert OVERRIDE in told["fix"]

    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(without(evses, FIFTY))
    house.comes_to_hold(published(evses))
    assert withdrawn(house) == 0
    assert len(daemon.lines("guard.refused")) == 1, "an alarm is not repeated in every cycle"

    shown = house.call("status", "slb")
    assert OVERRIDE in shown.out
    assert FIFTY[0] in shown.out
    [withheld] = [house.call("status", "--json").data["slb"]["withheld"]]
    assert set(withheld) == set(FIFTY)

    done = house.call("resync", "slb", "--allow-withdrawal", "50")
    assert done.code == 0, done.said
    left = published(without(evses, FIFTY))
    if baseline == "adopted":
        assert house.holds() == left
        assert "full load applied: 70 records" in done.out
    else:
        assert house.holds() == left | dict.fromkeys(FIFTY, "EvseNotFound")
        assert "50 changes were acknowledged" in done.out
    daemon.waits_for("guard.cleared")
    assert house.call("status", "--json").data["slb"]["withheld"] == {}


def test_the_override_works_by_itself_for_one_run_and_for_no_more_than_it_says(house: House) -> None:
    # In the field: the number typed at 03:00 is from the last alarm, and meanwhile more are missing; and yesterday's
    # override must not let tomorrow's broken export through.
    evses = fleet(100)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    house.exports(without(evses, list(evses)[:30]))
    house.call("sync")
    withheld = house.call("sync")
    assert withheld.code == 3
    assert "--allow-withdrawal 30" in withheld.err

    too_few = house.call("resync", "slb", "--allow-withdrawal", "29")
    assert (too_few.code, house.holds()) == (3, published(evses))
    assert "--allow-withdrawal 30" in too_few.out
    enough = house.call("resync", "slb", "--allow-withdrawal", "30")
    assert enough.code == 0, enough.said
    left = without(evses, list(evses)[:30])
    assert house.holds() == published(left)

    house.exports(without(left, list(left)[:20]))
    house.call("sync")
    assert (house.call("sync").code, house.holds()) == (3, published(left))


def test_a_fleet_that_shrinks_nine_percent_at_a_time_is_stopped_at_the_limit(house: House) -> None:
    # In the field: each single step looks harmless; after a month the map is empty.
    evses = fleet(200)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    daemon = house.runs()
    for _ in range(5):
        evses = without(evses, list(evses)[: len(evses) * 9 // 100])
        house.exports(evses)
        daemon.works()
    daemon.waits_for("guard.refused", guard="withdrawal")
    assert 0 < withdrawn(house) <= 20
    assert len(evses) < 200 * 0.65


def _gone(house: House) -> None:
    house.export.unlink()


def _half(house: House) -> None:
    text = house.export.read_bytes()
    replace(house.export, text[: len(text) // 2])


def _empty(house: House) -> None:
    replace(house.export, b"")


def _no_list(house: House) -> None:
    replace(house.export, b'{"status_code": 3000, "status_message": "try later", "data": []}')


@pytest.mark.parametrize("harm", [_half, _empty, _gone, _no_list], ids=["half", "empty", "gone", "refused"])
def test_a_damaged_export_is_never_an_empty_fleet(house: House, harm: Callable[[House], None]) -> None:
    # In the field: a full disk on the backend's side took every charger off the map.
    evses = fleet(60)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses)
    daemon = house.runs()

    harm(house)
    told = daemon.waits_for("source.failed")
    assert told["level"] == "error"
    assert "fleet.json" in told["text"]
    assert told["fix"]
    daemon.works(2)
    assert (house.requests(), house.holds()) == ([], published(evses))
    alone = _beside_no_daemon(house)
    assert alone.code == 5
    assert "fleet.json" in alone.err
    assert "fix:" in alone.err

    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(evses)
    again = house.run()
    again.waits_for("source.recovered")
    house.comes_to_hold(published(evses))


def _beside_no_daemon(house: House) -> Ended:
    assert house.daemons[-1].ends() == 0, "a source that fails is no reason to end"
    return house.call("sync")


LINES = """
[operators.{name}]
id = "{operator_id}"
name = "{name}"
source = {{{{ type = "file", path = "{name}{suffix}", vocabulary = "ocpi" }}}}
schedule = {{{{ delta = "500ms", reconcile = "60s", full = "03:00" }}}}
"""


@pytest.mark.parametrize(("missing_after", "at_most"), [("60s", 0), ("1ms", 10)])
def test_an_export_cut_between_lines_loses_nobody_at_once_and_few_ever(
    tmp_path: Path, missing_after: str, at_most: int
) -> None:
    # In the field: CSV and NDJSON have no end mark, so a cut between lines looks like a smaller fleet.
    with opened(tmp_path, SimulatorOptions(operators=["DE*CSV", "DE*NDJ"])) as house:
        _cut_line_by_line(house, missing_after=missing_after, at_most=at_most)


def _cut_line_by_line(house: House, *, missing_after: str, at_most: int) -> None:
    fleets = {".csv": ("rows", "DE*CSV"), ".ndjson": ("lines", "DE*NDJ")}
    head = f"""\
[hubject]
base_url = "{{base_url}}"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
missing_after = "{missing_after}"
missing_after_unchanged = "{missing_after}"
"""
    house.configure(
        head
        + "".join(
            LINES.format(name=name, operator_id=operator_id, suffix=suffix)
            for suffix, (name, operator_id) in fleets.items()
        )
    )
    texts = {
        suffix: lines_of(fleet(100, operator=operator_id), suffix=suffix)
        for suffix, (_, operator_id) in fleets.items()
    }

    def cut(lines: int) -> None:
        for suffix, text in texts.items():
            replace(house.place / (fleets[suffix][0] + suffix), "".join(text[:lines]))

    def on_the_map(operator_id: str) -> int:
        held = house.simulator.statuses(operator_id)
        return sum(1 for status in held.values() if status != "EvseNotFound")

    cut(101)
    daemon = house.run()
    for _, operator_id in fleets.values():
        wait_until(partial(lambda of: on_the_map(of) == 100, operator_id), f"{operator_id} is published")
    for lines in range(90, 0, -10) if not at_most else (90, 40, 10):
        cut(lines)
        for suffix, (name, _) in fleets.items():
            daemon.waits_for("delta.done", operator=name, read=lines - (suffix == ".csv"))
        assert all(on_the_map(operator_id) >= 100 - at_most for _, operator_id in fleets.values())
    if at_most:
        for name, _ in fleets.values():
            daemon.waits_for("guard.refused", operator=name)
        assert all(on_the_map(operator_id) >= 100 - at_most for _, operator_id in fleets.values())
