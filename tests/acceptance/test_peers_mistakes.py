"""What other clients got wrong, where no other test says so yet; the rest is listed in docs/verification.md."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from oicp_adapter.clock import SystemClock
from oicp_adapter.core.records import OperatorState
from oicp_adapter.daemon import DELTA, FULL, Daemon, OperatorJobs, Reloaded
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.ports import JobRecord
from oicp_adapter.simulator import Fault, Simulator, SimulatorOptions
from oicp_adapter.sync.facts import ailing
from tests.acceptance.fleet import fleet
from tests.acceptance.house import House
from tests.fakes.answers import UNREACHABLE
from tests.fakes.clock import HurriedClock
from tests.fakes.log import collecting
from tests.fakes.operator import Choices, Operator
from tests.integration.test_daemon import Room
from tests.integration.wired import OPERATOR_ID, opened
from tests.patience import AT_MOST, set_in_the_end


def test_a_full_resync_does_not_empty_hubject_first() -> None:
    # "Delete all, then insert": for as long as the inserts take, no driver sees any charger.
    operator = Operator()
    operator.published_many(50)
    assert operator.full(after=10, force=True).full_load == "applied"
    (request,) = operator.hub.requests
    assert (request.action.value, len(request.records)) == ("fullLoad", 50)


def test_what_was_acknowledged_before_a_failure_stays_acknowledged() -> None:
    # One transaction around a whole cycle: the fourth request fails, and the three before it are sent again, or lost.
    operator = Operator(Choices(calls_per_minute=1900))
    operator.has_many(5)
    push, sent = operator.hub.push, []

    def fails_at_the_fourth(request: PushRequest) -> Answer:
        sent.append(request)
        return UNREACHABLE if len(sent) == 4 else push(request)

    operator.hub.push = fails_at_the_fourth  # type: ignore[method-assign]
    assert operator.delta().exit_code == 4
    assert [operator.row(f"E{number}").acknowledged for number in range(1, 6)] == [True] * 3 + [False] * 2
    operator.delta(after=10)
    assert [name for request in sent[4:] for name, _ in request.records] == ["DE*ABC*E4", "DE*ABC*E5"]


def test_no_transaction_is_open_while_a_request_is_on_its_way(tmp_path: Path) -> None:
    # Hubject takes half a minute to answer, and for so long `resync` and the other operators cannot write.
    with (
        Simulator(SimulatorOptions(operators=[OPERATOR_ID])) as simulator,
        opened(simulator, tmp_path / "ledger.db", clock=HurriedClock(), choices=Choices()) as operator,
    ):
        push, written = operator.line.push, []

        def written_meanwhile(request: PushRequest) -> Answer:
            connection = sqlite3.connect(tmp_path / "ledger.db", timeout=0, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            connection.close()
            written.append(request.action.value)
            return push(request)

        operator.line.push = written_meanwhile  # type: ignore[method-assign]
        operator.ledger.save((), OperatorState(baseline="adopted", baseline_at=operator.clock.now()))
        operator.has({"E1": "AVAILABLE"})
        operator.sync.delta()
        operator.sync.full(asked="test")
        assert written == ["insert", "fullLoad"]


def test_a_night_the_machine_slept_through_is_made_up_for() -> None:
    # APScheduler drops a run that is more than a second late: the laptop lid, a busy host, and no full load for a day.
    room = Room(full=[None], delta=[None])
    late = DateTrigger(datetime.now(UTC) - timedelta(hours=6))  # noqa: TID251 - APScheduler goes by the real time
    jobs = OperatorJobs(
        name="test",
        sync=room.jobs().sync,
        ledger=room.ledger,
        triggers={FULL: late, DELTA: IntervalTrigger(seconds=0.05)},
        upkeep=lambda: None,
        close=lambda: None,
    )
    set_in_the_end(room.stop)
    daemon = Daemon(
        [jobs],
        clock=SystemClock(room.stop),
        log=collecting(room.lines),
        stop=room.stop,
        grace=AT_MOST,
        reload=Reloaded,
    )
    assert daemon.run() == 0
    assert room.script.ran.count("full") == 1


# --- a health check that cannot fail, or that fails for what no restart cures -----------------------------------


@pytest.mark.parametrize(
    ("quiet", "healthy"), [(0.0, True), (100.0, True), (101.0, False), (86_400.0, False)]
)
def test_a_daemon_in_which_nothing_ends_any_more_is_not_healthy(quiet: float, healthy: bool) -> None:
    # The worker hangs in a system call, the process lives, and "healthy" is green for weeks.
    now = 1_700_000_000.0
    record = JobRecord(job="delta", started_at=now - quiet - 1, succeeded_at=now - quiet)
    why = ailing([record], running_since=now - 90_000, patience=100.0, now=now)
    assert (why is None) is healthy
    failing = JobRecord(job="delta", succeeded_at=now - 90_000, failed_at=now - quiet, error="no source")
    assert (ailing([failing], running_since=now - 90_000, patience=100.0, now=now) is None) is healthy


def test_health_is_about_the_daemon_and_not_about_hubject(house: House) -> None:
    # Hubject has maintenance, Kubernetes restarts two hundred operators in a loop, and none of them recovers by it.
    house.exports(fleet(5))
    house.configure_quick()
    assert house.call("health").code == 1
    house.simulator.faults.add(Fault(kind="unauthorized"))
    daemon = house.runs()
    assert house.call("health").code == 0
    daemon.dies()
    ended = house.call("health", "--json")
    assert (ended.code, ended.data["slb"]["healthy"]) == (1, False)
