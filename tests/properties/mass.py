"""Counts, on its own, the steps that silence and unknown words give, and looks for Available that nobody vouches for.

It knows the words of the backend and what the ledger makes durable; it shares no code with mapping, guard or plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from oicp_adapter.core.guards import Allowance, GuardPolicy
from oicp_adapter.core.model import ActionType
from oicp_adapter.core.records import EvseRow, Picture, PushIntent, PushRow
from tests.properties.virtual import VirtualClock, Watcher

DAY = 86_400.0


@dataclass(frozen=True)
class Said:
    """What the last good read says of one EVSE."""

    status: str | None
    """What the readable words mean; None: nothing can be read."""
    unread: str
    """Why that is not what counts: "silent", "unmapped"; "" where it is."""

    @property
    def is_step(self) -> bool:
        """To be published as Unknown, and not because the words say so."""
        return bool(self.unread) and self.status != "Unknown"


@dataclass(kw_only=True)
class MassJudge(Watcher):
    """Every violation is an AssertionError where it happens."""

    clock: VirtualClock
    guards: GuardPolicy
    slack: float
    """Seconds by which clock steps and a settle may move the times of the account."""
    allowance: Callable[[], Allowance]
    """What a person allowed for the run under way."""
    said: Mapping[str, Said] = field(default_factory=dict)
    """By key, of the last read; empty if that failed."""
    since: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Key → why it cannot be read, and since when."""
    turned: dict[str, float] = field(default_factory=dict)
    """Key → when its step was sent, for those that count."""
    free: set[str] = field(default_factory=set)
    """Keys whose step was sent by time or by leave, and not answered."""
    by_leave: set[str] = field(default_factory=set)
    """Keys whose step was sent in the run under way."""
    fleet: int = 0
    """The largest published set of the cycle under way: what it decided by, before its own removals."""
    in_flight: PushIntent | None = None
    steps: set[str] = field(default_factory=set)
    """Those of the push in flight."""
    counted: set[str] = field(default_factory=set)
    """Those of them that count."""

    def read(self, said: Mapping[str, Said]) -> None:
        """The backend was read; `said` is empty if it could not be."""
        self.said = said
        for key, one in said.items():
            cause, since = self.since.get(key, ("", 0.0))
            self.since[key] = (one.unread, since if cause == one.unread else self.clock.true)
            if not one.unread and one.status == "Unknown":
                self.turned.pop(key, None)

    def lost(self) -> None:
        """The ledger was lost, and the account with it; so is since when something cannot be read."""
        self.turned.clear()
        self.free.clear()
        self.since = {key: (cause, self.clock.true) for key, (cause, _) in self.since.items()}

    def begin_run(self) -> None:
        self.by_leave.clear()

    def begin_cycle(self) -> None:
        self.fleet = 0

    def begun(self, intent: PushIntent, picture: Picture) -> None:
        rows, allowed = picture.rows, self.allowance().unknowns
        self.steps = {
            record.key
            for record in intent.records
            if record.status == "Unknown" and self._is_step(record.key, rows.get(record.key))
        }
        for record in intent.records:
            one, row = self.said.get(record.key), rows[record.key]
            assert not (one and one.unread and record.status == "Available") or row.status == "Available", (
                f"P4: {record.key} becomes Available, and nobody vouches for it: {row}"
            )
        self.counted = {
            key for key in self.steps if key not in self.free and not self._believed(key, self.since[key])
        }
        self.fleet = max(self.fleet, sum(1 for row in rows.values() if _is_shown(row)))
        limit = max(self.guards.mass_count, self.guards.mass_share * self.fleet)
        if allowed is not None:
            most, fresh = max(allowed, limit), self.by_leave | self.counted
            assert len(fresh) <= most, f"P4: {len(fresh)} turn to Unknown, {allowed} allowed"
            return
        account = {
            key
            for key, at in self.turned.items()
            if self.clock.true - at < DAY - self.slack and key in rows and _has_turned(rows[key])
        }
        mass = account | self.counted
        assert not self.counted or len(mass) <= limit, (
            f"P4: {len(mass)} turned to Unknown within 24 h, {limit=}: {sorted(self.counted)} after {sorted(account)}"
        )

    def _is_step(self, key: str, row: EvseRow | None) -> bool:
        one = self.said.get(key)
        if one is None or not one.is_step or row is None or row.first_missing is not None:
            return False
        return _is_shown(row) and row.status != "Unknown"

    def _believed(self, key: str, why: tuple[str, float]) -> bool:
        cause, since = why
        limit = self.guards.mass_stale_after if cause == "silent" else self.guards.unmapped_believed_after
        return limit is not None and self.clock.true - since >= limit - self.slack

    def durable(self, push_id: int, intent: PushIntent) -> None:
        self.in_flight = intent

    def finished(self, push: PushRow) -> None:
        intent, self.in_flight = self.in_flight, None
        assert intent is not None
        if push.outcome == "in_doubt":
            self._sent()
        elif push.outcome == "applied":
            self._sent()
            keys = {record.key for record in intent.records}
            self.free -= keys
            for key in keys - self.steps:
                if any(record.key == key and record.status != "Unknown" for record in intent.records):
                    self.turned.pop(key, None)
            if intent.action is ActionType.FULL_LOAD:
                self.free.clear()

    def interrupted(self) -> None:
        """The process died, or could not write: what was in flight is in doubt."""
        if self.in_flight is not None:
            self._sent()
            self.in_flight = None

    def _sent(self) -> None:
        if self.allowance().unknowns is None:
            self.turned.update(dict.fromkeys(self.counted, self.clock.true))
            self.free |= self.steps - self.counted
        else:
            self.by_leave |= self.counted
            self.free |= self.steps

    def withheld(self, row: EvseRow, held: str | None) -> None:
        """What the guard withholds, after a cycle in which nothing went wrong."""
        one = self.said.get(row.key)
        if one is None:
            return
        assert one.unread, f"withheld without reason: {row}"
        if one.status in ("Occupied", "OutOfService"):
            assert held == one.status, f"P4: {row.key} is frozen as {held}; can be read: {one.status}: {row}"
        elif row.status is not None:
            assert held == row.status.value, f"withheld, and changed all the same: {row}"
        assert not self._believed_for_sure(row.key), f"withheld for ever: {row}"

    def _believed_for_sure(self, key: str) -> bool:
        cause, since = self.since[key]
        return self._believed(key, (cause, since + 2 * self.slack))


def _has_turned(row: EvseRow) -> bool:
    """Drivers see it as Unknown, or may: a full load does not name what it brings back to the status before."""
    return _is_shown(row) and (row.status == "Unknown" or row.in_doubt_since is not None)


def _is_shown(row: EvseRow) -> bool:
    """Drivers see it, as far as the ledger is sure; what is in doubt from the start may be seen."""
    if row.presence.value == "absent" or row.status == "EvseNotFound":
        return False
    return row.status is not None or row.in_doubt_since is not None
