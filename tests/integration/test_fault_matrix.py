"""Every answer and fault of Hubject, against each of the four actions: tests/scenarios/fault_matrix.yaml.

Real HTTP, real SQLite, virtual waiting. One story per cell: the fault strikes a request, then an hour passes in which
Hubject is well again, then comes the nightly full load. docs/verification.md is written from the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from oicp_adapter.core.model import ActionType
from oicp_adapter.core.plan import Missing
from oicp_adapter.core.records import OperatorState
from oicp_adapter.oicp.codes import BY_STATUS, CODES
from oicp_adapter.simulator import FAULT_KINDS, Fault, Simulator, SimulatorOptions
from tests.fakes.clock import HurriedClock
from tests.fakes.operator import Choices, wire
from tests.integration.wired import IMPATIENT, OPERATOR_ID, PATIENT, Wired, opened

MATRIX: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "scenarios" / "fault_matrix.yaml").read_text("utf-8")
)
ACTIONS = [action.value for action in ActionType]
STRUCK = {"E1": "CHARGING", "E2": "CHARGING"}
"""What the source says of the EVSEs in the request; of the bystander E3 it always says AVAILABLE."""
SILENT = "E4"
"""One more bystander where E1 and E2 go, of whom no cell says anything: more than half never leave without a person."""
HOUR = [*range(10, 121, 10), *range(180, 1201, 60), *range(1800, 3601, 600)]
"""When the cycles after the fault run, in seconds."""

CELLS = [
    pytest.param(outcome, fault, action, id=f"{action}: {fault['seen']}")
    for outcome in MATRIX
    for fault in outcome["faults"]
    for action in ACTIONS
]


class Moving:
    """The story's clock, for the simulator too: a date in Retry-After must be one of the same time."""

    def __init__(self) -> None:
        self.clock = HurriedClock()

    def __call__(self) -> float:
        return self.clock.now()


@pytest.fixture(scope="module")
def moving() -> Moving:
    return Moving()


@pytest.fixture(scope="module")
def simulator(moving: Moving) -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(operators=[OPERATOR_ID], clock=moving)) as running:
        yield running


def come_to(action: str, operator: Wired) -> dict[str, str]:
    """Bring the operator to where its next request has this action, with E1 and E2 in it. Returns the fleet to read."""
    now = operator.clock.now()
    operator.ledger.save((), OperatorState(baseline="adopted", baseline_at=now))
    fleet = {"E3": "AVAILABLE"}
    if action == "delete":
        fleet[SILENT] = "AVAILABLE"
    for value in ("CHARGING", "AVAILABLE"):  # Hubject's answers have two different Process-IDs by then
        operator.has({"E3": value})
        assert operator.sync.delta().exit_code == 0
    before = fleet if action == "insert" else {"E1": "AVAILABLE", "E2": "AVAILABLE", **fleet}
    operator.has(before)
    assert operator.sync.delta().exit_code == 0
    operator.clock.sleep(10)
    if action == "delete":
        operator.has(fleet)
        operator.sync.delta()
        operator.clock.sleep(60)
        return fleet
    return {**STRUCK, **fleet}


def strike(operator: Wired, fault: dict[str, Any], action: str) -> int:
    """One cycle in which the fault is in force; its exit code."""
    simulator = operator.simulator
    kind = {name: value for name, value in fault.items() if name not in ("seen", "patience", "arrives")}
    if down := kind["kind"] == "connection refused":
        simulator.stop()
    elif kind["kind"] != "none":
        kind["evse_ids"] = [wire(name) for name in kind.get("evse_ids", ())]
        simulator.faults.add(msgspec.convert(kind, Fault))
    operator.line.patience = IMPATIENT if fault.get("patience") == "short" else PATIENT
    cycle = operator.sync.full(asked="test") if action == "fullLoad" else operator.sync.delta()
    operator.line.patience = PATIENT
    simulator.faults.clear()
    if down:
        simulator.start()
    return cycle.exit_code


def an_hour(operator: Wired, arrives: int) -> list[str]:
    """Hubject is well again. What is sent until the hour is over, and when."""
    told, before = [], 0
    for moment in HOUR:
        operator.clock.sleep(moment - before)
        if before < arrives <= moment:
            operator.simulator.release_late()
            told.append(f"{moment} s: applied late, Hubject holds {holding(operator)}")
        operator.sync.reconcile()
        if sent := operator.sent():
            told.append(f"{moment} s: {', '.join(sent)}")
        before = moment
    return told


def holding(operator: Wired) -> str:
    return " ".join(f"{name}={status}" for name, status in operator.holds().items() if name != SILENT)


def published(fleet: dict[str, str]) -> dict[str, str]:
    words = {"AVAILABLE": "Available", "CHARGING": "Occupied", "INOPERATIVE": "OutOfService"}
    return {name: words[value] for name, value in sorted(fleet.items())}


@pytest.mark.parametrize(("outcome", "fault", "action"), CELLS)
def test_a_cell_of_the_matrix(
    outcome: dict[str, Any],
    fault: dict[str, Any],
    action: str,
    moving: Moving,
    simulator: Simulator,
    tmp_path: Path,
) -> None:
    # What breaks in the field is this cell: a status lost, an innocent EVSE quarantined, a fleet deleted.
    cell = outcome["cells"][action]
    moving.clock = HurriedClock()
    choices = Choices(missing=Missing.DELETE)
    with opened(simulator, tmp_path / "ledger.db", clock=moving.clock, choices=choices) as operator:
        fleet = come_to(action, operator)
        operator.has(fleet)
        operator.sent()
        exit_code = strike(operator, fault, action)
        assert operator.sent() == cell["sends"]
        assert holding(operator) == cell["hubject"]
        assert {name: said for name, said in operator.knows().items() if name != SILENT} == cell["ledger"]
        assert exit_code == outcome.get("exit", 0)

        fleet |= outcome.get("meanwhile", {})
        operator.has(fleet)
        assert an_hour(operator, fault.get("arrives", 0)) == cell["then"]
        if not cell.get("full_load_heals"):
            assert operator.holds() == published(fleet)
        knows = operator.knows()
        assert {name: knows[name] for name in fleet} == {
            name: f"present {status}" for name, status in published(fleet).items()
        }
        operator.sync.full(asked="the night")
        assert operator.holds() == published(fleet)
        assert simulator.rules_broken == []


def test_no_cell_of_the_matrix_is_empty() -> None:
    # A fault that was never tried with deletes, say, and a promise that nobody has looked at.
    for outcome in MATRIX:
        assert set(outcome["cells"]) == set(ACTIONS), outcome["outcome"]
        for cell in outcome["cells"].values():
            assert set(cell) - {"full_load_heals"} == {"sends", "hubject", "ledger", "then"}
    seen = [fault["seen"] for outcome in MATRIX for fault in outcome["faults"]]
    assert len(set(seen)) == len(seen)


def test_every_fault_of_the_simulator_and_every_known_answer_is_in_the_matrix() -> None:
    # A new code or fault comes without anybody deciding what it does to the four actions.
    faults = [fault for outcome in MATRIX for fault in outcome["faults"]]
    # An answer that comes late, but in time, is the true one.
    delays = {kind for kind in FAULT_KINDS if kind.startswith("latency")}
    assert {fault["kind"] for fault in faults} == set(FAULT_KINDS) - delays | {"none", "connection refused"}
    words = " ".join(fault["seen"] for fault in faults)
    assert all(code in words for code in CODES)
    assert all(str(status) in words for status in BY_STATUS)
