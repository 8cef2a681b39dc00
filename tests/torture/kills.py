"""kill -9 at random moments, again and again: a real process, a real ledger, answers that get lost, a restless fleet.

    scripts/torture --kills [N]

The danger: kills that meet an idle process prove nothing. So every request takes a while, and the outcome tells how
many kills left a push open. Other danger: a late apply that is later than `settle` on a busy machine, which no
promise covers; so `settle` is twice as long as the latest.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from os import kill
from pathlib import Path

from msgspec.structs import replace

from oicp_adapter.simulator import Fault, FaultBox, SimulatorOptions
from tests.acceptance.house import GLANCE, OPERATOR_ID, House, opened, wait_until
from tests.torture.books import Doubts, Replayed, divergent, doubts, excess, replay
from tests.torture.fleet import RestlessFleet
from tests.torture.table import rows, say

EVSES, CHANGES_PER_SECOND = 100, 30
LOSS = 0.15
"""Share of requests whose answer gets lost, one way or another."""
MOMENT = 0.05
"""Seconds between changes of the export."""
PATIENCE = 20.0
"""Seconds to settle, at the most."""
CHAPTER = 6
"""Every so many lives one has time to settle, before later changes can heal what is wrong. Every other one of
these is killed while a full load is under way, which waits as long as anything is in doubt."""
IN_DOUBT = "SELECT count(*) FROM evse WHERE in_doubt_since IS NOT NULL"
FULL_LOAD_OPEN = "SELECT count(*) FROM push WHERE action = 'fullLoad' AND finished_at IS NULL"
LOST = (
    Fault(kind="drop_before_apply"),
    Fault(kind="drop_after_apply"),
    Fault(kind="drop_after_apply"),
    Fault(kind="late_apply", seconds=0.5, connection="drop"),
    Fault(kind="late_apply", seconds=0.5),
    Fault(kind="hang", apply=True),
    Fault(kind="garbage_truncated"),
    Fault(kind="answered_twice"),
    Fault(kind="stale_answer"),
    Fault(kind="internal_error"),
)
TAKES = (
    Fault(kind="latency_before_apply", seconds=0.02),
    Fault(kind="latency_after_apply", seconds=0.02),
    Fault(kind="latency_before_apply", seconds=0.1, actions=("fullLoad",)),
)

CONFIGURATION = """\
[hubject]
base_url = "{base_url}"
timeout = "300ms"
full_load_timeout = "500ms"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "1s"
missing = "delete"
missing_after = "1s"

[operators.slb]
id = "DE*SLB"
name = "SWLB"
source = {{ type = "file", path = "fleet.csv", vocabulary = "ocpi" }}
first_full_load = "automatic"
schedule = {{ delta = "500ms", reconcile = "1s", full = "03:00" }}
"""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    kills: int
    requests: int
    full_loads: int
    known: Doubts
    replayed: Replayed
    divergent: list[str]

    @property
    def too_often(self) -> dict[str, tuple[int, int]]:
        """EvseID → (redundant pushes, allowed), where doubt does not explain them."""
        return excess(self.replayed.redundant, self.known)


class Nursery:
    """Starts daemons in the house's directory, one at a time."""

    def __init__(self, house: House, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._log = house.place / "daemon.log"
        self.pid = 0

    def bear(self) -> None:
        """Start one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._log.name}\n")
        self._process.stdin.flush()
        self.pid = int(self._process.stdout.readline())

    @property
    def lives(self) -> bool:
        """Whether the last one does."""
        return Path(f"/proc/{self.pid}").exists()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal. It must not have ended by itself."""
        assert self.lives, f"the daemon ended by itself: {self._log.read_text()[-2000:]}"
        kill(self.pid, number)

    def bury(self, number: signal.Signals) -> None:
        """End it."""
        self.tell(number)
        wait_until(lambda: not self.lives, f"pid {self.pid} ends")


@contextmanager
def nursery(house: House) -> Iterator[Nursery]:
    """A nursery; whoever still lives ends with the block."""
    command = [sys.executable, "-m", "tests.torture.nursery"]
    environment = house.environment()
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    with subprocess.Popen(
        command, cwd=house.place, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        them = Nursery(house, process)
        try:
            yield them
        finally:
            if them.pid:
                with suppress(ProcessLookupError):
                    kill(them.pid, signal.SIGKILL)
            process.kill()


def kill_loop(place: Path, *, kills: int, seed: int) -> Outcome:
    """Kill so often, let it settle now and then, and look at what Hubject holds. Ends at once if it does not settle."""
    rng = random.Random(seed)
    options = SimulatorOptions(operators=[OPERATOR_ID], seed=seed, journal_records=EVSES)
    with opened(place, options) as house, nursery(house) as daemons:
        house.configure(CONFIGURATION)
        fleet = RestlessFleet(house.place / "fleet.csv", size=EVSES, rng=rng)
        faults = house.simulator.faults
        for number in range(1, kills + 1):
            _lose_answers(faults)
            daemons.bear()
            if number % CHAPTER:
                _live(rng.uniform(0.0, 1.0), fleet)
            else:
                _take_time(faults)
                if not _settles(house, fleet):
                    break
                _in_mid_air(house, daemons, full_load=number % (2 * CHAPTER) == 0)
                _live(rng.uniform(0.0, 0.15), fleet)
            daemons.bury(signal.SIGKILL)
        else:
            faults.clear()
            daemons.bear()
            _settles(house, fleet)
        daemons.bury(signal.SIGTERM)
        holds, journal = house.holds(), house.simulator.journal
        replayed = replay(journal)
        assert replayed.held == holds, "the journal and Hubject disagree: this test is wrong"
        return Outcome(
            kills=number,
            requests=sum(1 for entry in journal if not entry.late),
            full_loads=sum(1 for entry in journal if entry.action == "fullLoad" and not entry.late),
            known=doubts(house.ledger),
            replayed=replayed,
            divergent=divergent(fleet.expected, holds),
        )


def _take_time(box: FaultBox) -> None:
    box.clear()
    for fault in TAKES:
        box.add(fault)


def _lose_answers(box: FaultBox) -> None:
    _take_time(box)
    for fault in LOST:
        box.add(replace(fault, probability=LOSS / len(LOST)))


def _live(seconds: float, fleet: RestlessFleet) -> None:
    """Time in which the fleet changes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        fleet.change(round(CHANGES_PER_SECOND * MOMENT))
        time.sleep(min(MOMENT, left))  # noqa: TID251 - another process needs real time


def _in_mid_air(house: House, daemons: Nursery, *, full_load: bool) -> None:
    """Wait for a full load to be under way, if one is wanted."""
    if full_load:
        daemons.tell(signal.SIGUSR1)
        _wait(lambda: bool(_number(house.ledger, FULL_LOAD_OPEN)))


def _settles(house: House, fleet: RestlessFleet) -> bool:
    """Whether Hubject comes to hold what it should, with nothing in doubt."""
    return _wait(
        lambda: (
            not house.simulator.late
            and house.holds() == fleet.expected
            and not _number(house.ledger, IN_DOUBT)
        )
    )


def _wait(look: Callable[[], bool]) -> bool:
    """Until it is so, or patience is over; whether it is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(GLANCE)  # noqa: TID251 - another process needs real time
    return found


def _number(ledger: Path, sql: str) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        found: int = connection.execute(sql).fetchone()[0]
        return found


def main(kills: int, *, seed: int) -> int:
    """The loop with its figures; 0 if all is well."""
    with tempfile.TemporaryDirectory(prefix="oicp-kills-") as place:
        outcome = kill_loop(Path(place), kills=kills, seed=seed)
    known, redundant = outcome.known, outcome.replayed.redundant
    rows(
        ("kill -9, of which with a push in flight", outcome.kills, known.interrupted),
        ("requests, of which full loads", outcome.requests, outcome.full_loads),
        ("pushes in doubt, of which full loads", known.pushes, known.full_loads),
        ("redundant pushes, the most of one EVSE", redundant.total(), max(redundant.values(), default=0)),
        *((f"  {reason}", count) for reason, count in known.why(outcome.replayed).most_common()),
        ("EVSEs with more than doubt explains", len(outcome.too_often)),
        ("divergent EVSEs", len(outcome.divergent)),
    )
    assert not outcome.divergent, outcome.divergent
    assert not outcome.too_often, outcome.too_often
    say("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1))
