"""Virtual time, and the instants at which a process can die: what makes the state machine quick and merciless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from oicp_adapter.core.model import Rejected
from oicp_adapter.core.records import EvseRow, OpenPush, OperatorState, Picture, PushIntent, PushRow
from oicp_adapter.errors import LedgerFull
from oicp_adapter.ports import Ledger

START = 1_800_000_000.0


class CrashNow(BaseException):
    """`kill -9`: nothing may catch it, nothing is cleaned up."""


class VirtualClock:
    """True time runs only by `advance`; the wall clock may be off by `offset`. What is due happens on the way."""

    def __init__(self) -> None:
        self.true = START
        self.offset = 0.0
        self.on_way: Callable[[float], None] = lambda until: None

    def now(self) -> float:
        return self.true + self.offset

    def monotonic(self) -> float:
        return self.true

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        until = self.true + seconds
        self.on_way(until)
        self.true = until


@dataclass(frozen=True)
class Armed:
    """What will happen at a boundary: after `skip` more crossings of it, a crash or a full disk."""

    boundary: str
    skip: int
    full_disk: bool = False


BOUNDARIES = (
    "load",
    "read",
    "begin.before",
    "begin.after",
    "hub.sent",
    "hub.answered",
    "finish.before",
    "finish.after",
    "save.before",
    "save.after",
    "remember.before",
    "remember.after",
    "interrupted.before",
    "interrupted.after",
    "rejected.before",
    "rejected.after",
)
FULL_DISK_AT = tuple(name for name in BOUNDARIES if name.endswith(".before"))


class Boundaries:
    """Every I/O boundary is crossed here; one of them may be mined."""

    def __init__(self) -> None:
        self.armed: Armed | None = None
        self.hits: Counter[str] = Counter()

    def cross(self, name: str) -> None:
        armed = self.armed
        if armed is None or armed.boundary != name:
            return
        if armed.skip > 0:
            self.armed = Armed(armed.boundary, armed.skip - 1, armed.full_disk)
            return
        self.armed = None
        self.hits[f"{'full disk' if armed.full_disk else 'crash'} at {name}"] += 1
        if armed.full_disk:
            raise LedgerFull("the disk is full: ledger.db")
        raise CrashNow(name)


class Watcher:
    """Told what the ledger has made durable."""

    def begun(self, intent: PushIntent, picture: Picture) -> None:
        """An intent is about to be committed; `picture` is the ledger before it."""

    def durable(self, push_id: int, intent: PushIntent) -> None:
        """It is committed."""

    def finished(self, push: PushRow) -> None:
        """Its outcome is committed."""


class Watchers(Watcher):
    """Several, told in order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def begun(self, intent: PushIntent, picture: Picture) -> None:
        for watcher in self._watchers:
            watcher.begun(intent, picture)

    def durable(self, push_id: int, intent: PushIntent) -> None:
        for watcher in self._watchers:
            watcher.durable(push_id, intent)

    def finished(self, push: PushRow) -> None:
        for watcher in self._watchers:
            watcher.finished(push)


class MinedLedger:
    """A ledger whose every call crosses boundaries; each write is whole or not there at all."""

    def __init__(self, inner: Ledger, boundaries: Boundaries, watcher: Watcher) -> None:
        self.inner = inner
        self._cross = boundaries.cross
        self._watcher = watcher

    def load(self) -> Picture:
        self._cross("load")
        return self.inner.load()

    def save(self, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()) -> None:
        self._cross("save.before")
        self.inner.save(rows, state, forget=forget)
        self._cross("save.after")

    def remember(self, peak: dict[str, int]) -> None:
        self._cross("remember.before")
        self.inner.remember(peak)
        self._cross("remember.after")

    def begin(self, intent: PushIntent) -> int:
        self._watcher.begun(intent, self.inner.load())
        self._cross("begin.before")
        push_id = self.inner.begin(intent)
        self._watcher.durable(push_id, intent)
        self._cross("begin.after")
        return push_id

    def finish(
        self, push: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        self._cross("finish.before")
        self.inner.finish(push, rows, state, forget=forget)
        self._watcher.finished(push)
        self._cross("finish.after")

    def interrupted(
        self, pushes: Iterable[OpenPush], rows: Iterable[EvseRow], state: OperatorState, *, now: float
    ) -> None:
        self._cross("interrupted.before")
        self.inner.interrupted(pushes, rows, state, now=now)
        self._cross("interrupted.after")

    def save_rejected(self, rejected: Iterable[Rejected], *, now: float) -> None:
        self._cross("rejected.before")
        self.inner.save_rejected(rejected, now=now)
        self._cross("rejected.after")

    def recent_pushes(self, since: float) -> Sequence[float]:
        return self.inner.recent_pushes(since)

    def accept_age(self) -> None:
        self.inner.accept_age()
