"""What the daemon does once a day, wired as in service: SQLite, certificate files, the worker."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import EvseRow, IntentRecord, OperatorState, Presence, PushIntent, PushRow
from oicp_adapter.daemon import UPKEEP
from oicp_adapter.daemon.worker import Worker
from oicp_adapter.ledger.sqlite import SqliteLedger
from oicp_adapter.settings import load_settings
from oicp_adapter.simulator.certificates import Certificates
from oicp_adapter.wiring import Wiring, base_url
from tests.fakes.clock import HurriedClock
from tests.fakes.log import Lines, collecting

DAY = 86_400.0
CONFIGURATION = """
[hubject]
base_url = "https://127.0.0.1:9/api/oicp"
ca_file = "ca.pem"
[operators.abc]
id = "DE*ABC"
name = "ABC"
certificate = "client.pem"
key = "client.key"
source = { type = "file", path = "nothing.csv", vocabulary = "ocpi" }
schedule = { full = "cron: 0 3 * * sun" }
"""


def _pushed(ledger: SqliteLedger, at: float) -> int:
    records = (IntentRecord("DEABCE1", EvseStatus.OCCUPIED, "charging"),)
    push = ledger.begin(
        PushIntent(action=ActionType.UPDATE, cycle_id="c", started_at=at, count=1, records=records, rows=())
    )
    ledger.finish(PushRow(push_id=push, finished_at=at + 1, outcome="applied"), (), OperatorState())
    return push


@pytest.mark.parametrize(("days", "warned"), [(20, 1), (200, 0)])
def test_a_day_later_old_history_is_forgotten_and_the_certificate_looked_at(
    tmp_path: Path, days: int, warned: int
) -> None:
    # It ran for months: the disk is full, or the certificate has expired, and nobody was told after the start.
    Certificates().write(tmp_path, "DE*ABC", days=days)
    (tmp_path / "adapter.toml").write_text(CONFIGURATION)
    settings = load_settings(tmp_path / "adapter.toml", {})
    stop, clock, lines = threading.Event(), HurriedClock(), Lines()
    with Wiring(settings, clock=clock, log=collecting(lines), stop=stop) as wiring:
        jobs = wiring.jobs("abc")
        ledger = wiring.ledger("abc")
        _pushed(ledger, clock.now() - 29.5 * DAY)
        young = _pushed(ledger, clock.now() - 3 * DAY)
        lines.clear()

        def upkeep() -> None:
            jobs.upkeep()
            stop.set()

        worker = Worker(jobs, clock=clock, log=collecting(lines), stop=stop, poll=0.001)
        worker.next_run = lambda job: clock.now() + DAY
        worker.jobs = replace(jobs, upkeep=upkeep)
        clock.sleep(DAY)
        worker.poke(UPKEEP)
        worker.run()
        assert [push.push_id for push in ledger.pushes(10)] == [young]
        assert len(lines.of("certificate.expires")) == warned
        assert [record.job for record in ledger.jobs() if record.succeeded_at] == ["upkeep"]


def test_operators_that_are_not_configured_are_told_daily_and_once_for_all(tmp_path: Path) -> None:
    # An operator was renamed months ago; 200 operators each say so every day, or none does.
    second = (
        CONFIGURATION[CONFIGURATION.index("[operators.abc]") :].replace("abc", "def").replace("ABC", "DEF")
    )
    (tmp_path / "adapter.toml").write_text(CONFIGURATION + second)
    Certificates().write(tmp_path, "DE*ABC", days=200)
    settings = load_settings(tmp_path / "adapter.toml", {})
    lines = Lines()
    with Wiring(settings, clock=HurriedClock(), log=collecting(lines)) as wiring:
        old = wiring.store.operator(base_url(settings), "DEOLD")
        elsewhere = wiring.store.operator("https://qa.example/api/oicp", "DEXYZ")
        for ledger in (old, elsewhere):
            ledger.save(ROWS, OperatorState())
        jobs = [wiring.jobs(key) for key in settings.operators]
        lines.clear()
        for one in jobs:
            one.upkeep()
            one.close()
        (line,) = lines.of("operator.unconfigured")
        shown = sum(1 for row in ROWS if row.held)
        assert 0 < shown < len(ROWS)
        assert (line["operator_id"], line["evses"]) == ("DEOLD", shown)
        old.save((), OperatorState(), forget=[row.key for row in ROWS if row.held])
        assert wiring.unconfigured() == {}


ROWS = [
    EvseRow(
        key=f"{number}",
        wire_id=f"{number}",
        source_id=f"{number}",
        presence=presence,
        status=status,
        in_doubt_since=doubt,
    )
    for number, (presence, status, doubt) in enumerate(
        product(Presence, (None, EvseStatus.AVAILABLE, EvseStatus.EVSE_NOT_FOUND), (None, 5.0))
    )
]
"""Every way in which an EVSE can be at Hubject."""
