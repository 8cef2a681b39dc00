"""What a soak came to: the figures for people, and what is wrong.

The danger: a soak that cannot fail. So Hubject's journal is carried out a second time and counted here, and the
adapter's own account is used only for what nobody else can know: what it was in doubt about, and how long it took.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oicp_adapter.simulator import BrokenRule, Entry
from tests.acceptance.house import Line
from tests.torture.books import (
    Doubts,
    Replayed,
    busiest_minute,
    divergent,
    excess,
    hasty,
    percentile,
    replay,
)
from tests.torture.faults import RETRY_AFTER
from tests.torture.table import rows

LIMIT = 2000
"""Pushes in any 60 s (Hubject's acceptable use policy)."""
GROWTH = 0.05
YOUNG, OLD = 25, 50
"""Seconds of a life at which a daemon's memory is read."""
ACTIONS = ("insert", "update", "delete", "fullLoad")


@dataclass
class Log:
    """What the daemons said."""

    waits: list[float] = field(default_factory=list)
    """Seconds from a change seen to its acknowledgement."""
    backlogs: list[int] = field(default_factory=list)
    bundles: list[int] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    def take(self, lines: Sequence[Line]) -> None:
        """One daemon's."""
        for line in lines:
            self.events[line["event"]] += 1
            if line["event"] == "delta.done":
                self.durations.append(line["duration"])
                self.backlogs.append(line["backlog"])
            if line["event"] == "delta.done" and line["acked"]:
                self.waits.append(line["slowest"])
                self.bundles.append(line["bundle"])


@dataclass(kw_only=True)
class Evidence:
    """All that was seen."""

    expected: Mapping[str, str]
    holds: Mapping[str, str]
    """EvseID → status: what Hubject should hold, and what it does."""
    journal: Sequence[Entry]
    rules_broken: Sequence[BrokenRule]
    hits: Mapping[tuple[str, str], int]
    known: Doubts
    log: Log
    kills: Sequence[float]
    """Epoch seconds."""
    memory: Sequence[Mapping[int, int]]
    """Of each life: age → kB."""
    changes: int
    replayed: Replayed = field(init=False)

    def __post_init__(self) -> None:
        self.replayed = replay(self.journal)

    @property
    def sent(self) -> list[Entry]:
        """The requests, late applies left out."""
        return [entry for entry in self.journal if not entry.late]

    @property
    def growth(self) -> float:
        """Of memory, from the first third of the lives to the last."""
        old = [life[OLD] for life in self.memory if OLD in life]
        third = max(1, len(old) // 3)
        return _growth(old[:third], old[-third:])

    @property
    def growth_within(self) -> float:
        """Of memory, from young to old."""
        both = [life for life in self.memory if len(life) == 2]
        return _growth([life[YOUNG] for life in both], [life[OLD] for life in both])

    def wrong(self) -> list[str]:
        """What breaks a promise; nothing if all is well."""
        busiest = busiest_minute(self.journal)
        impatient = hasty(self.journal, wait=RETRY_AFTER - 1, kills=self.kills)
        too_often = excess(self.replayed.redundant, self.known)
        wrong = divergent(self.expected, self.holds)
        findings = {
            f"{len(wrong)} divergent EVSEs: {wrong[:5]}": bool(wrong),
            f"rules broken: {self.rules_broken[:3]}": bool(self.rules_broken),
            f"{busiest} requests within 60 s": busiest > LIMIT,
            f"Retry-After not honoured: {impatient[:3]}": bool(impatient),
            f"redundant beyond doubt: {list(too_often.items())[:5]}": bool(too_often),
            f"memory grew by {self.growth:.1%}": self.growth >= GROWTH,
            "the journal and Hubject disagree: this test is wrong": self.replayed.held != self.holds,
            "a job failed, see the logs": bool(self.log.events["job.failed"]),
        }
        return [text for text, found in findings.items() if found]

    def show(self) -> None:
        """The figures as tables."""
        log, known, redundant = self.log, self.known, self.replayed.redundant
        hit = sum(1 for entry in self.sent if entry.faults)
        rows(
            ("EVSEs, changes written", len(self.expected), self.changes),
            (
                "requests, of which hit by a fault",
                len(self.sent),
                f"{hit} ({hit / max(1, len(self.sent)):.1%})",
            ),
            ("late applies", len(self.journal) - len(self.sent)),
            ("kill -9, of which with a push in flight", len(self.kills), known.interrupted),
            ("full loads applied, rolling resyncs", self._full_loads(), log.events["full.rolled"]),
            ("pushes in doubt, of which full loads", known.pushes, known.full_loads),
            ("times an EVSE was quarantined", log.events["evse.quarantined"]),
            ("redundant pushes, the most of one EVSE", redundant.total(), max(redundant.values(), default=0)),
            *((f"  {reason}", count) for reason, count in known.why(self.replayed).most_common()),
            ("busiest minute", f"{busiest_minute(self.journal)} requests"),
            (
                "change to acknowledgement p50, p99, most",
                *(f"{percentile(log.waits, share):.1f} s" for share in (0.5, 0.99, 1)),
            ),
            ("cycle p50, p99", *(f"{percentile(log.durations, share):.2f} s" for share in (0.5, 0.99))),
            ("backlog after a cycle p50, p99", *(percentile(log.backlogs, share) for share in (0.5, 0.99))),
            ("largest bundle p50, p99", *(percentile(log.bundles, share) for share in (0.5, 0.99))),
            *((f"RSS at {age} s, median", f"{self._memory(age):.1f} MiB") for age in (YOUNG, OLD)),
            ("RSS growth over the lives, within one", f"{self.growth:+.1%}", f"{self.growth_within:+.1%}"),
            ("divergent EVSEs", len(divergent(self.expected, self.holds))),
        )
        requests = Counter(entry.action for entry in self.sent)
        rows(
            ("", *ACTIONS),
            ("requests", *(requests[action] for action in ACTIONS)),
            *(
                (kind, *(self.hits.get((kind, action), 0) for action in ACTIONS))
                for kind in sorted({kind for kind, _ in self.hits})
            ),
        )

    def _full_loads(self) -> int:
        return sum(1 for entry in self.journal if entry.action == "fullLoad" and entry.applied)

    def _memory(self, age: int) -> float:
        found = [life[age] for life in self.memory if age in life]
        return statistics.median(found) / 1024 if found else 0.0


def _growth(before: Sequence[int], after: Sequence[int]) -> float:
    return statistics.median(after) / statistics.median(before) - 1 if before and after else 0.0
