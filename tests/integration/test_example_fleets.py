"""config/examples: every table of the field as a fleet that `map` explains and `sync` pushes, each EVSE as it says."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from oicp_adapter.core.vocabulary import load_vocabulary
from oicp_adapter.settings import load_settings
from oicp_adapter.simulator import Simulator, SimulatorOptions

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
OPERATORS = load_settings(EXAMPLES / "adapter.toml", {}).operators
NOT_PUBLISHED = "not published"

examples = pytest.mark.parametrize("operator", OPERATORS)


def becomes(operator: str) -> dict[str, str]:
    """EVSE → what the example itself says."""
    file = OPERATORS[operator].source.path
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as rows:
            return {row["EVSE ID"]: row["becomes"] for row in csv.DictReader(rows) if row["EVSE ID"]}
    evses = [evse for location in json.loads(file.read_bytes())["data"] for evse in location["evses"]]
    return {evse["evse_id"]: evse["physical_reference"].removeprefix("becomes ") for evse in evses}


def published(operator: str) -> dict[str, str]:
    return {evse: status for evse, status in becomes(operator).items() if status != NOT_PUBLISHED}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("*.db*"))


@pytest.fixture
def hubject(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(SimulatorOptions()) as simulator:
        monkeypatch.setenv("OICP_ADAPTER__HUBJECT__BASE_URL", simulator.base_url)
        yield simulator


def run(verb: str, directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [verb, *arguments, "--config", str(directory / "adapter.toml")])


@examples
def test_map_explains_an_example_fleet_without_a_remainder(operator: str, directory: Path) -> None:
    # The newcomer compares the example with the page, and one of them is wrong.
    file = directory / OPERATORS[operator].source.path.name
    result = run("map", directory, "--file", str(file), "--operator", operator, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["statuses"] == dict(Counter(becomes(operator).values()))
    assert (told["unmapped"], told["rejected"], told["complete"]) == ([], [], True)
    assert all(outcome["because"] for outcome in told["outcomes"])


@examples
def test_sync_pushes_an_example_fleet_as_it_says(operator: str, directory: Path, hubject: Simulator) -> None:
    # A cell of the tables does not survive the way from a file to Hubject.
    result = run("sync", directory, operator)
    assert result.exit_code == 0, result.output
    there = {evse: status for evse, status in published(operator).items() if status != "EvseNotFound"}
    assert hubject.statuses(OPERATORS[operator].id) == there  # what is gone is never put there
    assert hubject.rules_broken == []
    hubject.clear_journal()
    assert run("sync", directory, operator).exit_code == 0
    assert hubject.journal == []


@pytest.mark.parametrize(
    ("operator", "column"),
    [
        ("greenflux", "Connectors"),
        ("chargefox", "Station status"),
        ("chargefox-connectors", "Connector status"),
        ("ocpp", "Status"),
        ("ocpi", ""),
    ],
)
def test_an_example_fleet_has_every_value_of_its_vocabulary(operator: str, column: str) -> None:
    # A value is shown by no example, so nobody sees what becomes of it.
    source = OPERATORS[operator].source
    if column:
        with source.path.open(encoding="utf-8", newline="") as rows:
            found = {row[column] for row in csv.DictReader(rows)} - {""}
    else:
        locations = json.loads(source.path.read_bytes())["data"]
        found = {evse["status"] for location in locations for evse in location["evses"]}
    assert found == set(load_vocabulary(source.vocabulary).values)


def test_a_wrong_vocabulary_on_a_running_fleet_is_stopped(
    directory: Path, hubject: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One word in the configuration turns all chargers of an operator to Unknown for every driver.
    assert run("sync", directory, "ocpi").exit_code == 0
    before = hubject.statuses("NL*OCI")
    on_the_map = {evse for evse, status in before.items() if status not in ("Unknown", "EvseNotFound")}
    monkeypatch.setenv("OICP_ADAPTER__OPERATORS__OCPI__SOURCE__VOCABULARY", "irve")
    stopped = run("sync", directory, "ocpi")
    assert stopped.exit_code == 3
    assert "values no table knows" in stopped.stderr
    after = hubject.statuses("NL*OCI")
    assert {evse: after[evse] for evse in on_the_map} == {evse: before[evse] for evse in on_the_map}
    monkeypatch.delenv("OICP_ADAPTER__OPERATORS__OCPI__SOURCE__VOCABULARY")
    assert run("sync", directory, "ocpi").exit_code == 0
    cured = hubject.statuses("NL*OCI")
    assert {evse: cured[evse] for evse in on_the_map} == {evse: before[evse] for evse in on_the_map}


def test_a_change_to_available_is_held_back_where_the_operator_wants_that(
    directory: Path, hubject: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The setting is read and does nothing.
    monkeypatch.setenv("OICP_ADAPTER__OPERATORS__OCPP__MAPPING__HOLD_AVAILABLE", "1h")
    assert run("sync", directory, "ocpp").exit_code == 0
    fleet = directory / "ocpp1.6.csv"
    fleet.write_text(fleet.read_text(encoding="utf-8").replace("Finishing", "Available"), encoding="utf-8")
    assert run("sync", directory, "ocpp").exit_code == 0
    assert hubject.statuses("DE*OCP")["DE*OCP*E3*2"] == "Occupied"
    monkeypatch.delenv("OICP_ADAPTER__OPERATORS__OCPP__MAPPING__HOLD_AVAILABLE")
    assert run("sync", directory, "ocpp").exit_code == 0
    assert hubject.statuses("DE*OCP")["DE*OCP*E3*2"] == "Available"


def test_preparing_after_a_session_is_remembered_from_one_run_to_the_next(
    directory: Path, hubject: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After every restart the places where a session has just ended are shown as free.
    monkeypatch.setenv("OICP_ADAPTER__OPERATORS__OCPP__MAPPING__OVERRIDES__Preparing", "Available")
    assert run("sync", directory, "ocpp").exit_code == 0
    fleet = directory / "ocpp1.6.csv"
    text = fleet.read_text(encoding="utf-8")
    fleet.write_text(text.replace("CP2,1,Charging", "CP2,1,Preparing"), encoding="utf-8")
    for _ in range(2):
        assert run("sync", directory, "ocpp").exit_code == 0
        held = hubject.statuses("DE*OCP")
        assert (held["DE*OCP*E2*1"], held["DE*OCP*E1*2"]) == ("Occupied", "Available")
