"""An export that has lost its records is never an empty fleet, and nothing that is printed would empty the map."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from tests.acceptance.fleet import fleet, published, replace, without
from tests.acceptance.house import House

READY = re.compile(r"--(adopt|allow-withdrawal) +\d")
"""A command that can be copied as it is."""
SECTION = "Emptying the map on purpose"


def says(house: House, *words: str) -> Result:
    """Run a verb in this process, for speed."""
    done = CliRunner().invoke(app, ["--config", str(house.place / "adapter.toml"), *words])
    assert "Traceback" not in done.output
    return done


def _no_list(house: House) -> None:
    replace(house.export, b"[]")


def _no_data(house: House) -> None:
    replace(house.export, b'{"status_code": 1000, "data": [], "timestamp": "2026-11-20T10:00:00Z"}')


def _foreign(house: House) -> None:
    house.exports({"DE*XYZ*E1*1": "AVAILABLE"})


EMPTY = pytest.mark.parametrize("harm", [_no_list, _no_data, _foreign], ids=["[]", "no data", "foreign row"])


@EMPTY
@pytest.mark.parametrize("size", [1, 5])
def test_an_empty_export_does_not_empty_a_small_fleet(
    house: House, harm: Callable[[House], None], size: int
) -> None:
    # In the field: five chargers, all within "more than 5"; an export without rows takes them off the map, exit 0.
    evses = fleet(size)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    harm(house)
    says(house, "sync")
    for words in (
        ("sync",),
        ("resync", "slb"),
        ("resync", "slb", "--adopt", "0"),
        ("resync", "slb", "--allow-withdrawal", str(size)),
        ("plan",),
    ):
        told = says(house, *words)
        assert told.exit_code == 3, told.output
        assert SECTION in told.output
        assert not READY.search(told.output), told.output
        assert house.holds() == published(evses)
    shown = says(house, "status")
    assert SECTION in shown.output
    assert not READY.search(re.sub(".* audit .*", "", shown.output))
    done = says(house, "resync", "slb", "--allow-withdrawal", str(size), "--empties-the-map")
    assert (done.exit_code, house.holds()) == (0, {}), done.output
    assert "--empties-the-map" in says(house, "status").output, "who did it is in the audit"


HEAD = """\
[hubject]
base_url = "{base_url}"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "1s"
missing_after = "1ms"
missing_after_unchanged = "1ms"

[operators.slb]
id = "DE*SLB"
name = "SWLB"
first_full_load = "automatic"
source = {{ type = "file", path = "fleet.csv", vocabulary = "ocpi" }}
schedule = {{ delta = "500ms", reconcile = "60s", full = "03:00" }}
"""


@pytest.mark.parametrize("mark", ["kept", "lost too", "of an older version"])
@pytest.mark.parametrize("rows", [0, 4])
def test_a_lost_ledger_beside_an_export_of_little_or_nothing_deletes_nothing_by_itself(
    house: House, mark: str, rows: int
) -> None:
    # In the field: the container came back without its ledger while the export held a header and no row:
    # `full load applied: 0 records`, exit 0, and Hubject went from 100 to 0.
    evses = fleet(10)
    house.configure(HEAD)
    lines = ["evse_id,status\n", *(f"{evse_id},AVAILABLE\n" for evse_id in evses)]
    export = house.place / "fleet.csv"
    export.write_text("".join(lines))
    assert says(house, "resync", "slb").exit_code == 0
    assert house.holds() == published(evses)
    house.ledger.unlink()
    [noted] = house.place.glob("ledger.db*.mark")
    if mark == "lost too":
        noted.unlink()
    elif mark == "of an older version":
        noted.write_text(f'{{"{house.simulator.base_url}": 3}}')
    export.write_text("".join(lines[: rows + 1]))
    checked = says(house, "check").output
    assert ("it was lost" in checked) is (mark != "lost too"), checked
    if mark == "lost too" and rows:
        return  # a first run like any other
    for words in (("plan",), ("sync",), ("resync", "slb"), ("resync", "slb", "--adopt", "10")):
        told = says(house, *words)
        assert not READY.search(told.output.replace("--adopt 10,", "")), told.output
        if words[0] == "resync":
            assert told.exit_code == 3
            assert SECTION in told.output or "Adopting the baseline" in told.output
    assert len(house.holds()) == 10
    assert house.requests("fullLoad")[1:] == []


def test_up_to_half_the_command_is_printed_and_beyond_it_is_not(house: House) -> None:
    # At 03:00 somebody copies what the refusal prints. Half the map can be repaired; an empty one is in the news.
    evses = fleet(20)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    for gone, printed in ((10, True), (11, False)):
        house.exports(without(evses, list(evses)[:gone]))
        says(house, "sync")
        for words in (("sync",), ("plan",), ("status",), ("resync", "slb"), ("resync", "slb", "--dry-run")):
            told = says(house, *words).output
            assert (f"resync slb --allow-withdrawal {gone}" in told) is printed, told
            assert (SECTION in told) is not printed, told
    wrong = says(house, "resync", "slb", "--adopt", "1000").output
    assert not READY.search(wrong.replace("--adopt 1000,", "")), wrong
    assert house.holds() == published(evses)
    alone = says(house, "resync", "slb", "--empties-the-map")
    assert (alone.exit_code, house.holds()) == (2, published(evses))
    done = says(house, "resync", "slb", "--allow-withdrawal", "11", "--empties-the-map")
    assert done.exit_code == 0, done.output
    assert len(house.holds()) == 9
