"""Whatever happens, in whatever order: P1-P6 hold (docs/guarantees.md).

OICP_TORTURE=N runs N sequences, another choice of them on every run; `scripts/torture` uses it. Without it the run is
the same each time: 300 sequences. From 2,000 on every fault must have met every action, and there the machine still
finds stories that nobody has explained: a ledger lost together with its mark, a mass counted over SQLite.
OICP_NO_SHRINK=1 ends at the first failure instead of looking for the shortest story (for planted bugs: that one is
found is enough).
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from oicp_adapter.core.guards import GuardPolicy
from oicp_adapter.core.model import SourceRecord
from oicp_adapter.core.plan import Missing
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from oicp_adapter.ports import Ledger
from tests.properties.hubject import BAD, ONE_SHOT, Fault, key_of
from tests.properties.virtual import BOUNDARIES, FULL_DISK_AT, START, Armed
from tests.properties.world import OCPI, Choices, World, evse

TORTURE = int(os.environ.get("OICP_TORTURE", "0"))
SEQUENCES = TORTURE or 300
SMALL = GuardPolicy(withdrawal_share=0.25, withdrawal_count=2, mass_share=0.5, mass_count=2)
"""Limits that a fleet of a dozen can reach."""
SETTLE = 60.0
SEEN: Counter[str] = Counter()
"""What happened, over all sequences."""
LENGTHS: list[int] = []
"""Steps of each sequence."""

numbers = st.integers(0, 79)
some = st.lists(numbers, min_size=1, max_size=6)
ocpi = st.sampled_from(sorted(OCPI))
very_late = st.floats(SETTLE + 1, 9.5 * SETTLE)
arrivals = st.one_of(st.sampled_from([None, 0.0]), st.floats(0.5, 0.75 * SETTLE), very_late)
"""How late a request is applied that got no answer: never, at once, within settle, within ten times settle."""


def striking(*only: str) -> st.SearchStrategy[list[Fault]]:
    """A few faults; those for one action wait until a request has it."""
    one = st.builds(Fault, st.sampled_from(ONE_SHOT), st.sampled_from(only), arrivals)
    return st.lists(one, min_size=1, max_size=4)


mines = st.one_of(
    st.builds(Armed, st.sampled_from(BOUNDARIES), st.integers(0, 2)),
    st.builds(
        Armed,
        st.sampled_from(("begin.after", "hub.sent", "hub.answered", "finish.before")),
        st.integers(0, 2),
    ),
    st.builds(Armed, st.sampled_from(FULL_DISK_AT), st.integers(0, 2), st.just(True)),
)
jobs = st.sampled_from(["delta", "delta", "reconcile", "nightly"])
pauses = st.sampled_from([1.0, 10.0, 31.0, 61.0, 61.0, 2 * SETTLE, 10 * SETTLE])
THEMES = [
    (kind, action) for kind, action in itertools.product(ONE_SHOT, ("insert", "update", "delete", "fullLoad"))
]
"""Every fault with every action: each sequence repeats two of them, so that none is met too seldom."""
OFTEN = THEMES + 3 * [theme for theme in THEMES if theme[1] == "delete"]
"""Removals are rare, and guarded."""
ODD = (
    SourceRecord(evse_id="rubbish", status="AVAILABLE"),
    SourceRecord(evse_id="DE*XYZ*E1", status="AVAILABLE"),
    SourceRecord(evse_id=evse(0), status="PLANNED"),
    SourceRecord(status="AVAILABLE"),
    SourceRecord(station_id="S-nobody's", status="AVAILABLE"),
)


def _theme(pair: tuple[str, str], arrival: float | None) -> Fault:
    kind, action = pair
    return Fault(kind, action, arrival)


def _themes(machine: DeliveryMachine) -> st.SearchStrategy[list[Fault]]:
    one = st.builds(_theme, st.sampled_from(machine.often), arrivals)
    return st.lists(one, min_size=2, max_size=2)


class DeliveryMachine(RuleBasedStateMachine):
    """Rules are what the world does; the checks are the world's."""

    often: ClassVar[list[tuple[str, str]]] = OFTEN
    losable: ClassVar[bool] = True
    """Its ledger can be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.world = World()
        self.steps_forward = 3
        self.fresh = self.stored = 0
        self.themes: list[Fault] = []
        self.steps = 0

    def ledger(self) -> Callable[[], Ledger] | None:
        """What to keep the ledger in; None: memory."""
        return None

    @initialize(
        size=st.sampled_from([3, 12, 12, 60]),
        preloaded=st.sampled_from([0, 3, 20]),
        semantics=st.sampled_from(["strict", "strict", "lenient"]),
        names_ids=st.booleans(),
        missing=st.sampled_from([Missing.DELETE, Missing.EVSE_NOT_FOUND, Missing.DELETE, Missing.KEEP]),
        automatic=st.booleans(),
        unknown_after=st.sampled_from([None, None, 1800.0]),
        believed_after=st.sampled_from([43_200.0, 43_200.0, 1800.0, None]),
        generous=st.booleans(),
        calls_per_minute=st.sampled_from([1900, 20, 1]),
        seed=st.integers(0, 9),
        stored=st.sampled_from([0, 0, 1, 4, 70]),
        warm=st.sampled_from([True, True, False]),
        themes=st.runner().flatmap(_themes),
    )
    def open(
        self,
        size: int,
        preloaded: int,
        stored: int,
        warm: bool,
        generous: bool,
        believed_after: float | None,
        themes: list[Fault],
        missing: Missing,
        **choices: object,
    ) -> None:
        self.size = size
        self.themes = themes
        if any(theme.action == "delete" for theme in themes):
            missing, generous = Missing.DELETE, True
        guards = GuardPolicy(withdrawal_share=0.9) if generous else GuardPolicy() if size > 20 else SMALL
        guards = msgspec.structs.replace(guards, unmapped_believed_after=believed_after)
        chosen = Choices(guards=guards, settle=SETTLE, missing=missing, **choices)  # type: ignore[arg-type]
        self.world = World(chosen, ledger=self.ledger())
        self.world.backend.evses = {evse(number): "AVAILABLE" for number in range(size)}
        self.some_are_stored(stored)
        overlap = size // 2
        self.world.hubject.preload(
            {evse(number): "Occupied" for number in range(overlap, overlap + preloaded)}
        )
        if warm:
            self.world.delta()
            self.world.clock.advance(61)
            self.world.resync(adopt=self.world.full_size(), allow=0)

    def wire(self, number: int) -> str:
        return evse(number if number >= 100 else number % (self.size + 2))

    # the backend

    @rule(chosen=some, status=ocpi)
    def some_change(self, chosen: list[int], status: str) -> None:
        for number in chosen:
            self.world.backend.evses[self.wire(number)] = status

    @rule(chosen=some)
    def some_vanish(self, chosen: list[int]) -> None:
        for number in chosen:
            self.world.backend.evses.pop(self.wire(number), None)

    @rule(status=st.sampled_from(["KAPUTT", "UNKNOWN", "REMOVED", "PLANNED", "AVAILABLE", "CHARGING"]))
    def all_change(self, status: str) -> None:
        self.world.backend.evses = dict.fromkeys(self.world.backend.evses, status)

    @rule(chosen=some, silent=st.sampled_from([True, True, False]))
    def some_fall_silent(self, chosen: list[int], silent: bool) -> None:
        wires = {self.wire(number) for number in chosen}
        self.world.backend.silent = (
            self.world.backend.silent | wires if silent else self.world.backend.silent - wires
        )

    @rule(silent=st.booleans())
    def all_fall_silent(self, silent: bool) -> None:
        self.world.backend.silent = set(self.world.backend.evses) if silent else set()

    @rule(
        how=st.sampled_from(["KAPUTT", "KAPUTT", "silent", "in turns"]),
        steps=st.integers(2, 6),
        apart=st.sampled_from([10.0, 10.0, 61.0, 1000.0, 3601.0]),
        changing=ocpi,
        restarted=st.booleans(),
    )
    def a_ramp(self, how: str, steps: int, apart: float, changing: str, restarted: bool) -> None:
        """A mistake that comes in row by row, while what can be read goes on changing."""
        self._wake()
        fleet = sorted(self.world.backend.evses)
        for step in range(steps):
            part = fleet[len(fleet) * step // steps : len(fleet) * (step + 1) // steps]
            if how == "silent" or (how == "in turns" and step % 2):
                self.world.backend.silent.update(part)
            else:
                self.world.backend.evses.update(dict.fromkeys(part, "KAPUTT"))
            if fleet:
                self.world.backend.evses[fleet[step * 7 % len(fleet)]] = changing
            self.world.clock.advance(apart)
            self.world.delta()
            self.world.check()
            if restarted and step % 2:
                self.world.restart()

    @rule(keep=st.integers(0, 12))
    def most_vanish(self, keep: int) -> None:
        self.world.backend.evses = dict(list(self.world.backend.evses.items())[:keep])

    @rule()
    def all_return(self) -> None:
        for number in range(self.size):
            self.world.backend.evses.setdefault(evse(number), "AVAILABLE")

    @rule(count=st.integers(1, 4))
    def some_are_stored(self, count: int) -> None:
        """The source has EVSEs that it calls gone and that Hubject never had; it keeps them for ever."""
        for _ in range(count):
            wire = evse(400 + self.stored)
            self.stored += 1
            self.world.backend.evses[wire] = "REMOVED"
            self.world.hubject.bad[key_of(wire)] = "603 named"
            self.world.judge.accused.add(key_of(wire))

    @rule(number=numbers)
    def one_is_respelled(self, number: int) -> None:
        self.world.backend.respelled ^= {self.wire(number)}

    @rule(odd=st.lists(st.sampled_from(ODD), max_size=2))
    def odd_records(self, odd: list[SourceRecord]) -> None:
        self.world.backend.odd = [
            one for one in odd if one.evse_id != evse(0) or evse(0) in self.world.backend.evses
        ]

    @rule(chosen=st.one_of(st.just([]), some, some))
    def ids_are_lost(self, chosen: list[int]) -> None:
        """Rows without ids at known addresses, and at those of EVSEs that were never seen."""
        self.world.backend.nameless = {self.wire(number) for number in chosen}

    @rule(chosen=st.one_of(st.just([]), some, some), status=ocpi)
    def written_in_two_ways(self, chosen: list[int], status: str) -> None:
        self.world.backend.twins = {self.wire(number): status for number in chosen}

    @rule(failing=st.booleans())
    def backend_fails(self, failing: bool) -> None:
        self.world.backend.failing = failing

    @rule(chosen=st.one_of(st.just([]), some))
    def reads_are_cut(self, chosen: list[int]) -> None:
        self._wake()
        self.world.backend.hidden = {self.wire(number) for number in chosen}
        for _ in range(2):
            self.world.delta()
            self.world.clock.advance(61.0)

    # Hubject and the network

    @rule(chosen=some, style=st.sampled_from(sorted(BAD)))
    def hubject_dislikes(self, chosen: list[int], style: str) -> None:
        for number in chosen:
            key = key_of(self.wire(number))
            self.world.hubject.bad[key] = style
            self.world.judge.accused.add(key)

    @rule(chosen=some, style=st.sampled_from(sorted(BAD)))
    def refused_and_changing(self, chosen: list[int], style: str) -> None:
        """EVSEs in quarantine change again while healthy ones change, too."""
        self._wake()
        self.hubject_dislikes(chosen, style)
        for status in ("CHARGING", "OUTOFORDER"):
            self.some_change(chosen, status)
            self.some_change([chosen[0] + 1], status)
            self.world.delta()
            self.world.check()

    @rule()
    def hubject_accepts_all(self) -> None:
        self.world.hubject.bad.clear()

    @rule(limit=st.sampled_from([None, 1, 4]))
    def body_limit(self, limit: int | None) -> None:
        self.world.hubject.body_limit = limit

    # time

    @rule(
        seconds=st.sampled_from(
            [1.0, 10.0, 10.0, 31.0, 61.0, 61.0, 2 * SETTLE, 10 * SETTLE, 901.0, 3601.0, 43_201.0, 86_400.0]
        )
    )
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3.0, -1.0, 3.0]))
    def clock_is_set(self, seconds: float) -> None:
        if seconds > 0:
            if not self.steps_forward:
                return
            self.steps_forward -= 1
        self.world.clock.offset += seconds

    # the adapter

    @rule(job=jobs)
    def runs(self, job: str) -> None:
        self._run(job)

    @rule(times=st.integers(2, 4), apart=st.sampled_from([1.0, 10.0, 61.0]))
    def runs_for_a_while(self, times: int, apart: float) -> None:
        for _ in range(times):
            self.world.delta()
            self.world.check()
            self.world.clock.advance(apart)

    @rule(job=jobs, faults=striking("", "", "update"), chosen=some, status=ocpi, after=pauses)
    def changes_badly(
        self, job: str, faults: list[Fault], chosen: list[int], status: str, after: float
    ) -> None:
        self.some_change(chosen, status)
        self._run_struck(job, faults, after)

    @rule(job=jobs, faults=striking("", "insert"), fresh=st.integers(1, 4), after=pauses)
    def appears_badly(self, job: str, faults: list[Fault], fresh: int, after: float) -> None:
        for number in range(fresh):
            self.world.backend.evses[evse(100 + self.fresh + number)] = "CHARGING"
        self.fresh += fresh
        self._run_struck(job, faults, after)

    @rule(job=jobs, faults=striking("", "delete"), chosen=some, restarted=st.booleans(), after=pauses)
    def goes_badly(
        self, job: str, faults: list[Fault], chosen: list[int], restarted: bool, after: float
    ) -> None:
        self._wake()
        fleet = sorted(self.world.backend.evses)
        for number in chosen[:3]:
            self.world.backend.evses.pop(fleet[number % len(fleet)] if fleet else "", None)
        self.world.delta()
        self.world.clock.advance(61.0)
        if restarted:
            self.world.restart()
        self._run_struck(job, faults, after)

    @rule(
        chosen=some,
        gone=st.sampled_from(["REMOVED", "REMOVED", "vanishes"]),
        said=st.sampled_from(["022 unnamed", "022 unnamed", "022 misnamed", "603 unnamed", "unknown code"]),
        times=st.integers(1, 12),
        after=pauses,
    )
    def removals_are_refused(self, chosen: list[int], gone: str, said: str, times: int, after: float) -> None:
        """Hubject refuses to take EVSEs off, in words that say nothing."""
        self._wake()
        if gone == "REMOVED":
            self.some_change(chosen[:3], "REMOVED")
        else:
            self.some_vanish(chosen[:3])
            self.world.delta()
            self.world.clock.advance(61.0)
        self.world.hubject.faults += [
            Fault(said, action) for action in ("update", "delete") for _ in range(times)
        ]
        self._run("delta")
        self.world.hubject.faults.clear()
        self.world.check()
        self.world.clock.advance(after)

    @rule(faults=striking("", "fullLoad"), chosen=some, after=pauses)
    def night_goes_badly(self, faults: list[Fault], chosen: list[int], after: float) -> None:
        self.some_change(chosen, "CHARGING")
        self._run_struck("nightly", faults, after)

    @rule(
        chosen=some,
        status=ocpi,
        arrival=very_late,
        then=st.sampled_from(["changes", "changes", "vanishes", "is refused", "is new"]),
    )
    def overtaken(self, chosen: list[int], status: str, arrival: float, then: str) -> None:
        """A request is applied long after we gave it up, and after the source has moved on."""
        self._wake()
        if then == "is new":
            chosen = [chosen[0] + 200]
        self.some_change(chosen, status)
        self.world.hubject.faults.append(Fault("timeout", "", arrival))
        self.world.delta()
        self.world.hubject.faults.clear()
        self.world.clock.advance(SETTLE)
        if then in ("vanishes", "is new"):
            self.some_vanish(chosen)
            self.world.delta()
        elif then == "is refused":
            self.hubject_dislikes(chosen, "603 named")
            self.world.delta()
            self.world.hubject.bad.clear()
        self.world.clock.advance(SETTLE + 1)
        if then in ("changes", "is refused"):
            self.some_change(chosen, "OUTOFORDER")
        self.world.delta()

    def _run_struck(self, job: str, faults: list[Fault], after: float) -> None:
        self._wake()
        self.world.hubject.faults += [*self.themes, *faults]
        self._run(job)
        self.world.check()
        self._run("delta")
        self.world.hubject.faults.clear()
        self.world.check()
        self.world.clock.advance(after)

    @rule(job=jobs, mine=mines, arrival=arrivals, chosen=some, status=ocpi, after=pauses)
    def dies(
        self, job: str, mine: Armed, arrival: float | None, chosen: list[int], status: str, after: float
    ) -> None:
        self.some_change(chosen, status)
        self._wake()
        self.world.boundaries.armed = mine
        self.world.hubject.crash_arrival = arrival
        self._run(job)
        self.world.boundaries.armed = None
        self.world.check()
        self.world.clock.advance(after)

    def _wake(self) -> None:
        """The backend can be read, and Hubject is not given a rest: else most faults would meet nobody."""
        self.world.backend.failing = False
        self.world.backend.hidden.clear()
        trouble = self.world.inner.load().state.trouble
        if trouble is not None:
            self.world.clock.advance(max(0.0, trouble.next_try - self.world.clock.now()) + 1)

    def _run(self, job: str) -> None:
        runs = {"delta": self.world.delta, "reconcile": self.world.reconcile, "nightly": self.world.nightly}
        runs[job]()

    @precondition(lambda self: not self.world.backend.failing)
    @rule(
        right=st.sampled_from([None, None, True, True, False]),
        allow=st.sampled_from([None, None, 0, 3, 100]),
        allow_unknown=st.sampled_from([None, None, 1, 7, 100]),
    )
    def resync(self, right: bool | None, allow: int | None, allow_unknown: int | None) -> None:
        adopt = None
        if right is not None:
            armed, self.world.boundaries.armed = self.world.boundaries.armed, None
            adopt = self.world.full_size() + (0 if right else 1)
            self.world.boundaries.armed = armed
        event(f"resync {self.world.resync(adopt=adopt, allow=allow, allow_unknown=allow_unknown)}")

    @rule(
        emptied=st.sampled_from([True, True, False]),
        chosen=some,
        times=st.integers(2, 4),
        apart=st.sampled_from([31.0, 61.0, 310.0]),
        restarted=st.booleans(),
    )
    def one_snapshot_again_and_again(
        self, emptied: bool, chosen: list[int], times: int, apart: float, restarted: bool
    ) -> None:
        """The export has lost some of its records, or all, and is not written again for a while."""
        self._wake()
        before = dict(self.world.backend.evses)
        if emptied:
            self.world.backend.evses = {}
        else:
            self.some_vanish(chosen)
        self.world.backend.writing += 1
        self.world.backend.stands = True
        for _ in range(times):
            self.world.delta()
            self.world.check()
            self.world.clock.advance(apart)
            if restarted:
                self.world.restart()
        self.world.nightly()
        self.world.check()
        self.world.backend.stands = False
        self.world.backend.evses = before

    @rule(mark_kept=st.booleans(), left=st.sampled_from([0, 0, 2, 60]), nights=st.integers(1, 2))
    def ledger_is_lost(self, mark_kept: bool, left: int, nights: int) -> None:
        """Beside an export that has lost most of its records, or all of them, on the same day."""
        if not self.losable:
            return
        self._wake()
        self.world.lose_ledger(mark_kept=mark_kept)
        before = dict(self.world.backend.evses)
        self.world.backend.evses = dict(list(before.items())[:left])
        for _ in range(nights):
            self.world.nightly()
            self.world.check()
            self.world.clock.advance(61.0)
        self.world.backend.evses = before

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @invariant()
    def promises_hold(self) -> None:
        self.steps += 1
        self.world.check()

    def teardown(self) -> None:
        LENGTHS.append(self.steps)
        if sys.exc_info()[0] is None and self.size:
            self._count()
            self.world.calm_down()
            self.world.cure()
            self.world.person()

    def _count(self) -> None:
        for (kind, action), hits in self.world.hubject.hits.items():
            SEEN[f"{kind} × {action}"] += hits
            event(f"{kind} × {action}")
        SEEN.update(self.world.boundaries.hits)
        SEEN["requests"] += self.world.hubject.requests


class OverSqlite(DeliveryMachine):
    """The same over the real ledger, reopened at every restart."""

    losable = False

    def ledger(self) -> Callable[[], Ledger]:
        self._folder = tempfile.TemporaryDirectory(prefix="ledger-", dir=_in_memory())
        self._store: SqliteStore | None = None

        def reopened() -> SqliteLedger:
            if self._store is not None:
                self._store.close()
            self._store = SqliteStore.open(Path(self._folder.name, "ledger.db"), now=START)
            return self._store.operator("http://hubject.test/api/oicp", "DEABC")

        return reopened

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if self.size and self._store is not None:
                self._store.close()
                self._folder.cleanup()


def _in_memory() -> str | None:
    """A directory without a disk behind it, where there is one: durability itself is tested elsewhere."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _profile(sequences: int, *, steps: int = 30) -> settings:
    return settings(
        max_examples=sequences,
        stateful_step_count=steps,
        derandomize=not TORTURE,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate,) if os.environ.get("OICP_NO_SHRINK") else (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def test_whatever_happens_hubject_ends_with_what_the_backend_says(capsys: pytest.CaptureFixture[str]) -> None:
    # Any failure here is a fleet that stays wrong at Hubject, or loses EVSEs, after a fault that does happen.
    run_machine(DeliveryMachine, settings=_profile(SEQUENCES))
    if SEQUENCES >= 2000:
        for _ in range(5):
            if short := _too_seldom():
                run_machine(
                    type("Rest", (DeliveryMachine,), {"often": short}), settings=_profile(100 * len(short))
                )
        assert not _too_seldom()
    with capsys.disabled():
        print(_summary())  # noqa: T201 - which faults met which actions


def test_the_same_holds_over_the_real_ledger() -> None:
    # A column or a transaction of SQLite that loses what memory keeps makes a crash permanent.
    run_machine(OverSqlite, settings=_profile(max(25, TORTURE // 20), steps=20))


def _fault_table() -> dict[tuple[str, str], int]:
    return {(kind, action): SEEN[f"{kind} × {action}"] for kind, action in THEMES}


def _too_seldom() -> list[tuple[str, str]]:
    return [theme for theme, hits in _fault_table().items() if hits < 20]


def _summary() -> str:
    table = sorted(_fault_table().items(), key=lambda one: one[1])
    others = {name: hits for name, hits in sorted(SEEN.items()) if "×" not in name}
    least = ", ".join(f"{kind} × {action} {hits}" for (kind, action), hits in table[:8])
    lengths = f"{len(LENGTHS)} sequences, {sum(LENGTHS)} steps, median {statistics.median(LENGTHS):.0f}"
    return f"\n{lengths}\n{others}\nfaults {sum(hits for _, hits in table)}; least often: {least}"
