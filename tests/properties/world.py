"""One operator's whole world in memory: backend, adapter as wiring would build it, ledger, Hubject, virtual time.

A plain test drives it by hand, the state machine by chance; both get the same checks after every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

from oicp_adapter.core.guards import Allowance, GuardPolicy
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Cause, ConnectorState, MappedFleet, SourceRead, SourceRecord
from oicp_adapter.core.plan import Missing, PlanPolicy
from oicp_adapter.core.records import EvseRow
from oicp_adapter.errors import LedgerError, SourceError
from oicp_adapter.ledger.memory import MemoryLedger
from oicp_adapter.ports import Ledger
from oicp_adapter.simulator.state import Semantics
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.decide import Decider
from oicp_adapter.sync.delivery import CyclePolicy
from oicp_adapter.sync.full import FullLoader
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.resync import Resync
from oicp_adapter.sync.work import DeliveryPolicy
from oicp_adapter.telemetry.log import EventLog
from tests.properties.hubject import OPERATOR, Hubject, key_of
from tests.properties.judge import Judge
from tests.properties.mass import MassJudge, Said
from tests.properties.virtual import Boundaries, CrashNow, MinedLedger, VirtualClock, Watchers

Result = TypeVar("Result")
DELTA = 10.0
SILENCE = 4 * 3600.0
"""Seconds: older than any sign of life that counts."""
OCPI = {
    "AVAILABLE": "Available",
    "CHARGING": "Occupied",
    "BLOCKED": "Occupied",
    "RESERVED": "Occupied",
    "INOPERATIVE": "OutOfService",
    "OUTOFORDER": "OutOfService",
    "UNKNOWN": "Unknown",
    "REMOVED": "EvseNotFound",
    "PLANNED": None,
    "KAPUTT": "Unknown",
}
"""OCPI status → OICP status; None: not published. Written from docs/mapping.md, not from the code."""


def evse(number: int) -> str:
    """The EvseID of an EVSE of the fleet."""
    return f"DE*ABC*E{number:03d}"


@dataclass
class Backend:
    """The operator's backend: what it says, and how badly it says it."""

    evses: dict[str, str] = field(default_factory=dict)
    """EvseID → OCPI status."""
    respelled: set[str] = field(default_factory=set)
    twins: dict[str, str] = field(default_factory=dict)
    """EvseID → OCPI status of a second record, which writes that EvseID with another separator."""
    nameless: set[str] = field(default_factory=set)
    """EvseIDs whose records have lost them; the station is still named."""
    odd: list[SourceRecord] = field(default_factory=list)
    failing: bool = False
    silent: set[str] = field(default_factory=set)
    """EVSEs whose last sign of life is hours old; they keep their last word."""
    heard: Callable[[Mapping[str, Said]], None] = lambda said: None
    """Told what each read says; nothing if it failed."""
    hidden: set[str] = field(default_factory=set)
    """EVSEs the next reads do not have; those reads say that they are incomplete."""
    boundaries: Boundaries = field(default_factory=Boundaries)
    last: SourceRead | None = None
    writing: int = 0
    stands: bool = False
    """Nothing is written: each read is of the same writing."""
    missed: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """Key → (writing, time) of every complete read since it was last in one."""
    ever: set[str] = field(default_factory=set)
    """Keys that were in a read."""
    claimed: set[str] = field(default_factory=set)
    """Keys that two records of the last read claim without agreeing."""

    def read(self, now: float) -> SourceRead:
        self.boundaries.cross("read")
        self.last = None
        self.heard({})
        if self.failing:
            raise SourceError("the backend does not answer")
        seen = {wire: status for wire, status in self.evses.items() if wire not in self.hidden}
        records = [
            SourceRecord(
                evse_id=self._spelled(wire),
                station_id=f"S-{wire}",
                status=status,
                last_heartbeat=now - SILENCE if wire in self.silent else None,
            )
            for wire, status in seen.items()
        ]
        records += [
            SourceRecord(evse_id=f"{wire[:-1]}*{wire[-1]}", station_id=f"T-{wire}", status=self.twins[wire])
            for wire in seen
            if self._is_twice(wire)
        ]
        self.claimed = {key_of(wire) for wire in seen if self.says(wire) is CLAIMED}
        self.writing += not self.stands
        self.last = SourceRead(
            records=records + self.odd, complete=not self.hidden, writing=str(self.writing)
        )
        self._note_missed(self.last, now)
        self.heard({key_of(wire): self.says(wire) for wire in seen if wire not in self.nameless})
        return self.last

    def _note_missed(self, read: SourceRead, now: float) -> None:
        here = {key_of(wire) for wire in self.evses if wire not in self.hidden and self._is_there(wire)}
        for key in here:
            self.missed.pop(key, None)
        if read.complete:
            for key in ({key_of(wire) for wire in self.evses} | self.ever) - here:
                self.missed.setdefault(key, []).append((read.writing, now))
        self.ever |= here

    def _is_there(self, wire: str) -> bool:
        one = self.says(wire)
        return wire in self.nameless or bool(one.unread) or one.status is not None

    def may_go(self, key: str, *, now: float, unchanged: float) -> bool:
        """It was missed by reads of two writings, or by one that has stood still; or the source says REMOVED."""
        reads = self.missed.get(key)
        if not reads:
            return True
        return reads[-1][0] != reads[0][0] or now - reads[0][1] >= unchanged

    def _spelled(self, wire: str) -> str | None:
        if wire in self.nameless:
            return None
        return wire.replace("*", "") if wire in self.respelled else wire

    def _is_twice(self, wire: str) -> bool:
        return wire in self.twins and wire not in self.nameless

    def says(self, wire: str) -> Said:
        """What it says of one EVSE. What is not there claims nothing from another record that is."""
        said = [_said(self.evses[wire], silent=wire in self.silent)]
        if self._is_twice(wire):
            said.append(_said(self.twins[wire], silent=False))
        present = [one for one in said if one.unread or one.status not in (None, "EvseNotFound")]
        if len({"Unknown" if one.unread else one.status for one in present}) > 1:
            return CLAIMED
        return (present or said)[-1]  # of two that agree the one whose spelling comes first

    def wanted(self) -> dict[str, str | None]:
        """Key → the status Hubject should show; None: nothing, or EvseNotFound."""
        found = {
            key_of(wire): "Unknown" if (one := self.says(wire)).unread else one.status
            for wire in self.evses
            if wire not in self.nameless
        }
        return {key: None if status == "EvseNotFound" else status for key, status in found.items()}

    def unusable(self) -> set[str]:
        """Keys of EVSEs that are in the backend, in records that do not name them, and in no other."""
        named = {one.evse_id for one in self.odd}
        return {key_of(wire) for wire in self.nameless if wire in self.evses and wire not in named}


CLAIMED = Said(None, "unmapped")
"""Two records that do not agree."""


def _said(word: str, *, silent: bool) -> Said:
    readable = None if word == "KAPUTT" else OCPI[word]
    if silent and word not in ("REMOVED", "PLANNED"):
        return Said(readable, "silent")
    return Said(readable, "unmapped" if word == "KAPUTT" else "")


class _Events:
    """A logger that only counts."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def log(self, level: int, event: str, **fields: object) -> None:
        self._counts[event] += 1


@dataclass(kw_only=True)
class Choices:
    """What differs from operator to operator."""

    semantics: Semantics = "strict"
    names_ids: bool = True
    missing: Missing = Missing.EVSE_NOT_FOUND
    guards: GuardPolicy = field(default_factory=GuardPolicy)
    automatic: bool = False
    settle: float = 60.0
    missing_after: float = 60.0
    unknown_after: float | None = None
    calls_per_minute: int = 1900
    """The fewer, the larger the bundles: 1900 sends the changes of a small fleet one by one."""
    seed: int = 0


def _map(
    records: Iterable[SourceRecord], now: float, remembered: Mapping[str, tuple[ConnectorState, ...]]
) -> MappedFleet:
    rules = MappingRules(vocabulary="ocpi", prefixes=(parse_prefix(OPERATOR),))
    return map_fleet(records, rules, now=now, previous=remembered)


class World:
    """Everything, with the judge watching."""

    def __init__(self, choices: Choices | None = None, *, ledger: Callable[[], Ledger] | None = None) -> None:
        self.choices = choices = choices or Choices()
        self.clock = VirtualClock()
        self.boundaries = Boundaries()
        self.backend = Backend(boundaries=self.boundaries)
        self.judge = Judge(
            clock=self.clock,
            settle=choices.settle,
            share=choices.guards.withdrawal_share,
            count=choices.guards.withdrawal_count,
            automatic=choices.automatic,
        )
        self.judge.wanted = self.backend.wanted
        self.judge.may_go = lambda key: self.backend.may_go(
            key, now=self.clock.now(), unchanged=PlanPolicy().missing_after_unchanged - self.judge.slack
        )
        self.mass = MassJudge(
            clock=self.clock,
            guards=choices.guards,
            slack=15 * choices.settle,
            allowance=lambda: self.judge.run.allowance,
        )
        self.backend.heard = self.mass.read
        self.judge.unusable = self.backend.unusable
        self.judge.claimed = lambda: self.backend.claimed
        self.hubject = Hubject(
            clock=self.clock,
            boundaries=self.boundaries,
            watch=self.judge,
            semantics=choices.semantics,
            names_ids=choices.names_ids,
        )
        self._memory = MemoryLedger()
        self._open_ledger: Callable[[], Ledger] = ledger or (lambda: self._memory)
        self._random = Random(choices.seed)
        self._ids = iter(range(10**9))
        self.events: Counter[str] = Counter()
        self.crashes = 0
        self.inner = self._open_ledger()
        self.sync = self._built()

    # the adapter

    def _built(self) -> OperatorSync:
        """As wiring builds it, over the same ledger each time."""
        choices = self.choices
        ledger = MinedLedger(self.inner, self.boundaries, Watchers(self.judge, self.mass))
        decider = Decider(
            operator="abc",
            plan=PlanPolicy(
                settle=choices.settle, missing=choices.missing, missing_after=choices.missing_after
            ),
            guards=choices.guards,
        )
        publisher = Publisher(
            hub=self.hubject,
            ledger=ledger,
            clock=self.clock,
            policy=DeliveryPolicy(
                operator_id=OPERATOR,
                operator_name="ABC",
                settle=choices.settle,
                calls_per_minute=choices.calls_per_minute,
            ),
        )
        return OperatorSync(
            source=self.backend,
            mapper=_map,
            ledger=ledger,
            clock=self.clock,
            decider=decider,
            publisher=publisher,
            full_loader=FullLoader(
                decider=decider, publisher=publisher, automatic_baseline=choices.automatic
            ),
            policy=CyclePolicy(delta_interval=DELTA, unknown_after=choices.unknown_after),
            log=EventLog(cast(Any, _Events(self.events))),
            new_id=lambda: f"c{next(self._ids)}",
            chance=self._random.random,
        )

    def restart(self) -> None:
        """The process ends and another begins over the same ledger."""
        self._interrupted()
        self.judge.restarted()
        self.inner = self._open_ledger()
        self.sync = self._built()

    def lose_ledger(self, *, mark_kept: bool) -> None:
        """It is deleted when nothing is under way any more, with the mark beside it or without."""
        self.clock.advance(10 * self.choices.settle + 1)
        self._interrupted()
        self._memory = MemoryLedger(self._memory.mark if mark_kept else None)
        self.inner = self._open_ledger()
        self.judge.lost(mark_kept=mark_kept)
        self.mass.lost()
        self.sync = self._built()

    def delta(self) -> CycleReport | None:
        return self._cycle("delta", Allowance(), self.sync.delta)

    def reconcile(self) -> CycleReport | None:
        return self._cycle("reconcile", Allowance(), self.sync.reconcile)

    def nightly(self) -> CycleReport | None:
        return self._cycle("full", Allowance(), lambda: self.sync.full(asked="schedule"))

    def resync(
        self,
        *,
        adopt: int | None = None,
        allow: int | None = None,
        allow_unknown: int | None = None,
        empties: bool = False,
        patience: int = 8,
    ) -> str:
        """A manual resync, waiting as the daemon would; how it ended, "waiting" or "crashed"."""
        allowance = Allowance(adopt=adopt, withdrawals=allow, unknowns=allow_unknown, empties_the_map=empties)
        self.mass.begin_run()
        resync = Resync(self.sync, allowance, now=self.clock.now(), asked="resync #1")
        for _ in range(patience):
            ended = self._cycle("resync", allowance, lambda: resync.step(self.clock.now()) or "waiting")
            if ended is None:
                return "crashed"
            if not isinstance(ended, str):
                return ended.state.value
            self.clock.advance(DELTA)
        return "waiting"

    def full_size(self) -> int:
        """How many records a full load would hold now; looking changes nothing."""
        before = self.inner.load()
        found = self.sync.preview()
        after = self.inner.load()
        assert (before.rows, before.state) == (after.rows, after.state), "`plan` wrote to the ledger"
        return len(found.full.records)

    def _cycle(self, job: str, allowance: Allowance, step: Callable[[], Result]) -> Result | None:
        run = self.judge.begin_run(job, allowance)
        self.mass.begin_cycle()
        self.hubject.run = run.number
        try:
            result = step()
        except CrashNow:
            self.crashes += 1
            self.restart()
            return None
        except LedgerError:  # the daemon logs it and goes on
            self._interrupted()
            return None
        if isinstance(result, CycleReport):
            self._fresh(result, struck=bool(run.struck))
        return result

    def _interrupted(self) -> None:
        self.judge.interrupted()
        self.mass.interrupted()

    # what must hold

    def check(self) -> None:
        """After every step."""
        self.judge.compare(self.inner.load(), self.hubject.statuses())
        assert not self.hubject.decider.journal.broken, list(self.hubject.decider.journal.broken)

    def rows(self) -> dict[str, EvseRow]:
        return self.inner.load().rows

    def _fresh(self, report: CycleReport, *, struck: bool) -> None:
        """P1: a cycle in which nothing went wrong leaves nothing behind but what it may."""
        read = self.backend.last
        if struck or report.failures or read is None:
            return
        if report.duration >= DeliveryPolicy.search_for:
            return  # the search for records at fault ended with its time; the next cycle goes on
        seen = {
            key_of(record.evse_id)
            for record in read.records
            if record.evse_id and record not in self.backend.odd
        }
        self.diverging(only=seen, removals=False)

    def diverging(self, *, only: set[str] | None = None, removals: bool = True) -> None:
        """Fail if Hubject shows anything but what the backend says, where nothing justifies it."""
        rows, wanted, truth = self.rows(), self.backend.wanted(), self.hubject.statuses()
        for key in only if only is not None else {*rows, *wanted, *self.judge.known}:
            row = rows.get(key)
            if row is not None and (row.quarantine or row.in_doubt_since is not None):
                continue
            if row is not None and row.withheld:
                if row.withheld == "mass_unknown" and key not in self.judge.disturbed:
                    self.mass.withheld(row, truth.get(key))
                continue
            if key in self.judge.disturbed and not removals:
                continue
            target = wanted.get(key)
            if target is None and key not in self.judge.known & self.judge.ours:
                continue  # held since before us, and never ours: only a full load that is allowed removes it
            if target is None and (not removals or self.choices.missing is Missing.KEEP):
                continue
            held = truth.get(key, "EvseNotFound")
            if key in self.backend.claimed and held == "EvseNotFound":
                continue  # never inserted, nor brought back
            assert held == (target or "EvseNotFound"), f"P1: {key} is {held}, should be {target}: {row}"

    # the end

    def calm_down(self) -> None:
        """Everything works again; a few hours pass; what may converge must have converged."""
        self.boundaries.armed = None
        self.hubject.faults.clear()
        self.hubject.body_limit = None
        self.backend.failing = False
        self.backend.hidden.clear()
        settle = self.choices.settle
        self._pass(settle + 1, 2 * settle, 3700.0)  # in doubt; missing; given a rest
        self._pass(10 * settle, settle + 1, 61.0)
        self._reconcile()
        self._pass(61.0, settle + 1)
        self.check()
        doubtful = [
            row for row in self.rows().values() if row.in_doubt_since is not None and not row.withheld
        ]
        assert not doubtful, f"still in doubt: {doubtful}"
        self._withheld_for_a_reason()
        self.diverging()

    def cure(self) -> None:
        """Hubject takes every EVSE again; a day passes; nobody is left in quarantine, and it is quiet."""
        self.hubject.bad.clear()
        withheld: set[str] = set()
        for _ in range(3):
            self.clock.advance(86_400.0)
            withheld |= self._reconcile()
        self._pass(61.0, 61.0)
        self._reconcile()  # of what a guard held back a delta may let a part go, and then the rest are few enough
        self.check()
        wanted = self.backend.wanted()
        stuck = [
            row
            for row in self.rows().values()
            if row.quarantine and wanted.get(row.key) and row.cause is not Cause.UNMAPPED and not row.withheld
        ]
        assert not stuck, f"P5: still quarantined: {stuck}"
        self._removals_tried_again(withheld)
        self.diverging()
        self._quiet()

    def _removals_tried_again(self, withheld: set[str]) -> None:
        """A refused removal is retried until drivers no longer see the EVSE, unless it is not to leave anyway.

        `withheld`: by a guard, when it was due.
        """
        if self.choices.missing is Missing.KEEP:
            return
        seen = {key for key, status in self.hubject.statuses().items() if status != "EvseNotFound"}
        removals = [row for row in self.rows().values() if row.quarantine and not row.wanted]
        shown = [row for row in removals if row.key in seen - withheld]
        assert not shown, f"P5: a refused removal is not tried again: {shown}"

    def person(self) -> None:
        """Somebody repairs the source and allows the rest: Hubject holds exactly what the backend says."""
        self.backend.silent.clear()
        self.backend.twins.clear()
        self.backend.nameless.clear()
        self.backend.odd.clear()  # a first run that has more of them than EVSEs is refused
        for wire, status in self.backend.evses.items():
            if status == "KAPUTT":
                self.backend.evses[wire] = "AVAILABLE"
        self._pass(61.0, 61.0)
        if self.choices.missing is Missing.KEEP:
            return
        began = self.clock.now()
        for _ in range(3):
            ended = self.resync(adopt=self.full_size(), allow=1000, empties=True)
            too_large = bool(self.inner.load().state.too_large)  # then bundles do all but adopt
            if ended == "done" or too_large:
                break
        assert ended == ("failed" if too_large else "done"), ended
        self.check()
        truth = {key: status for key, status in self.hubject.statuses().items() if status != "EvseNotFound"}
        wanted = {key: status for key, status in self.backend.wanted().items() if status}
        loaded = (self.inner.load().state.last_full_at or 0.0) >= began
        if not loaded:  # rolling: what Hubject held before us stays
            truth = {key: status for key, status in truth.items() if key in self.judge.known}
        assert truth == wanted, f"after a {'full load' if loaded else 'rolling resync'} Hubject holds {truth}"
        self._quiet()

    def _pass(self, *seconds: float) -> None:
        for wait in seconds:
            self.clock.advance(wait)
            self.delta()
            self.check()

    def _reconcile(self) -> set[str]:
        """Twice, a while apart. Returns what a guard withheld."""
        withheld = set()
        for _ in range(2):
            self.reconcile()
            self.check()
            withheld |= {key for key, row in self.rows().items() if row.withheld}
            self.clock.advance(61.0)
        return withheld

    def _quiet(self) -> None:
        """A healthy system finds nothing and sends nothing."""
        before = self.hubject.requests
        report = self.reconcile()
        assert report is not None
        assert (report.found, self.hubject.requests - before) == ({}, 0), (
            f"{report.found}, {self.hubject.requests - before} requests"
        )

    def _withheld_for_a_reason(self) -> None:
        """Only withdrawals and mass changes to Unknown are ever withheld; they stay as Hubject has them."""
        wanted, truth = self.backend.wanted(), self.hubject.statuses()
        for key, row in self.rows().items():
            if not row.withheld or row.quarantine:
                continue
            reasons = {"withdrawal": None, "unusable_records": None, "mass_unknown": "Unknown"}
            if row.withheld in reasons:
                assert wanted.get(key) == reasons[row.withheld], f"withheld without reason: {row}"
            if row.withheld != "mass_unknown" and row.status is not None and row.in_doubt_since is None:
                assert truth.get(key) == row.status.value, f"withheld, and changed all the same: {row}"
