"""Counts, on its own, what the promises P2-P6 forbid, from what reaches Hubject and what the ledger makes durable.

It shares no code with the plan, the guards or the publisher: it knows Hubject's truth, they know the ledger's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.model import ActionType, EvseStatus, Flaw
from oicp_adapter.core.records import EvseRow, Picture, Presence, PushIntent, PushRow
from oicp_adapter.simulator.validate import StatusPush
from tests.properties.hubject import BLAMELESS, Move, Watch, shown
from tests.properties.virtual import VirtualClock, Watcher

WEEK, DAY = 7 * 86_400.0, 86_400.0


@dataclass
class Run:
    """One cycle, as far as it matters what it was allowed to do."""

    number: int
    job: str
    allowance: Allowance = field(default_factory=Allowance)
    full_doubted: bool = False
    too_large: bool = False
    struck: int = 0
    earlier: frozenset[str] = frozenset()
    """Keys whose withdrawal had passed the guard before; it may be carried out now."""
    left: set[str] = field(default_factory=set)
    cured: set[str] = field(default_factory=set)
    """Codes for which an EVSE was quarantined that Hubject has accepted since: those refused alike may follow."""


@dataclass
class Judge(Watch, Watcher):
    """Every violation is an AssertionError where it happens."""

    clock: VirtualClock
    settle: float
    share: float
    count: int
    automatic: bool = False
    wanted: Callable[[], dict[str, str | None]] = dict
    """Key → what Hubject should show by the backend's word, also if the last read was cut; None: nothing."""
    may_go: Callable[[str], bool] = lambda key: True
    """Whether the backend's reads allow that this key leaves."""
    by_hand: bool = False
    """The ledger was lost beside its mark: only a person ends the unknown baseline."""
    pushed: bool = False
    """There was a push that the mark beside the ledger knows of."""
    unusable: Callable[[], set[str]] = set
    """Keys of EVSEs that are in the backend, in records that do not name them."""
    claimed: Callable[[], set[str]] = set
    """Keys that two records of the last read claim without agreeing."""
    slack: float = 12.0
    """Seconds by which clock steps may shorten a settle (A1 is about the machine's clock)."""
    runs: list[Run] = field(default_factory=lambda: [Run(0, "none")])
    doubt: dict[str, float] = field(default_factory=dict)
    """Key → true time at which its last request was given up."""
    full_doubt: float | None = None
    """The same of the last fullLoad: it concerns every EVSE, also those that have appeared since."""
    settled: set[str] = field(default_factory=set)
    """Keys that were in that doubt themselves, or have been acknowledged since."""
    perhaps: set[str] = field(default_factory=set)
    """Keys that Hubject may have, for all the ledger knew when the last push began."""
    in_flight: tuple[int, PushIntent] | None = None
    known: set[str] = field(default_factory=set)
    """Keys the ledger has had a row for."""
    current: set[str] = field(default_factory=set)
    """Keys it had a row for when the last push began."""
    disturbed: set[str] = field(default_factory=set)
    """Keys that a request applied later than settle has changed behind our back."""
    accused: set[str] = field(default_factory=set)
    """Keys that were in a request refused without their fault."""
    gone: dict[str, float] = field(default_factory=dict)
    """Key → when a request of ours took it from the drivers, without allowance."""
    sure: bool = False
    """The ledger knows that Hubject shows the EVSEs of the push under way."""
    aside: set[str] = field(default_factory=set)
    """Keys that Hubject did not have and nobody wanted when the last fullLoad began: it says nothing of them."""
    ours: set[str] = field(default_factory=set)
    """Keys that a request of ours has shown to drivers, or may have."""
    trying_codes: set[str] = field(default_factory=set)
    """Codes for which the EVSEs of the push under way are quarantined."""
    claims: set[str] = field(default_factory=set)
    """Keys of the push under way that two chargers claim: not to be inserted."""
    before_us: set[str] = field(default_factory=set)
    """Keys that Hubject may have held before us: whoever adopts lets them go."""
    tried: set[str] = field(default_factory=set)
    """Keys that a request, answered or not, was to take from the drivers."""
    trying: set[str] = field(default_factory=set)
    """Those of the request under way that no earlier one had tried."""
    sizes: list[tuple[float, int]] = field(default_factory=list)
    baseline: bool = False
    full_doubts: int = 0
    rolling: bool = False
    """A rolling resync is under way: it goes on over cycles and restarts until every EVSE was pushed again."""

    @property
    def run(self) -> Run:
        return self.runs[-1]

    def begin_run(self, job: str, allowance: Allowance) -> Run:
        self.runs.append(Run(len(self.runs), job, allowance, earlier=frozenset(self.tried)))
        return self.run

    # what the ledger makes durable

    def begun(self, intent: PushIntent, picture: Picture) -> None:
        self.current = set(picture.rows)
        self.perhaps = {key for key, row in picture.rows.items() if row.presence is Presence.UNKNOWN}
        self.known |= self.current
        self.rolling = picture.state.rolling_since is not None
        self.claims = set()
        if intent.action is ActionType.FULL_LOAD:
            self._full_load(intent, picture)
            return
        rows = [picture.rows[record.key] for record in intent.records]
        self.sure = rows[0].presence is Presence.PRESENT and rows[0].status is not EvseStatus.EVSE_NOT_FOUND
        self.claims = {row.key for row in rows if row.flaw is Flaw.AMBIGUOUS}
        assert len({row.presence for row in rows}) == 1, "records of different presence share a request"
        codes = {row.quarantine.code if row.quarantine else "" for row in rows}
        if any(codes):
            follows = len(codes) == 1 and codes <= self.run.cured
            assert len(rows) == 1 or follows, "a quarantined record shares a request"
        self.trying_codes = codes
        # Hubject failed lately and a full load is due: one record of it goes first, alone.
        state = picture.state
        probe = state.trouble is not None and bool(state.full_wanted) and len(rows) == 1
        for record, row in zip(intent.records, rows, strict=True):
            if record.status in (None, EvseStatus.EVSE_NOT_FOUND):
                assert intent.action is not ActionType.INSERT, f"inserted to be withdrawn: {row}"
                assert row.presence is not Presence.ABSENT or self._unsettled(row), (
                    f"nothing to remove: {row}"
                )
            assert probe or self._worth_sending(row) or record.status != row.status, (
                f"P6: no-op pushed for {row.key}: {record.status} ({record.reason})"
            )

    def _unsettled(self, row: EvseRow) -> bool:
        """A request in doubt, now or earlier, may still show it."""
        return row.in_doubt_since is not None or row.reassert_at is not None

    def _worth_sending(self, row: EvseRow) -> bool:
        """Reasons to push what the ledger says Hubject holds already."""
        reassert = (
            row.reassert_at is not None and self.clock.now() >= row.reassert_at and self.run.job != "delta"
        )
        rolling = self.run.too_large or self.full_doubts >= 2 or self.rolling
        uncertain = row.in_doubt_since is not None or row.quarantine is not None
        return uncertain or row.presence is not Presence.PRESENT or reassert or rolling

    def _full_load(self, intent: PushIntent, picture: Picture) -> None:
        run = self.run
        self.aside = {
            key
            for key, row in picture.rows.items()
            if row.presence is Presence.ABSENT and row.in_doubt_since is None
            if row.first_missing is not None or row.desired in (None, EvseStatus.EVSE_NOT_FOUND)
        }
        self.before_us = {
            key
            for key, row in picture.rows.items()
            if row.status is None and row.in_doubt_since is None and row.presence is Presence.UNKNOWN
        }
        by_itself = self.automatic and not self.by_hand
        assert by_itself or self.baseline or run.allowance.adopt is not None, "P4: fullLoad, no baseline"
        if run.allowance.adopt is not None:
            assert intent.count == run.allowance.adopt, "P4: --adopt N with another number"
        assert not run.full_doubted, "an in-doubt fullLoad is sent again in the same cycle"
        assert run.job == "resync" or self.full_doubts < 2, "fullLoads are suspended"

    def lost(self, *, mark_kept: bool) -> None:
        """The ledger is gone, and with it what it knew: what is at Hubject is held since before us again."""
        self.pushed = self.by_hand = mark_kept and self.pushed
        self.baseline, self.full_doubts, self.rolling = False, 0, False
        self.in_flight = self.full_doubt = None
        for forgotten in (self.doubt, self.gone):
            forgotten.clear()
        for keys in (
            self.settled,
            self.known,
            self.current,
            self.perhaps,
            self.tried,
            self.trying,
            self.ours,
        ):
            keys.clear()
        self.sizes.clear()

    def durable(self, push_id: int, intent: PushIntent) -> None:
        self.pushed = True
        self.in_flight = (push_id, intent)

    def finished(self, push: PushRow) -> None:
        assert self.in_flight is not None
        push_id, intent = self.in_flight
        assert push_id == push.push_id
        self.in_flight = None
        taken = push.outcome == "applied" and intent.action is not ActionType.FULL_LOAD
        self.run.cured |= self.trying_codes if taken else set()
        if intent.action is ActionType.FULL_LOAD:
            if push.outcome == "applied":
                self.baseline, self.by_hand, self.full_doubts = True, False, 0
            elif push.outcome == "in_doubt":
                self.full_doubts += 1

    # what reaches Hubject

    def sending(self, push: StatusPush) -> None:
        now = self.clock.true
        withdrawn = {key for key, (_, status) in push.items() if status == "EvseNotFound"}
        if push.action == "fullLoad":
            assert set(push.keys) - withdrawn or self.run.allowance.empties_the_map, (
                "P4: a fullLoad of nothing"
            )
            withdrawn |= self.known - set(push.keys)
        if push.action == "insert":
            claimed = self.claimed().intersection(push.keys)
            assert not claimed, f"inserted although two chargers claim them: {sorted(claimed)}"
        self.trying = withdrawn - self.tried
        self.tried |= withdrawn
        harmless = withdrawn & (
            self.aside | (withdrawn - self.ours)
        )  # whatever a late fullLoad does, nobody sees them
        for key in push.keys:
            since = self.doubt.get(key, None if key in self.settled | harmless else self.full_doubt)
            assert since is None or now >= since + self.settle - self.slack, (
                f"P6: {key} is sent {now - since:.0f} s after it went in doubt"
            )

    def struck(self, push: StatusPush, kind: str) -> None:
        self.run.struck += 1
        if kind == "413":
            self.run.too_large = True
        if kind not in BLAMELESS:
            self.accused |= set(push.keys)

    def never_inserted(self) -> set[str]:
        return self.claims

    def surely_there(self, push: StatusPush) -> bool:
        return push.action != "fullLoad" and self.sure

    def unanswered(self, push: StatusPush) -> None:
        self._doubted(push)

    def answered(self, push: StatusPush, code: str, http_status: int) -> None:
        if http_status == 413:
            self.run.too_large = True
            if len(push.keys) == 1:
                self.accused |= set(push.keys)
        if code != "000":
            self.tried -= self.trying
        else:
            self.tried -= {key for key, (_, status) in push.items() if status != "EvseNotFound"}
        if code == "000":
            if push.action == "fullLoad":
                self.doubt.clear()
                self.full_doubt = None
            for key in push.keys:
                self.doubt.pop(key, None)
                self.settled.add(key)
        elif http_status in (200, 400) or (http_status == 413 and len(push.keys) == 1):
            for key in push.keys:  # settle was over, and Hubject has spoken: refused, or not there
                self.doubt.pop(key, None)

    def _doubted(self, push: StatusPush) -> None:
        keys: Iterable[str] = push.keys
        self.ours |= {key for key, (_, status) in push.items() if status != "EvseNotFound"}
        if push.action == "fullLoad":
            keys = {*push.keys, *(self.current - self.aside)}
            self.run.full_doubted = True
            self.full_doubt, self.settled = self.clock.true, set(keys)
        self.doubt.update(dict.fromkeys(keys, self.clock.true))

    def interrupted(self) -> None:
        """The process died, or could not write: what was in flight is in doubt."""
        if self.in_flight is None:
            return
        _, intent = self.in_flight
        keys = {record.key for record in intent.records}
        if intent.action is ActionType.FULL_LOAD:
            keys |= self.current - self.aside
            self.full_doubt, self.settled = self.clock.true, set(keys)
        self.doubt.update(dict.fromkeys(keys, self.clock.true))
        self.in_flight = None

    def restarted(self) -> None:
        """Every settle is waited for anew."""
        now = self.clock.true
        self.doubt = dict.fromkeys(self.doubt, now)

    # P4

    def moved(self, move: Move) -> None:
        run, now = self.runs[move.run], self.clock.true
        for key in move.returned:
            self.gone.pop(key, None)
        beyond = move.late_by is not None and move.late_by > self.settle - self.slack
        if beyond:
            self.disturbed |= {
                key for key in {*move.before, *move.after} if move.before.get(key) != move.after.get(key)
            }
        self.ours |= {key for key, (_, status) in move.push.items() if status != "EvseNotFound"}
        left = {key for key in move.left if key in self.known and key not in self.disturbed}
        if not beyond:
            self.disturbed -= self.disturbed if move.push.action == "fullLoad" else set(move.push.keys)
        if move.late_by is None:
            wanted = self.wanted()
            robbed = {key for key in left if wanted.get(key) is not None and key not in self.accused}
            if run.allowance.withdrawals is None:
                robbed |= (left & self.unusable() & self.ours) - self.accused - run.earlier
            assert not robbed, f"P4: withdrawn although the source has them: {sorted(robbed)}"
            before_us = self.before_us - self.ours if move.push.action == "fullLoad" else set()
            early = {key for key in left - before_us if key not in self.accused and not self.may_go(key)}
            assert not early, f"P4: withdrawn after one snapshot: {sorted(early)}"
        if run.allowance.adopt is not None and move.push.action == "fullLoad":
            left -= self.before_us
        strangers = left - self.ours  # held from before us, if at all: not believed, and so no withdrawal
        if move.push.action != "fullLoad" and move.late_by is None:
            remain = max(1, sum(1 for status in self.wanted().values() if status))
            assert len(strangers) <= remain, f"P4: {len(strangers)} from before us left, {remain} remain"
        left -= strangers
        if not beyond:
            run.left |= left
            if run.allowance.withdrawals is None:
                self.gone.update(dict.fromkeys(left, now))
        for statuses in (move.before, move.after):
            self._measure(statuses)
        largest = self._largest()
        limit = min(max(self.count, self.share * largest), max(1.0, largest / 2))
        lost = {key for key, at in self.gone.items() if now - at < WEEK - 15 * self.settle}
        assert len(lost) <= limit, f"P4: {len(lost)} EVSEs left within 7 days: {sorted(lost)}, {limit=}"
        if run.allowance.withdrawals is not None:
            most = max(run.allowance.withdrawals, limit)
            fresh = run.left - run.earlier
            assert len(fresh) <= most, f"P4: {len(fresh)} left, {run.allowance.withdrawals} allowed"

    def _measure(self, statuses: dict[str, str]) -> None:
        """How many EVSEs drivers may see, for all the adapter can know."""
        size = len((shown(statuses) & self.known) | set(self.doubt) | self.perhaps)
        self.sizes.append((self.clock.true, size))

    def _largest(self) -> int:
        """The largest set of the last 8 days: those sizes, and what was in force when they began."""
        since = self.clock.true - WEEK - DAY
        older = [size for at, size in self.sizes if at < since]
        return max([*(older[-1:]), *(size for at, size in self.sizes if at >= since), 0])

    # the ledger against the truth

    def compare(self, picture: Picture, truth: dict[str, str]) -> None:
        """P3: what the ledger is sure of is so; what is in doubt is not shown as certain."""
        self.known |= set(picture.rows)
        self._measure(truth)
        open_keys = {key for push in picture.open_pushes for key in push.keys}
        full_open = any(push.action is ActionType.FULL_LOAD for push in picture.open_pushes)
        for key, row in picture.rows.items():
            if full_open or key in open_keys or row.in_doubt_since is not None:
                continue
            assert key not in self.doubt or row.quarantine or key in self.disturbed, (
                f"P3: {key} is in doubt, and the ledger is sure: {row}"
            )
            if row.quarantine is not None or row.presence is Presence.UNKNOWN or key in self.disturbed:
                continue
            held = truth.get(key)
            assert held == (row.status.value if row.status else None), (
                f"P3: Hubject holds {held}, the ledger says {row}"
            )
        for key, row in picture.rows.items():
            if row.quarantine is not None:
                lost = key in self.disturbed  # later than settle, behind our back: Hubject has it no longer
                assert key in self.accused or lost, f"P5: an innocent EVSE is quarantined: {row}"
                gone = row.first_missing is None and row.desired is EvseStatus.EVSE_NOT_FOUND
                done = gone and row.presence is Presence.ABSENT and row.reassert_at is None
                assert not done, f"gone, not there, and quarantined: {row}"
