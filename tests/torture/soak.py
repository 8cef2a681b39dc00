"""A working day in half an hour: a real daemon, a restless fleet, 5 % faults, a kill -9 and a restart every minute.

    scripts/torture --soak [MINUTES]

The danger: load, faults or kills that quietly stop, so the figures tell how much of each there was. Everything is on
loopback and in a directory of its own; it ends by itself, at the latest `PATIENCE` after the last minute.

Memory: each daemon lives about a minute, and its RSS is read 50 s after its start. From life to life it can grow only
by what outlives a kill: the ledger. So the lives of the first third are compared with those of the last, median with
median. Within a life the same is done at 25 s and 50 s; that figure is printed and not judged, for Python's heap is
still filling up then.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oicp_adapter.simulator import SimulatorOptions
from tests.acceptance.house import OPERATOR_ID, Daemon, House, opened, wait_until
from tests.torture import faults
from tests.torture.books import doubts
from tests.torture.evidence import LIMIT, OLD, YOUNG, Evidence, Log
from tests.torture.fleet import RestlessFleet
from tests.torture.table import say

EVSES, CHANGES, FAULTS = 10_000, 20, 0.07
"""The fleet; changes per second; share of requests that is hit where nothing keeps the faults off: over all, 5 %."""
FULL_LOAD_EVERY, STOPPING_EVERY = 120, 150
"""Seconds between full loads asked for by SIGUSR1, and between faults that only a person (or a restart) cures."""
LULL = (20, 28, 36)
"""Seconds of every FULL_LOAD_EVERY: nothing strikes changes any more, the full load is asked for, all strikes again. A
full load waits while anything is in doubt, so without a lull it would hardly ever be sent."""
FULL_LOAD_FAULTS = 0.4
PATIENCE = 300.0
"""Seconds to settle at the end: ten times settle, the longest retry of a quarantined EVSE, and some."""

CONFIGURATION = """\
[hubject]
base_url = "{base_url}"
timeout = "2s"
full_load_timeout = "5s"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "5s"
missing = "delete"
missing_after = "5s"
missing_after_unchanged = "5s"
quarantine_retry = "5s"

[daemon]
grace = "10s"

[operators.slb]
id = "DE*SLB"
name = "SWLB"
source = {{ type = "file", path = "fleet.csv", vocabulary = "ocpi" }}
first_full_load = "automatic"
schedule = {{ delta = "1s", reconcile = "10s", full = "03:00" }}
"""


@dataclass
class Life:
    """One daemon from its start to its kill. Times are seconds of the monotonic clock."""

    daemon: Daemon
    born: float
    ends_at: float
    rss: dict[int, int] = field(default_factory=dict)
    """Age → kB."""

    def look(self) -> None:
        """Read its memory when it has the age for it. Fails if it ended by itself."""
        if not self.daemon.alive:
            raise AssertionError(f"the daemon ended with {self.daemon.ends(None)}: {self.daemon.err[-2000:]}")
        age = time.monotonic() - self.born
        for wanted in (YOUNG, OLD):
            if age >= wanted and wanted not in self.rss:
                self.rss[wanted] = _resident(self.daemon.pid)


class Soak:
    """The run: one tick per second."""

    def __init__(self, house: House, *, seconds: int, seed: int) -> None:
        self.house = house
        self.seconds = seconds
        self.rng = random.Random(seed)
        self.fleet = RestlessFleet(house.place / "fleet.csv", size=EVSES, rng=random.Random(seed))
        self.lives: list[Life] = []
        self.kills: list[float] = []
        """Epoch seconds."""
        self.log = Log()
        self._stopping = faults.stopping()
        self._striking: list[int] = []

    def run(self) -> None:
        """All of it, to the moment when everything should have settled."""
        box = self.house.simulator.faults
        self._born()
        faults.arm(box, FULL_LOAD_FAULTS, actions=faults.FULL_LOADS)
        self._strike()
        began = time.monotonic()
        for second in range(1, self.seconds + 1):
            self.fleet.change(CHANGES)
            self._mischief(second)
            self._lives_on()
            if second % 60 == 0:
                self._report(second)
            _pause(began + second - time.monotonic())
        box.clear()
        self._settle()

    def _mischief(self, second: int) -> None:
        box = self.house.simulator.faults
        if second % STOPPING_EVERY == 0:
            box.add(next(self._stopping))
        if second == self.seconds * 3 // 4:
            box.add(faults.FULL_LOAD_TOO_LARGE)
        lull, ask, over = LULL
        if second % FULL_LOAD_EVERY == lull:
            for number in self._striking:
                box.remove(number)
        if second % FULL_LOAD_EVERY == ask:
            self.lives[-1].daemon.tell(signal.SIGUSR1)
        if second % FULL_LOAD_EVERY == over:
            self._strike()

    def _strike(self) -> None:
        self._striking = faults.arm(self.house.simulator.faults, FAULTS)

    def _lives_on(self) -> None:
        life = self.lives[-1]
        life.look()
        left = life.ends_at - time.monotonic()
        if left < 1:
            _pause(left)
            life.daemon.dies()
            self.kills.append(time.time())  # noqa: TID251 - the journal is in real time
            self.log.take(life.daemon.lines())
            self._born()

    def _born(self) -> None:
        now = time.monotonic()
        self.lives.append(Life(self.house.run(), now, now + self.rng.uniform(57, 63)))

    def _settle(self) -> None:
        """Nothing goes wrong any more and nothing changes: wait until the adapter, too, says that it is done."""
        daemon = self.lives[-1].daemon

        def settled() -> bool:
            _pause(0.5)
            self.lives[-1].look()
            done = daemon.lines("delta.done")[-1:]
            calm = bool(done) and not any(done[0][name] for name in ("in_doubt", "quarantined", "backlog"))
            return calm and not self.house.simulator.late and self.house.holds() == self.fleet.expected

        wait_until(settled, "everything has settled", within=PATIENCE)
        assert daemon.ends() == 0, daemon.err
        self.log.take(daemon.lines())

    def _report(self, second: int) -> None:
        requests = len(self.house.simulator.journal)
        rss = [life.rss[OLD] for life in self.lives if OLD in life.rss][-1:]
        say(f"{second // 60:3} min: {requests} requests, {len(self.kills)} kills, RSS {rss} kB")

    def evidence(self) -> Evidence:
        """All that was seen."""
        simulator = self.house.simulator
        return Evidence(
            expected=self.fleet.expected,
            holds=self.house.holds(),
            journal=simulator.journal,
            rules_broken=simulator.rules_broken,
            hits=simulator.faults.hits,
            known=doubts(self.house.ledger),
            log=self.log,
            kills=self.kills,
            memory=[life.rss for life in self.lives],
            changes=self.fleet.changes,
        )


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def _pause(seconds: float) -> None:
    time.sleep(max(0.0, seconds))  # noqa: TID251 - this is what real time is for


@contextmanager
def _place() -> Iterator[Path]:
    """A directory that is left behind only if something went wrong, to look into."""
    place = Path(tempfile.mkdtemp(prefix="oicp-soak-"))
    try:
        yield place
    except BaseException:
        say(f"left behind: {place}")
        raise
    shutil.rmtree(place)


def main(minutes: int, *, seed: int) -> int:
    """The soak; 0 if all is well."""
    options = SimulatorOptions(
        operators=[OPERATOR_ID],
        seed=seed,
        journal_records=10 * EVSES,
        journal_size=minutes * 2 * LIMIT,
        late_at_most=faults.LATEST
        + 1.5,  # less than settle, or a busy machine breaks a promise we do not give
    )
    say(f"{minutes} minutes, seed {seed}; pid {os.getpid()}")
    with _place() as place, opened(place, options) as house:
        house.configure(CONFIGURATION)
        soak = Soak(house, seconds=minutes * 60, seed=seed)
        soak.run()
        seen = soak.evidence()
        seen.show()
        wrong = seen.wrong()
        assert not wrong, "\n".join(wrong)
    say("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1))
