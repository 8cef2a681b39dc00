"""kill -9 at random moments, again and again: a real process, a real ledger, answers that get lost, a restless fleet.

    scripts/torture --kills [N]

The danger: kills that meet an idle process prove nothing. So every request takes a while, the outcome tells how many
kills left a push open, and more are made while those are too few. Other danger: a slow machine. Patience is by
progress; a life is counted from the daemon's start, however long that takes; and what Hubject's stand-in comes to only
after `settle`, because it was starved, it drops: no promise covers an apply as late as that.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from os import kill
from pathlib import Path

from msgspec.structs import replace

from oicp_adapter.simulator import Fault, FaultBox, SimulatorOptions
from tests import leash
from tests.acceptance.house import OPERATOR_ID, House, opened, wait_until
from tests.patience import awaited
from tests.torture.books import (
    Doubts,
    Replayed,
    beliefs,
    divergent,
    doubts,
    excess,
    mistaken,
    replay,
    waiting,
)
from tests.torture.fleet import RestlessFleet
from tests.torture.table import rows, say

EVSES, CHANGES_PER_SECOND = 100, 30
LOSS = 0.15
"""Share of requests whose answer gets lost, one way or another."""
MOMENT = 0.05
"""Seconds between changes of the export."""
STILL, AT_MOST = 20.0, 900.0
"""Seconds: how long nothing may move before it counts as not settling, and the most that settling may take."""
SETTLE, LATE_AT_MOST = 1.0, 0.8
"""Seconds: what the adapter is told, and what the stand-in keeps to."""
CHAPTER = 6
"""Every so many lives one has time to settle, before later changes can heal what is wrong. Every other one of
these is killed while a full load is under way, which waits as long as anything is in doubt."""
TRIES = 3
"""So many times the kills asked for, while too few of them have met what they should meet."""
OPEN = "SELECT count(*) FROM push WHERE finished_at IS NULL"
FULL_LOAD_OPEN = f"{OPEN} AND action = 'fullLoad'"
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
    Fault(kind="latency_before_apply", seconds=0.2, actions=("fullLoad",)),
)

CONFIGURATION = f"""\
[hubject]
base_url = "{{base_url}}"
timeout = "2s"
full_load_timeout = "2s"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "{SETTLE}s"
missing = "delete"
missing_after = "1s"
missing_after_unchanged = "1s"

[operators.slb]
id = "DE*SLB"
name = "SWLB"
source = {{{{ type = "file", path = "fleet.csv", vocabulary = "ocpi" }}}}
first_full_load = "automatic"
schedule = {{{{ delta = "500ms", reconcile = "1s", full = "03:00" }}}}
"""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    kills: int
    requests: int
    full_loads: int
    known: Doubts
    replayed: Replayed
    settled: bool
    """Whether it came to rest whenever it was given time to. If not, see `waiting`."""
    waiting: Mapping[str, str]
    """EvseID → what the ledger says is still to be done about it."""
    mistaken: Mapping[str, str]
    """EvseID → what the ledger takes for certain, and Hubject does not hold: wrong whether it has settled or not."""
    divergent: list[str]
    """EvseIDs about which Hubject is wrong at the end, for whatever reason."""

    @property
    def too_often(self) -> dict[str, tuple[int, int]]:
        """EvseID → (redundant pushes, allowed), where doubt does not explain them."""
        return excess(self.replayed.redundant, self.known)


class Nursery:
    """Starts daemons in the house's directory, one at a time."""

    def __init__(self, house: House) -> None:
        self._log = house.place / "daemon.log"
        self._log.touch()
        self._pids = house.place / "pids"
        self._born = 0
        self._said_before = 0
        self.pid = 0
        environment = house.environment()
        environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
        with self._pids.open("wb") as pids:
            self._process = leash.begin(
                [sys.executable, "-m", "tests.torture.nursery"],
                cwd=house.place,
                env=environment,
                stdin=leash.PIPE,
                stdout=pids,
            )

    def bear(self) -> None:
        """Start one, and wait until it is there."""
        assert self._process.stdin is not None
        self._said_before = self._log.stat().st_size
        self._process.stdin.write(f"{self._log.name}\n".encode())
        self._process.stdin.flush()
        self._born += 1
        self.pid = int(wait_until(self._newborn, f"daemon {self._born} is born"))

    def _newborn(self) -> str:
        assert self._process.poll() is None, "the nursery ended by itself"
        pids = self._pids.read_text().splitlines(keepends=True)
        return pids[-1] if len(pids) == self._born and pids[-1].endswith("\n") else ""

    def works(self) -> None:
        """Wait until the last one has read settings and ledger, and begins."""

        def begun() -> bool:
            assert self.lives, f"the daemon ended by itself: {self._log.read_text()[-2000:]}"
            return b'"daemon.started"' in self._log.read_bytes()[self._said_before :]

        wait_until(begun, f"daemon {self._born} begins to work")

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

    def close(self) -> None:
        """Whoever still lives ends."""
        if self.pid:
            with suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        leash.end(self._process)


@contextmanager
def nursery(house: House) -> Iterator[Nursery]:
    """A nursery for the length of the block."""
    them = Nursery(house)
    try:
        yield them
    finally:
        them.close()


class KillLoop:
    """A house, its restless fleet, and daemons that die in it."""

    def __init__(self, house: House, daemons: Nursery, rng: random.Random) -> None:
        self.house = house
        self.daemons = daemons
        self.rng = rng
        self.fleet = RestlessFleet(house.place / "fleet.csv", size=EVSES, rng=rng)
        self.kills = 0
        self.in_flight = 0
        """Kills that left a push open."""
        self.full_loads = 0
        """Kills that left a full load open."""

    def run(self, kills: int) -> bool:
        """Kill at least so often, and give it time to settle now and then. False: it did not, and that was the end."""
        while self.kills < kills or (self.kills < TRIES * kills and not self._has_met_enough()):
            _lose_answers(self.house.simulator.faults)
            self.daemons.bear()
            if (self.kills + 1) % CHAPTER:
                self._short_life()
            elif not self._long_life():
                return False
            self._dies()
        self.house.simulator.faults.clear()
        self.daemons.bear()
        return self._settles()

    def _has_met_enough(self) -> bool:
        return self.in_flight >= self.kills // 4 and self.full_loads > 0

    def _short_life(self) -> None:
        if self.rng.random() < 0.8:
            self.daemons.works()  # the others may die on the way there
        self._live(self.rng.uniform(0.0, 0.7))

    def _long_life(self) -> bool:
        """Whether it settled before its end."""
        self.house.simulator.faults.clear()
        if not self._settles():
            return False
        _take_time(self.house.simulator.faults)
        if (self.kills + 1) % (2 * CHAPTER) == 0:
            self.daemons.tell(signal.SIGUSR1)
            self._wait_for_a_full_load()
        self._live(self.rng.uniform(0.0, 0.15))
        return True

    def _dies(self) -> None:
        self.daemons.bury(signal.SIGKILL)
        self.kills += 1
        self.in_flight += bool(_number(self.house.ledger, OPEN))
        self.full_loads += bool(_number(self.house.ledger, FULL_LOAD_OPEN))

    def _live(self, seconds: float) -> None:
        """Time in which the fleet changes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.fleet.change(round(CHANGES_PER_SECOND * MOMENT))
            time.sleep(min(MOMENT, left))  # noqa: TID251 - another process needs real time

    def _wait_for_a_full_load(self) -> None:
        before = len(self.house.requests("fullLoad"))

        def begun() -> bool:
            over = len(self.house.requests("fullLoad")) > before
            return over or bool(_number(self.house.ledger, FULL_LOAD_OPEN))

        awaited(begun, within=STILL, moving=self._state, at_most=AT_MOST)

    def _settles(self) -> bool:
        """Whether Hubject comes to hold what it should, and the ledger knows that it does."""
        return awaited(self._settled, within=STILL, moving=self._state, at_most=AT_MOST)

    def _settled(self) -> bool:
        house = self.house
        return not house.simulator.late and house.holds() == self.fleet.expected and not self._waiting()

    def _waiting(self) -> Mapping[str, str]:
        return waiting(beliefs(self.house.ledger), self.fleet.expected)

    def _state(self) -> object:
        """What changes while there is progress."""
        return len(self.house.simulator.journal), self._waiting()


def kill_loop(place: Path, *, kills: int, seed: int) -> Outcome:
    """Kill so often, let it settle now and then, and look at what Hubject holds. Ends at once if it does not settle."""
    options = SimulatorOptions(
        operators=[OPERATOR_ID], seed=seed, journal_records=EVSES, late_at_most=LATE_AT_MOST
    )
    with opened(place, options) as house, nursery(house) as daemons:
        house.configure(CONFIGURATION)
        loop = KillLoop(house, daemons, random.Random(seed))
        settled = loop.run(kills)
        daemons.bury(signal.SIGTERM)
        awaited(lambda: not house.simulator.late)
        holds, journal, known = house.holds(), house.simulator.journal, beliefs(house.ledger)
        replayed = replay(journal)
        assert replayed.held == holds, "the journal and Hubject disagree: this test is wrong"
        return Outcome(
            kills=loop.kills,
            requests=sum(1 for entry in journal if not entry.late),
            full_loads=sum(1 for entry in journal if entry.action == "fullLoad" and not entry.late),
            known=doubts(house.ledger),
            replayed=replayed,
            settled=settled,
            waiting=waiting(known, loop.fleet.expected),
            mistaken=mistaken(known, holds),
            divergent=divergent(loop.fleet.expected, holds),
        )


def _take_time(box: FaultBox) -> None:
    box.clear()
    for fault in TAKES:
        box.add(fault)


def _lose_answers(box: FaultBox) -> None:
    _take_time(box)
    for fault in LOST:
        box.add(replace(fault, probability=LOSS / len(LOST)))


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
        ("EVSEs the ledger is mistaken about", len(outcome.mistaken)),
        ("EVSEs it has not done with", len(outcome.waiting)),
        ("divergent EVSEs", len(outcome.divergent)),
    )
    assert not outcome.mistaken, outcome.mistaken
    assert outcome.settled, f"it moves no more: {outcome.waiting}"
    assert not outcome.divergent, outcome.divergent
    assert not outcome.too_often, outcome.too_often
    say("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1))
