"""Full loads that cannot hurt, over real HTTP and SQLite: too large, interrupted, applied late.

The danger: a full load in pieces, in which the last piece replaces all others. Hubject is looked at after each request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.records import OperatorState
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.simulator import Fault, Simulator, SimulatorOptions
from tests.fakes.clock import HurriedClock
from tests.fakes.hub import Crash
from tests.fakes.operator import Choices, wire
from tests.integration.wired import OPERATOR_ID, Wired, opened

SIZE = 60
BODY_LIMIT = 2000
"""Bytes: a full load of some 35 records."""
TENS = Choices(calls_per_minute=75)
"""Sixty changes go in bundles of ten."""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(operators=[OPERATOR_ID], body_limit=BODY_LIMIT)) as running:
        yield running


def fleet(count: int = SIZE, value: str = "AVAILABLE") -> dict[str, str]:
    return {f"E{number:03}": value for number in range(1, count + 1)}


class Night:
    """Pushes are watched: what Hubject holds after each, and an accident after one of them."""

    def __init__(self, operator: Wired, *, always: set[str]) -> None:
        self.operator = operator
        self.always = always
        """EVSEs that must never be missing at Hubject."""
        self.actions: list[str] = []
        self.crash_after = 0
        """kill -9 after this many requests, the last one applied and not recorded; 0: never."""
        self.watch()

    def records(self) -> int:
        """In all requests so far."""
        return sum(int(action.split()[1]) for action in self.actions)

    def watch(self) -> None:
        push = self.operator.line.push

        def watched(request: PushRequest) -> Answer:
            answer = push(request)
            self.actions.append(f"{request.action.value} {len(request.records)}")
            assert self.always <= set(self.operator.holds())
            if len(self.actions) == self.crash_after:
                raise Crash
            return answer

        self.operator.line.push = watched  # type: ignore[method-assign]


def published(operator: Wired, evses: dict[str, str]) -> Night:
    """Hubject has taken this fleet, and full loads may be sent."""
    now = operator.clock.now()
    operator.ledger.save((), OperatorState(baseline="adopted", baseline_at=now))
    operator.has(evses)
    assert operator.sync.delta().exit_code == 0
    assert len(operator.holds()) == len(evses)
    operator.clock.sleep(10)
    return Night(operator, always=set(evses))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_full_load_that_is_too_large_becomes_bundles_in_which_no_evse_is_ever_missing(
    simulator: Simulator, place: Path
) -> None:
    # Sent in pieces, the last piece deletes all the others.
    with opened(simulator, place, clock=HurriedClock(), choices=TENS) as operator:
        night = published(operator, fleet())
        simulator.hold({wire("E007"): "Unknown"}, OPERATOR_ID)  # by another hand
        operator.has({**fleet(), "E001": "CHARGING", "E061": "AVAILABLE"})
        report = operator.sync.full(asked="the night")
        assert (report.full_load, report.exit_code) == ("rolling", 0)
        assert night.actions == ["fullLoad 61", *["update 10"] * 6, "insert 1"]
        expected = dict.fromkeys(fleet(), "Available") | {"E001": "Occupied", "E061": "Available"}
        assert operator.holds() == expected
        assert operator.ledger.load().state.rolling_since is None
        assert operator.lines.of("full.rolled")


def test_what_was_too_large_once_is_not_sent_again_but_a_smaller_one_is(
    simulator: Simulator, place: Path
) -> None:
    # Every night fifty megabytes go over the line to be refused; or no full load ever again.
    with opened(simulator, place, clock=HurriedClock(), choices=TENS) as operator:
        night = published(operator, fleet())
        for expected in (["fullLoad 60"], []):
            operator.sync.full(asked="the night")
            assert [action for action in night.actions if "fullLoad" in action] == expected
            night.actions.clear()
            operator.clock.sleep(86_400)
        operator.has(fleet(30))
        operator.sync.delta()
        operator.clock.sleep(60)
        night.always = set(fleet(30))
        report = operator.sync.full(asked="resync #1", allowance=Allowance(withdrawals=30), force=True)
        assert (report.full_load, night.actions) == ("applied", ["fullLoad 30"])


def test_a_full_load_above_the_configured_size_is_never_tried(simulator: Simulator, place: Path) -> None:
    # A gateway that drops large requests without an answer puts the whole fleet in doubt, every night.
    choices = Choices(calls_per_minute=75, full_limit=1500)
    with opened(simulator, place, clock=HurriedClock(), choices=choices) as operator:
        night = published(operator, fleet())
        report = operator.sync.full(asked="the night")
        assert (report.full_load, report.exit_code, set(night.actions)) == ("rolling", 0, {"update 10"})


def test_a_rolling_resync_ended_by_a_crash_goes_on_after_it(simulator: Simulator, place: Path) -> None:
    # A machine that restarts at night never gets to the end of the fleet.
    with opened(simulator, place, clock=HurriedClock(), choices=TENS) as operator:
        night = published(operator, fleet())
        began = operator.clock.now()
        night.crash_after = 3
        with pytest.raises(Crash):
            operator.sync.full(asked="the night")
        operator.start()
        night.watch()
        operator.clock.sleep(10)
        operator.sync.delta()
        assert night.actions[:3] == ["fullLoad 60", "update 10", "update 10"]
        assert night.records() == SIZE + 20 + 40
        operator.clock.sleep(60)
        operator.sync.delta()
        assert night.records() == SIZE + 20 + 40 + 10, "those in doubt when it crashed"
        state = operator.ledger.load()
        assert state.state.rolling_since is None
        assert all(row.status_at is not None and row.status_at > began for row in state.rows.values())
        operator.clock.sleep(10)
        assert operator.sync.delta().requests == 0


def test_a_rolling_resync_ended_by_an_outage_goes_on_after_it(simulator: Simulator, place: Path) -> None:
    # Hubject's maintenance at night, and what it changed by hand stays for another day.
    with opened(simulator, place, clock=HurriedClock(), choices=TENS) as operator:
        night = published(operator, fleet())
        simulator.hold({wire("E060"): "Unknown"}, OPERATOR_ID)
        simulator.faults.add(Fault(kind="http_error", skip=2))
        assert operator.sync.full(asked="the night").exit_code == 4
        assert operator.holds()["E060"] == "Unknown"
        assert operator.ledger.load().state.rolling_since is not None
        simulator.faults.clear()
        for _ in range(8):
            operator.clock.sleep(10)
            operator.sync.delta()
        assert operator.holds() == dict.fromkeys(fleet(), "Available")
        assert operator.ledger.load().state.rolling_since is None
        assert night.actions[0] == "fullLoad 60"
        assert not any("fullLoad" in action for action in night.actions[1:])


@pytest.mark.parametrize("appears", [10, 50, 70, 200], ids=lambda after: f"new after {after} s")
@pytest.mark.parametrize("arrives", [30, 300], ids=["within settle", "later than settle"])
def test_an_evse_that_appears_after_a_full_load_without_answer_survives_its_late_arrival(
    simulator: Simulator, place: Path, appears: int, arrives: int
) -> None:
    # A charger opens in the morning; the night's lost full load, which does not know it, deletes it for good.
    old = {"E1": "AVAILABLE", "E2": "AVAILABLE", "E3": "AVAILABLE"}
    with opened(simulator, place, clock=HurriedClock(), choices=Choices()) as operator:
        published(operator, old)
        simulator.faults.add(Fault(kind="late_apply", connection="drop", actions=("fullLoad",)))
        assert operator.sync.full(asked="the night").exit_code == 4
        held = []
        for second in range(10, 701, 10):
            operator.clock.sleep(10)
            if second == arrives:
                assert simulator.release_late() == 1
            if second == appears:
                operator.has({**old, "E4": "CHARGING"})
            operator.sync.reconcile()
            held.append("E4" in operator.holds())
        assert operator.holds() == dict.fromkeys(old, "Available") | {"E4": "Occupied"}
        settled = max(appears, 60) // 10 - 1  # the cycle that first may send it
        assert held[settled]
        assert not any(held[:settled]), "sent before the lost full load's time is over"
        assert simulator.rules_broken == []
