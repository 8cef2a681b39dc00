"""What Hubject saw against what the ledger says: redundant pushes, doubts, pace. Reads only, after the fact.

A *redundant push* of an EVSE is an insert or update that Hubject carried out although it already held the EVSE with
just that status. It is attributable to doubt: after a request without a readable answer nobody can know better, so an
EVSE is pushed once after settle and asserted once more later. Hence at most two per EVSE and request in doubt. Full
loads are not counted; a rolling resync may add one per EVSE; and an EVSE that Hubject refused is pushed again to learn
whether it is still refused.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from oicp_adapter.simulator import Entry

WINDOW = 60.0
"""Seconds of Hubject's rate window."""
_DOUBTFUL = "outcome IN ('in_doubt', 'interrupted')"
_REFUSED = "outcome IN ('refused', 'too_large')"


@dataclass
class Replayed:
    """The journal, carried out a second time."""

    held: dict[str, str] = field(default_factory=dict)
    redundant: Counter[str] = field(default_factory=Counter)
    """Redundant pushes by EvseID."""
    answers: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    """The same by Process-ID (None: not answered as Hubject answers) and EvseID."""


def replay(journal: Iterable[Entry]) -> Replayed:
    """Carry out what Hubject applied, in its order. The journal must hold every record of every request."""
    seen = Replayed()
    for entry in journal:
        if not entry.applied:
            continue
        assert len(entry.records) == entry.count, "the journal is cut: raise journal_records"
        noops = _apply(seen, entry)
        assert noops == entry.noop, f"the journal's order is not Hubject's: {entry}"
    return seen


def _apply(seen: Replayed, entry: Entry) -> int:
    if entry.action == "fullLoad":
        seen.held = dict(entry.records)
        return 0
    if entry.action == "delete":
        for evse_id, _ in entry.records:
            seen.held.pop(evse_id, None)
        return 0
    noops = [evse_id for evse_id, status in entry.records if seen.held.get(evse_id) == status]
    if not entry.late:  # one that comes late was no redundant push when it was sent
        seen.redundant.update(noops)
        seen.answers.update((entry.process_id, evse_id) for evse_id in noops)
    seen.held.update(entry.records)
    return len(noops)


@dataclass(frozen=True)
class Belief:
    """What the ledger takes Hubject to hold for an EVSE."""

    status: str | None
    """None: it is not there."""
    doubtful: bool
    """On its way, in doubt or refused: the ledger claims nothing, and will try again."""


_NOT_THERE = Belief(status=None, doubtful=False)


def beliefs(ledger: Path) -> dict[str, Belief]:
    """By EvseID. One who is forgotten altogether is not at Hubject."""
    sql = """SELECT wire_id, CASE presence WHEN 'absent' THEN NULL ELSE status END,
                    in_doubt_since IS NOT NULL OR quarantine IS NOT NULL OR presence = 'unknown'
                    OR EXISTS (SELECT 1 FROM push LEFT JOIN push_record ON push_id = id WHERE finished_at IS NULL
                               AND (action = 'fullLoad' OR push_record.key = evse.key))
             FROM evse"""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return {
            evse_id: Belief(status=status, doubtful=bool(doubtful))
            for evse_id, status, doubtful in connection.execute(sql)
        }


def waiting(known: Mapping[str, Belief], expected: Mapping[str, str]) -> dict[str, str]:
    """EvseID → why the ledger does not say that Hubject holds what it should."""
    found = {}
    for evse_id in sorted(known.keys() | expected.keys()):
        belief, wanted = known.get(evse_id, _NOT_THERE), expected.get(evse_id)
        if belief.doubtful:
            found[evse_id] = f"doubtful, to become {wanted}"
        elif belief.status != wanted:
            found[evse_id] = f"{belief.status}, to become {wanted}"
    return found


def mistaken(known: Mapping[str, Belief], holds: Mapping[str, str]) -> dict[str, str]:
    """EvseID → what the ledger is sure of, and Hubject does not hold. Nothing may be on its way any more."""
    return {
        evse_id: f"{belief.status} by the ledger, {holds.get(evse_id)} at Hubject"
        for evse_id in sorted(known.keys() | holds.keys())
        if not (belief := known.get(evse_id, _NOT_THERE)).doubtful and belief.status != holds.get(evse_id)
    }


@dataclass
class Doubts:
    """What the ledger says about pushes whose fate was not known, or not as wished."""

    pushes: int = 0
    interrupted: int = 0
    """Of those, the ones a kill left open."""
    full_loads: int = 0
    """Of those, full loads: they put every EVSE in doubt."""
    doubted: Counter[str] = field(default_factory=Counter)
    """By EVSE key, full loads left out."""
    refused: Counter[str] = field(default_factory=Counter)
    rolled: int = 0
    """Cycles' worth of rolling resyncs: the most pushes of one EVSE for that reason."""

    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    """Process-ID and EVSE key → why the EVSE was pushed."""

    def why(self, replayed: Replayed) -> Counter[str]:
        """Redundant pushes by the reason the ledger gives."""
        found: Counter[str] = Counter()
        for (process_id, evse_id), count in replayed.answers.items():
            reason = self.reasons.get((process_id or "", _key(evse_id)), "its answer was lost")
            found[reason] += count
        return found

    def allowed(self, evse_id: str) -> int:
        """Redundant pushes that may be."""
        key = _key(evse_id)
        return 2 * (self.doubted[key] + self.full_loads) + self.refused[key] + self.rolled


def doubts(ledger: Path) -> Doubts:
    """Read them from a ledger nobody uses any more."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:

        def number(condition: str) -> int:
            sql = f"SELECT count(*) FROM push WHERE {condition}"
            found: int = connection.execute(sql).fetchone()[0]
            return found

        def by_evse(condition: str) -> Counter[str]:
            sql = f"""SELECT key, count(*) FROM push JOIN push_record ON push_id = push.id
                      WHERE action <> 'fullLoad' AND {condition} GROUP BY key"""
            return Counter(dict(connection.execute(sql)))

        return Doubts(
            pushes=number(_DOUBTFUL),
            interrupted=number("outcome = 'interrupted'"),
            full_loads=number(f"{_DOUBTFUL} AND action = 'fullLoad'"),
            doubted=by_evse(_DOUBTFUL),
            refused=by_evse(_REFUSED),
            rolled=max(by_evse("reason = 'rolling resync'").values(), default=0),
            reasons={
                (process_id, key): reason
                for process_id, key, reason in connection.execute(
                    "SELECT process_id, key, reason FROM push JOIN push_record ON push_id = push.id"
                )
            },
        )


def _key(evse_id: str) -> str:
    """As the ledger writes it: ISO ids are the same with and without `*`."""
    return evse_id.replace("*", "")


def excess(redundant: Counter[str], known: Doubts) -> dict[str, tuple[int, int]]:
    """EVSEs pushed redundantly more often than doubt explains: EvseID → (pushes, allowed)."""
    return {
        evse_id: (count, known.allowed(evse_id))
        for evse_id, count in redundant.items()
        if count > known.allowed(evse_id)
    }


def divergent(expected: Mapping[str, str], holds: Mapping[str, str]) -> list[str]:
    """EvseIDs about which Hubject is wrong."""
    return sorted(key for key in expected.keys() | holds.keys() if expected.get(key) != holds.get(key))


def busiest_minute(journal: Iterable[Entry]) -> int:
    """The most requests in any 60 s."""
    window: deque[float] = deque()
    most = 0
    for entry in journal:
        if entry.late:
            continue
        window.append(entry.at)
        while window[0] <= entry.at - WINDOW:
            window.popleft()
        most = max(most, len(window))
    return most


def hasty(journal: Iterable[Entry], *, wait: float, kills: Sequence[float]) -> list[Entry]:
    """Requests begun less than `wait` seconds after a 429 to the same process. `kills`: when processes died."""
    found = []
    asked_at: float | None = None
    for entry in sorted((entry for entry in journal if not entry.late), key=_began):
        too_soon = asked_at is not None and _began(entry) < asked_at + wait
        if too_soon and not any(asked_at <= kill <= entry.at for kill in kills if asked_at):
            found.append(entry)
        asked_at = entry.at if entry.http_status == 429 else None
    return found


def _began(entry: Entry) -> float:
    return entry.at - entry.duration


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
