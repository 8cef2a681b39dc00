"""One night in which everything goes wrong, through the real daemon, with the settings as they are shipped.

At every moment the last summary line, `status` and `explain` agree on what waits, since when and why; and what
docs/operations.md says to alert on is the case exactly in the phases that need a person. The test drives the clock.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oicp_adapter.cli.main import app
from oicp_adapter.clock import SystemClock
from oicp_adapter.simulator import Fault
from tests.acceptance import stage
from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import Daemon, House, Line, wait_until

FLEET = fleet(12)
FULL_AT = 32 * 1024
"""Bytes beyond which no file can grow while the disk is "full"."""
TOLERANCE = 2.5
"""Seconds: two times are the same moment. What is waited for here are minutes."""
SUMMARIES = ("delta.done", "reconcile.done", "full.done")
CLOSED_BY = {
    "delivery.overdue": "delivery.caught_up",
    "hub.stopped": "hub.recovered",
    "source.failed": "source.recovered",
    "guard.refused": "guard.cleared",
    "ledger.failed": "ledger.usable",
}
"""As docs/operations.md says."""


@dataclass
class Night:
    """The house, its clock, and what the person on call sees."""

    house: House
    clock: stage.Stage
    evses: dict[str, str] = field(default_factory=lambda: dict(FLEET))
    daemon: Daemon = field(init=False)

    def starts(self) -> None:
        """A new daemon: log and ledger's log are small again."""
        root = Path(__file__).parents[2]
        env = self.house.environment()
        self.daemon = self.house.run(
            env={"PYTHONPATH": f"{env['PYTHONPATH']}:{root}", "OICP_ADAPTER__LOG__SUMMARY": "5min"},
            through=[sys.executable, "-m", "tests.acceptance.stage", str(self.clock.file)],
        )
        self.daemon.waits_for("delta.done")

    def changes(self, number: int, status: str) -> str:
        """One charger's status, in the export; its EvseID."""
        name = list(FLEET)[number]
        self.evses[name] = status
        self.house.exports(self.evses)
        return name

    def lines(self) -> list[Line]:
        return [line for daemon in self.house.daemons for line in daemon.lines()]

    def cycles(self, count: int = 2) -> None:
        """Wait for so many cycles that were recorded."""
        for _ in range(count):
            before = self._began()
            wait_until(lambda before=before: self._began() != before, "another cycle")  # type: ignore[misc]

    def passes(self, seconds: float) -> None:
        """Time passes, and the daemon has seen it."""
        wait_until(lambda: self.house.simulator.in_flight == 0, "nothing is in flight")
        self.clock.passes(seconds)
        self.cycles()

    def until(self, *, seconds: float = 70.0) -> None:
        """Minutes pass until Hubject holds what it should."""

        def holds() -> bool:
            if self.house.holds() == published(self.evses):
                return True
            self.passes(seconds)
            return False

        wait_until(holds, "Hubject holds the fleet", within=40.0)
        self.cycles()

    def _began(self) -> list[tuple[float | None]]:
        with sqlite3.connect(f"file:{self.house.ledger}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT started_at FROM job ORDER BY job").fetchall()

    def asks(self, *words: str) -> Any:
        """A verb that only looks, in this process, on the same clock."""
        done = CliRunner().invoke(app, ["--config", str(self.house.place / "adapter.toml"), *words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def alerts(self) -> set[str]:
        """What docs/operations.md says to alert on, and is the case now."""
        opened = set()
        for line in self.lines():
            if line["level"] == "error":
                opened.add(line["event"])
            opened -= {name for name, end in CLOSED_BY.items() if line["event"] == end}
        last = [line for line in self.lines() if line["event"] == "delta.done"][-1]
        return opened | ({"quarantined"} if last["quarantined"] * 10 > last["read"] else set())

    def told(self, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """`status` and `explain` of one moment, after they agree with each other and with the log."""
        began = len(self._summaries()) - 1
        found: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []

        def one_moment() -> bool:
            before = self.asks("status")["slb"]
            (evse,) = self.asks("explain", name)["evses"]
            found[:] = [(before, evse)]
            return _what_waits(before) == _what_waits(self.asks("status")["slb"])

        wait_until(one_moment, "two looks at one moment")
        status, evse = found[0]
        if status["unrecorded"] is None:
            wait_until(
                lambda: any(_says_the_same(line, status) for line in self._summaries()[began:]),
                f"a summary line that says {_what_waits(status)}, from {self._summaries()[began:]}",
            )
        if evse["waiting_since"] is not None:
            assert abs(_moment(evse["waiting_since"]) - _moment(status["waiting_since"])) <= TOLERANCE
            assert _alike(status["waiting_for"]) in _alike(evse["next"])
        return status, evse

    def _summaries(self) -> list[Line]:
        return [line for line in self.lines() if line["event"] in SUMMARIES]

    def waits(self, name: str, *, since: float, why: str, alerts: set[str]) -> None:
        """All agree that this EVSE waits, since then and therefore; and these alerts are the case."""
        status, evse = self.told(name)
        assert (status["backlog"], why in status["waiting_for"]) == (1, True), status
        assert abs(_moment(evse["waiting_since"]) - since) <= TOLERANCE
        assert not evse["next"].startswith("nothing: "), "no all-clear"
        assert self.alerts() == alerts

    def rests(self, name: str, *, alerts: frozenset[str] = frozenset()) -> None:
        """All agree that nothing waits."""
        status, evse = self.told(name)
        assert (status["backlog"], status["waiting_since"], status["unrecorded"]) == (0, None, None), status
        assert evse["waiting_since"] is None
        assert self.alerts() == alerts

    def now(self) -> float:
        return stage.now(self.clock.file)


def _what_waits(status: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("backlog", "waiting_since", "unrecorded")
    return (*(status[name] for name in names), _alike(status["waiting_for"] or ""))


def _says_the_same(line: Line, status: Mapping[str, Any]) -> bool:
    """The line's time less its lag is since when."""
    if line["backlog"] != status["backlog"] or _alike(line.get("waits", "")) != _alike(
        status["waiting_for"] or ""
    ):
        return False
    if status["waiting_since"] is None:
        return bool(line["lag"] == 0)
    since = _moment(line["timestamp"]) - float(line["lag"])
    return abs(since - _moment(status["waiting_since"])) <= TOLERANCE


def _alike(text: str) -> str:
    """The next try is another one in a moment."""
    return re.sub(r"next try (now|[0-9TZ:-]+)", "next try", text)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def night(house: House, monkeypatch: pytest.MonkeyPatch) -> Night:
    clock = stage.Stage(house.place / "clock")
    monkeypatch.setattr(SystemClock, "now", lambda self: stage.now(clock.file))
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: stage.monotonic(clock.file))
    house.configure(
        schedule='{ delta = "500ms", reconcile = "60s", full = "24h" }', hubject__retry_attempts="1"
    )
    house.published(FLEET, adopt=True)
    night = Night(house, clock)
    night.starts()
    return night


def test_a_night_in_which_everything_goes_wrong_is_told_as_it_is(night: Night) -> None:
    # In the field: a quiet night with Hubject out of reach, and nobody is called; or everybody, all night.
    house, faults = night.house, night.house.simulator.faults
    night.rests("DE*SLB*E0001*1")

    # Ten minutes without Hubject, one change waits. A resync fails in it, and somebody sets the clock.
    house.simulator.stop()
    began = night.now()
    waiting = night.changes(0, "CHARGING")
    night.daemon.waits_for("push.failed")
    night.waits(waiting, since=began, why="Connection refused", alerts=set())
    night.passes(120)
    night.waits(waiting, since=began, why="Connection refused", alerts=set())
    night.passes(200)
    night.waits(waiting, since=began, why="Connection refused", alerts={"delivery.overdue"})
    night.daemon.tell(signal.SIGUSR1)
    wait_until(lambda: night.asks("status")["slb"]["full_load_due"], "a full load is due")
    assert house.call("resync", "slb", env={}).code == 4
    assert night.asks("status")["slb"]["full_load_due"] == "SIGUSR1", "the resync clears only its own"
    night.waits(waiting, since=began, why="Connection refused", alerts={"delivery.overdue"})
    night.clock.steps(-3600)
    night.daemon.waits_for("daemon.clock_jumped")
    stepped = night.now()
    night.waits(waiting, since=stepped, why="Connection refused", alerts={"delivery.overdue"})
    night.passes(280)
    house.simulator.start()
    night.until()
    night.rests(waiting)
    assert len(house.requests("fullLoad")) == 1, "the one that was due"

    # Over the limit for two minutes: nobody has to act.
    faults.add(Fault(kind="too_many", seconds=120))
    began = night.now()
    waiting = night.changes(1, "INOPERATIVE")
    night.daemon.waits_for("push.failed", http_status=429)
    night.waits(waiting, since=began, why="429", alerts=set())
    night.passes(60)
    night.waits(waiting, since=began, why="429", alerts=set())
    faults.clear()
    night.until()
    night.rests(waiting)

    # The certificate is rejected: at once, and again when something has waited for five minutes.
    faults.add(Fault(kind="unauthorized"))
    began = night.now()
    waiting = night.changes(2, "CHARGING")
    night.daemon.waits_for("hub.stopped")
    night.waits(waiting, since=began, why="401 017", alerts={"hub.stopped"})
    night.passes(310)
    night.waits(waiting, since=began, why="401 017", alerts={"hub.stopped", "delivery.overdue"})
    faults.clear()
    night.until(seconds=400)
    night.rests(waiting)

    # Half a file: the backend's states cannot be read.
    whole = house.export.read_bytes()
    house.export.write_bytes(whole[: len(whole) // 2])
    night.daemon.waits_for("source.failed")
    night.rests(waiting, alerts=frozenset({"source.failed"}))
    assert "unreadable" in night.asks("status")["slb"]["source"]
    house.exports(night.evses)
    night.daemon.waits_for("source.recovered")
    night.cycles()
    night.rests(waiting)

    # The disk is full, and a charger breaks: what cannot be recorded is not all clear.
    assert night.daemon.ends() == 0
    night.starts()
    wait_until(
        lambda: (house.place / "ledger.db-wal").stat().st_size > FULL_AT, "the ledger has something to lose"
    )
    _fill(night.daemon, True)
    waiting = night.changes(3, "OUTOFORDER")
    night.daemon.waits_for("ledger.failed")
    night.clock.passes(10)
    status, evse = night.told(waiting)
    assert status["unrecorded"], status
    assert evse["next"].startswith("not known: "), evse
    assert night.alerts() == {"ledger.failed"}
    _fill(night.daemon, False)
    night.daemon.waits_for("ledger.usable")
    night.until()
    night.rests(waiting)

    # Hubject loses the EVSE data of the whole fleet, and has it again later.
    house.simulator.set_evse_data([])
    night.evses = {
        name: "CHARGING" if status == "AVAILABLE" else "AVAILABLE" for name, status in night.evses.items()
    }
    house.exports(night.evses)
    wait_until(night.alerts, "a person is called")
    assert night.alerts() <= {"quarantined", "hub.stopped", "delivery.overdue"}
    night.told(waiting)
    house.simulator.set_evse_data(None)
    night.until(seconds=1000)
    night.rests(waiting)


def _fill(daemon: Daemon, full: bool) -> None:
    """Let no file of this process grow, or let them grow again. Its log is a file, too."""
    limit = FULL_AT if full else resource.RLIM_INFINITY
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
