"""Whose a record is, as people are told it: check, plan, sync, status, explain, quarantine, the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from oicp_adapter.simulator import Simulator, SimulatorOptions

CONFIGURATION = """\
[hubject]
base_url = "{base_url}"

[operators.abc]
id = "DE*ABC"
name = "ABC Charging"
source = {{ type = "file", path = "fleet.csv", vocabulary = "{vocabulary}"{source} }}
"""
OTHERS = "".join(f"2{number},1,Available,\n" for number in range(8))
TEMPLATE = ', evse_id_template = "DE*ABC*E{station_id}*{connector_id}"'


class Desk:
    """A configuration, a file and a Hubject on loopback."""

    def __init__(self, place: Path, hubject: Simulator) -> None:
        self.place, self.hubject = place, hubject
        self.configure(source=TEMPLATE)

    def configure(self, *, vocabulary: str = "ocpp1.6", source: str = "") -> None:
        text = CONFIGURATION.format(base_url=self.hubject.base_url, vocabulary=vocabulary, source=source)
        (self.place / "adapter.toml").write_text(text)

    def fleet(self, rows: str, header: str = "station_id,connector_id,status,updated_at") -> None:
        (self.place / "fleet.csv").write_text(f"{header}\n{rows}")

    def call(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.place / "adapter.toml")])

    def data(self, *words: str) -> Any:
        return json.loads(self.call(*words, "--json").stdout)

    def holds(self) -> dict[str, str]:
        return self.hubject.statuses("DE*ABC")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Simulator(SimulatorOptions(operators=["DE*ABC"])) as simulator:
        yield Desk(tmp_path, simulator)


def test_two_chargers_with_one_id_are_told_by_every_verb_with_both_origins(desk: Desk) -> None:
    # Nobody learns that one charger's status is published for another.
    desk.fleet("1,11,Charging,\n11,1,Available,\n" + OTHERS)
    both = "station 1, connector 11 (line 2); station 11, connector 1 (line 3)"
    found = {one["what"]: one for one in desk.data("check")}
    assert (found["mapping"]["verdict"], "evse_id_template" in found["mapping"]["fix"]) == ("warning", True)
    assert both in found["mapping"]["text"]

    plan = desk.data("plan")["abc"]
    assert both in plan["warnings"][0]["text"]
    assert "DE*ABC*E1*11" not in {
        change["evse_id"] for change in plan["changes"] if change["action"] == "insert"
    }
    assert f"warning: DE*ABC*E1*11 may be 2 chargers: {both}" in desk.call("plan").stderr

    told = desk.call("sync")
    assert told.exit_code == 0
    assert f"warning: DE*ABC*E1*11 may be 2 chargers: {both}" in told.stderr
    assert '"mapping.ambiguous"' in told.stderr
    assert set(desk.holds()) == {f"DE*ABC*E2{number}*1" for number in range(8)}

    status = desk.data("status")["abc"]
    assert both in status["warnings"][0]["text"]
    assert "evse_id_template" in status["warnings"][0]["fix"]
    assert f"may be 2 chargers: {both}" in desk.call("status").stdout
    (listed,) = desk.data("quarantine", "list")
    named = (
        "may be 2 chargers: station 1, connector 11; station 11, connector 1; they say Available, Occupied"
    )
    assert (listed["origin"], named in listed["why"]) == ("line 2, line 3", True)
    assert named in desk.call("explain", "de*abc*e111").stderr
    assert both in desk.call("map", "--file", str(desk.place / "fleet.csv")).stderr


def test_one_that_is_shown_is_unknown_and_explained(desk: Desk) -> None:
    # "Why is it Unknown?" has no answer at 03:00.
    desk.fleet("11,1,Available,\n" + OTHERS)
    desk.call("sync")
    assert desk.holds()["DE*ABC*E11*1"] == "Available"
    desk.fleet("1,11,Charging,\n11,1,Available,\n" + OTHERS)
    assert desk.call("sync").exit_code == 0
    assert desk.holds()["DE*ABC*E11*1"] == "Unknown"
    (explained,) = desk.data("explain", "DEABCE111")["evses"]
    assert "may be 2 chargers (station 1, connector 11; station 11, connector 1)" in explained["rule"]


@pytest.mark.parametrize("vocabulary", ["chargefox", "ocpp1.6", "ocpi"])
def test_a_file_of_stations_only_does_not_pass_check(desk: Desk, vocabulary: str) -> None:
    # The last look before the first push says "ok, nothing to publish", and the map stays empty.
    desk.configure(vocabulary=vocabulary)
    desk.fleet("S1,Available\nS2,Available\n", header="station_id,status")
    found = {one["what"]: one for one in desk.data("check")}
    assert found["mapping"]["verdict"] != "ok"
    assert "2 not publishable" in found["mapping"]["text"]


def test_a_station_beside_the_connectors_that_lost_theirs_is_listed(desk: Desk) -> None:
    # A join fails in the backend for one site, and only the main controllers are left.
    desk.configure()
    desk.fleet(
        "DE*ABC*E1,S1,1,Available\n,S1,0,Available\n,S2,0,Available\n",
        header="evse_id,station_id,connector_id,status",
    )
    (listed,) = desk.data("plan")["abc"]["rejected"]
    assert (listed["origin"], "the whole station S2" in listed["reason"]) == ("line 4", True)


def test_ids_with_other_separators_are_told_with_the_setting_and_explained_in_any_spelling(
    desk: Desk,
) -> None:
    # An afternoon is lost because the backend writes hyphens.
    desk.configure()
    desk.fleet("DE-ABC-E100-1,Available\nDE.ABC.E2,Charging\n", header="evse_id,status")
    mapping = next(one for one in desk.data("check") if one["what"] == "mapping")
    wanted = 'source.evse_id_replace = { "-" = "*", "." = "*" }'
    assert mapping["fix"] == f"set {wanted}"
    desk.configure(source=", " + wanted.removeprefix("source."))
    assert desk.call("sync").exit_code == 0
    assert set(desk.holds()) == {"DE*ABC*E100*1", "DE*ABC*E2"}
    for written in ("DE-ABC-E100-1", "de abc e100 1", "DEABCE1001"):
        assert desk.data("explain", written)["evses"][0]["evse_id"] == "DE*ABC*E100*1"
    missed = desk.call("explain", "DE-ABC-E100-7")
    assert (missed.exit_code, "did you mean DE*ABC*E100*1?" in missed.stderr) == (1, True)
    assert desk.call("explain", "???").exit_code == 2
