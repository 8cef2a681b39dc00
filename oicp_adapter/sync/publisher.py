"""Carries out a plan: bundles in order, refused ones isolated, never so that one bad EVSE blocks the others (P5).

The danger: a search for bad records that starves fresh changes, or that quarantines a whole fleet because Hubject
refuses the operator. So the search takes turns with fresh changes and ends with the cycle's time, to go on in the
next; and ten single records refused alike before any success stop the operator and quarantine nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container

from oicp_adapter.core.bundling import LARGEST_BUNDLE, bundle_size, bundles
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Change, FullLoadPlan, Kind, Plan
from oicp_adapter.core.records import Presence
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.ports import Clock, Hub, Ledger
from oicp_adapter.sync.isolation import Bundle, halves, isolate, singles
from oicp_adapter.sync.pusher import Pusher
from oicp_adapter.sync.work import DeliveryPolicy, Progress, Work, no_progress
from oicp_adapter.telemetry import events

DOUBTS_IN_A_ROW = 2
"""Unanswered requests in a row after which a cycle stops sending: Hubject is not answering at all."""
ALIKE_REFUSALS = 10
"""Single records refused alike, before any success, that are taken for a refusal of the operator."""
LEAVES_TO_JUDGE = 8
"""Ends of the search before its yield is judged; when more than a quarter are faults, the rest go singly."""


class Publisher:
    """Sends plans for one operator. Not thread-safe: one push at a time is the point (P2)."""

    def __init__(
        self,
        *,
        hub: Hub,
        ledger: Ledger,
        clock: Clock,
        policy: DeliveryPolicy,
        stopping: Callable[[], bool] = lambda: False,
        progress: Progress = no_progress,
    ) -> None:
        self._pusher = Pusher(hub=hub, ledger=ledger, clock=clock, policy=policy)
        self._clock = clock
        self.policy = policy
        self._stopping = stopping
        self._progress = progress
        self._suspects: dict[str, int] = {}
        """Records of bundles that a cycle's time did not suffice to search, with the bundle's size."""
        self._accused: frozenset[str] = frozenset()
        """Refused alike, one by one, and no success yet: the others are asked first, or ten bad ones block them all."""

    def publish(
        self, plan: Plan, work: Work, *, probe: bool = False, first: Container[str] = frozenset()
    ) -> None:
        """Send a plan's changes. `probe`: Hubject failed lately, so the first request holds one record. `first`: keys
        of quarantined EVSEs that a person waits for: before all else, and however long it takes."""
        search = _Search(self._pusher, work, until=self._clock.monotonic() + self.policy.search_for)
        self._line_up(plan, search, probe=probe, first=first)
        while work.stopped_by is None and not self._stopping():
            bundle = search.next(self._clock.monotonic())
            if bundle is None:
                break
            self._send(bundle, search, work)
            self._progress(min(work.acked + work.newly_quarantined, len(plan.changes)), len(plan.changes))
        self._suspects = search.end()
        self._accused = frozenset() if search.success else self._accused | search.accused

    def may_answer(self, plan: Plan, *, since: float) -> bool:
        """Refused alike, one by one: is it the operator, or those records? A change of another EVSE, seen after
        `since`, will tell."""
        return bool(self._accused) and any(
            change.since is not None and change.since > since and change.key not in self._accused
            for change in plan.changes
        )

    def full_load(self, full: FullLoadPlan, work: Work, *, how: str) -> Answer:
        """Send one fullLoad that the guards let pass; see `Pusher.full_load`."""
        return self._pusher.full_load(full, work, how=how)

    def now(self) -> float:
        """The wall clock."""
        return self._clock.now()

    def full_size(self, full: FullLoadPlan) -> int:
        """Bytes of the fullLoad's body."""
        return self._pusher.full_size(full)

    def quarantine(self, keys: list[str], answer: Answer, work: Work) -> None:
        """Note what a fullLoad's answer named; the caller sends the rest again."""
        self._pusher.quarantine([(key, work.rows[key].desired) for key in keys], [answer], work)

    def _line_up(self, plan: Plan, search: _Search, *, probe: bool, first: Container[str]) -> None:
        size = bundle_size(
            len(plan.changes),
            round_trip=self._pusher.round_trip,
            calls_per_minute=self.policy.calls_per_minute,
        )
        retries = [change for change in plan.changes if change.kind is Kind.QUARANTINE]
        others = [change for change in plan.changes if change.kind is not Kind.QUARANTINE]
        fresh = [change for change in others if change.key not in self._suspects]
        for action, part in bundles(fresh, size):
            search.fresh.append(Bundle(action=action, changes=part))
        ranks = {key: (key in self._accused, smaller) for key, smaller in self._suspects.items()}
        for rank in sorted(set(ranks.values())):
            alike = [change for change in others if ranks.get(change.key) == rank]
            for action, part in bundles(alike, rank[1]):
                search.suspect.append(Bundle(action=action, changes=part))
        for _, (change,) in bundles(retries, 1):
            (search.asked if change.key in first else search.retries).add(change)
        if probe:
            search.probe()

    def _send(self, bundle: Bundle, search: _Search, work: Work) -> None:
        answer = self._pusher.send(bundle, work)
        match answer.reaction:
            case Reaction.APPLIED:
                search.succeeded(bundle)
            case Reaction.REFUSED:
                search.refused(bundle, answer)
            case Reaction.TOO_LARGE:
                search.too_large(bundle, answer)
            case Reaction.IN_DOUBT:
                if self._pusher.doubts >= DOUBTS_IN_A_ROW:
                    work.stopped_by = answer
            case _:
                work.stopped_by = answer


def _rest(bundle: Bundle) -> tuple[Bundle, ...]:
    rest = bundle.changes[1:]
    return (Bundle(action=bundle.action, changes=rest),) if rest else ()


class _Search:
    """What is left to send in this cycle, and the search for records at fault in it."""

    def __init__(self, pusher: Pusher, work: Work, *, until: float) -> None:
        self.fresh: deque[Bundle] = deque()
        self.suspect: deque[Bundle] = deque()
        """Parts of refused bundles."""
        self.retries = Retries(work)
        """What is quarantined: thousands may be due at once, so they come last, while there is time."""
        self.asked = Retries(work)
        """Those that a person waits for: they come first."""
        self._pusher = pusher
        self._work = work
        self._until = until
        self._fresh_turn = False
        self.success = False
        self._alike: list[tuple[Change, tuple[Answer, ...]]] = []
        """Records refused before any success, one by one or as most of a request, not yet quarantined."""
        self._sizes: dict[str, int] = {}
        """Key → size of the bundle in which it was named."""
        self._leaves = self._faults = 0

    @property
    def accused(self) -> frozenset[str]:
        """Refused alike and, when the cycle ended, not quarantined for it."""
        return frozenset(change.key for change, _ in self._alike)

    def probe(self) -> None:
        """Hubject failed lately: the first request holds one record."""
        queue = self.fresh or self.suspect
        if queue:
            first = queue.popleft()
            queue.extendleft(reversed((*singles(first)[:1], *_rest(first))))
            self._fresh_turn = True

    def next(self, monotonic: float) -> Bundle | None:
        """Fresh changes and the search take turns; the search ends with its time."""
        if self.asked:
            return self.asked.take()
        may_search = bool(self.suspect) and monotonic < self._until
        if may_search and not (self.fresh and self._fresh_turn):
            self._fresh_turn = True
            return self.suspect.popleft()
        self._fresh_turn = False
        if self.fresh:
            return self.fresh.popleft()
        return self.retries.take() if self.retries and monotonic < self._until else None

    def succeeded(self, bundle: Bundle) -> None:
        """Hubject took one: refusals so far were about records, not about the operator."""
        self.success = True
        self._leaves += 1
        self._quarantine_alike()
        for retries in (self.asked, self.retries):
            retries.accepted(bundle)

    def refused(self, bundle: Bundle, answer: Answer) -> None:
        """Find out who is at fault."""
        verdict = isolate(bundle, answer)
        self._pusher.already_gone(verdict.already_gone, self._work)
        if verdict.quarantine or verdict.already_gone:
            self._leaves += 1
            self._faults += 1
        for retries in (self.asked, self.retries):
            retries.refused(bundle)
        most = len(verdict.quarantine) * 2 > len(bundle.changes)
        for change in verdict.quarantine:
            self._at_fault(change, bundle, answer, most=most)
        if verdict.rest is None and self._sizes and self._most_of_all():
            self._work.stopped_by = _of_operator(answer, len(self._alike))
        again = verdict.again
        if verdict.halved and self._leaves >= LEAVES_TO_JUDGE and self._faults * 4 > self._leaves:
            again = tuple(single for part in again for single in singles(part))
        if verdict.rest is not None:
            self.fresh.appendleft(verdict.rest)
            self._fresh_turn = True  # the innocent go at once
        self.suspect.extendleft(reversed(again))

    def too_large(self, bundle: Bundle, answer: Answer) -> None:
        """413: smaller, down to one."""
        if len(bundle.changes) > 1:
            self.fresh.extendleft(reversed(halves(bundle)))
        else:
            change = bundle.changes[0]
            self._pusher.quarantine([(change.key, change.status)], (*bundle.refusals, answer), self._work)

    def end(self) -> dict[str, int]:
        """The cycle ends. Returns what the next has to search on with, and in which bundles."""
        if self._work.stopped_by is None:
            self._quarantine_alike()
        left = {change.key: len(bundle.changes) for bundle in self.suspect for change in bundle.changes}
        left |= {key: self._sizes.get(key, 1) for key in self.accused}
        if left:
            self._work.log.emit(events.SEARCH_CONTINUES, records=len(left))
        return left

    def _at_fault(self, change: Change, bundle: Bundle, answer: Answer, *, most: bool) -> None:
        answers = (*bundle.refusals, answer)
        named = _names(answer)
        if self.success or (named and not most) or change.kind is Kind.QUARANTINE:
            self._pusher.quarantine([(change.key, change.status)], answers, self._work)
            return
        self._alike.append((change, answers))
        codes = {one[-1].code for _, one in self._alike}
        if len(codes) > 1:
            self.success = True  # they differ, so it is not one refusal of all
            self._quarantine_alike()
        elif named:
            self._sizes[change.key] = len(bundle.changes)  # who is named needs no search
        elif len(self._alike) >= ALIKE_REFUSALS:
            self._work.stopped_by = _of_operator(answer, len(self._alike))

    def _most_of_all(self) -> bool:
        """No request got through, and those refused are most of what the source has to show."""
        if self.success or len(self._alike) < ALIKE_REFUSALS:
            return False
        return len(self._alike) * 2 > sum(1 for row in self._work.rows.values() if row.wanted)

    def _quarantine_alike(self) -> None:
        for change, answers in self._alike:
            refused: list[tuple[str, EvseStatus | None]] = [(change.key, change.status)]
            self._pusher.quarantine(refused, answers, self._work)
        self._alike.clear()


class Retries:
    """Quarantined records of one cycle. Each is tried alone; once one of those refused alike is accepted, the others
    follow in bundles that double, and after a refusal alone again: a fleet refused as one comes back as one."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: dict[tuple[str, ActionType, Presence, bool], deque[Change]] = {}
        self._sizes: dict[str, int] = {}
        self._codes: dict[str, str] = {}

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def add(self, change: Change) -> None:
        """It is due."""
        entry = self._work.rows[change.key].quarantine
        code = entry.code if entry is not None else ""
        self._codes[change.key] = code
        alike = (code, change.action, change.presence, change.removal)
        self._waiting.setdefault(alike, deque()).append(change)

    def take(self) -> Bundle:
        """The next request."""
        alike, changes = next((alike, changes) for alike, changes in self._waiting.items() if changes)
        size = min(self._sizes.get(alike[0], 1), len(changes))
        return Bundle(action=alike[1], changes=tuple(changes.popleft() for _ in range(size)))

    def accepted(self, bundle: Bundle) -> None:
        """Hubject took it: the next one of its kind may be twice as large."""
        code = self._codes.get(bundle.changes[0].key)
        if code is not None:
            self._sizes[code] = min(2 * max(len(bundle.changes), self._sizes.get(code, 1)), LARGEST_BUNDLE)

    def refused(self, bundle: Bundle) -> None:
        """It did not: one by one again."""
        code = self._codes.get(bundle.changes[0].key)
        if code is not None:
            self._sizes[code] = 1


def _names(answer: Answer) -> bool:
    return bool(answer.named_ids or answer.indexes)


def _of_operator(answer: Answer, count: int) -> Answer:
    return Answer(
        reaction=Reaction.STOPPED,
        code=answer.code,
        text=f"Hubject refuses every record alike, {count} so far: {answer.text}",
        hint=answer.hint or "ask Hubject's support, with the Process-ID; nobody was quarantined for it",
        http_status=answer.http_status,
        process_id=answer.process_id,
    )
