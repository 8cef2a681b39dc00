"""A Hubject in the same process: the simulator decides, real bytes are read by the real interpreter.

Lost requests arrive now, never or late: a late one is applied when virtual time gets there, on top of whatever was
pushed in between. Nothing here is laxer than tests/contract allows the simulator to be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate

import httpx
import msgspec

from oicp_adapter.hub.failures import failed
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.interpret import interpret
from oicp_adapter.oicp.messages import PushRequest, body
from oicp_adapter.simulator import answers
from oicp_adapter.simulator.hub import Hub as Decider
from oicp_adapter.simulator.ids import evse_key, without_separators
from oicp_adapter.simulator.options import SimulatorOptions
from oicp_adapter.simulator.state import Semantics
from oicp_adapter.simulator.validate import FieldError, StatusPush, status_push
from tests.properties.virtual import Boundaries, CrashNow, VirtualClock

OPERATOR = "DE*ABC"
LATENCY, TIMEOUT = 0.1, 30.0
RECORD = "operatorEvseStatus.evseStatusRecord[{}].evseID"


def _truncated() -> answers.Answer:
    whole = answers.success()
    return answers.Answer(200, whole.body[: len(whole.body) // 2], whole.content_type)


Wire = Callable[[StatusPush, float], answers.Answer]

READABLE: dict[str, Wire] = {
    "603 unnamed": lambda push, now: answers.refusal("603"),
    "018": lambda push, now: answers.refusal("018"),
    "022 unnamed": lambda push, now: answers.refusal("022"),
    "022 misnamed": lambda push, now: answers.refusal("022", info="EVSE: DE*ABC*ENOSUCH"),
    "400 record 0": lambda push, now: answers.invalid([FieldError(RECORD.format(0), "is not valid")]),
    "400 outside": lambda push, now: answers.invalid([FieldError("operatorEvseStatus.operatorName", "bad")]),
    "unknown code": lambda push, now: answers.refusal("777", "Something new"),
    "310": lambda push, now: answers.refusal("310"),
    "500 001": lambda push, now: answers.internal_error(),
    "413": lambda push, now: answers.too_large(),
    "429 seconds": lambda push, now: answers.too_many("7"),
    "429 date": lambda push, now: answers.too_many(formatdate(now + 20, usegmt=True)),
    "429 bare": lambda push, now: answers.too_many(None),
    "401 017": lambda push, now: answers.unauthorized(),
    "403 210": lambda push, now: answers.no_subscription(),
    "403 page": lambda push, now: answers.forbidden_address(),
    "404 300": lambda push, now: answers.partner_not_found(),
    "404 path": lambda push, now: answers.service_not_found("/x"),
    "400 TLS page": lambda push, now: answers.ssl_certificate_error(),
}
"""Answers that say: nothing was applied."""

UNREADABLE: dict[str, Wire] = {
    "garbage page": lambda push, now: answers.page(200, "Welcome"),
    "garbage empty": lambda push, now: answers.Answer(200, b""),
    "garbage cut": lambda push, now: _truncated(),
    "503": lambda push, now: answers.page(503, "503 Service Temporarily Unavailable"),
    "408": lambda push, now: answers.page(408, "408 Request Time-out"),
}
"""Answers that leave the push in doubt."""

BROKEN: dict[str, Callable[[], Exception]] = {
    "timeout": lambda: httpx.ReadTimeout("timed out"),
    "reset": lambda: httpx.RemoteProtocolError("server disconnected"),
}
"""No answer at all, after the request was sent."""

UNSENT = "connect refused"
ONE_SHOT = (*READABLE, *UNREADABLE, *BROKEN, UNSENT)
BLAMELESS = (*UNREADABLE, *BROKEN, UNSENT, "310", "500 001", "429 seconds", "429 date", "429 bare")
"""Faults that accuse no record."""

BAD: dict[str, Callable[[list[tuple[int, str]]], answers.Answer]] = {
    "603 named": lambda bad: answers.evse_data_missing(wire for _, wire in bad),
    "603 unnamed": lambda bad: answers.refusal("603"),
    "022 named": lambda bad: answers.refusal("022", info=",".join(without_separators(w) for _, w in bad)),
    "022 unnamed": lambda bad: answers.refusal("022"),
    "018": lambda bad: answers.refusal("018"),
    "400 index": lambda bad: answers.invalid(FieldError(RECORD.format(i), "bad") for i, _ in bad),
    "unknown code": lambda bad: answers.refusal("999", "Nobody knows"),
}
"""How Hubject refuses a request because of EVSEs it does not take."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request. `arrival`: for those without a readable answer, seconds after
    we gave up at which the request is applied all the same; 0: before that; None: never."""

    kind: str
    action: str = ""
    arrival: float | None = None


@dataclass(frozen=True)
class Late:
    """A request nobody waits for any more."""

    due: float
    given_up: float
    push: StatusPush
    run: int


@dataclass(frozen=True)
class Move:
    """What one applied request did to what drivers see."""

    push: StatusPush
    run: int
    late_by: float | None
    """Seconds after we gave up; None: while we waited."""
    before: dict[str, str]
    after: dict[str, str]

    @property
    def left(self) -> set[str]:
        return shown(self.before) - shown(self.after)

    @property
    def returned(self) -> set[str]:
        return shown(self.after) - shown(self.before)


def shown(statuses: dict[str, str]) -> set[str]:
    """The EVSEs drivers see."""
    return {key for key, status in statuses.items() if status != "EvseNotFound"}


class Watch:
    """Told what arrives at Hubject."""

    def sending(self, push: StatusPush) -> None:
        """The first byte leaves."""

    def moved(self, move: Move) -> None:
        """A request was applied."""

    def unanswered(self, push: StatusPush) -> None:
        """It was closed without a readable answer."""

    def answered(self, push: StatusPush, code: str, http_status: int) -> None:
        """A readable answer was sent."""

    def struck(self, push: StatusPush, kind: str) -> None:
        """A fault hit it."""

    def never_inserted(self) -> set[str]:
        """Keys of the request under way that are not inserted, whatever comes of it."""
        return set()

    def surely_there(self, push: StatusPush) -> bool:
        """The adapter knows that Hubject shows the EVSEs of this request."""
        return False


@dataclass
class Hubject:
    """The `Hub` port."""

    clock: VirtualClock
    boundaries: Boundaries
    watch: Watch
    semantics: Semantics = "strict"
    names_ids: bool = True
    body_limit: int | None = None
    """Records; more is answered with 413."""
    run: int = 0
    """Number of the cycle that is pushing."""
    bad: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    crash_arrival: float | None = None
    """When a crash strikes while a request is under way: its arrival, as in `Fault`."""
    late: list[Late] = field(default_factory=list)
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: int = 0

    def __post_init__(self) -> None:
        self.decider = Decider(
            SimulatorOptions(
                operators={OPERATOR: (OPERATOR,)},
                semantics=self.semantics,
                names_ids=self.names_ids,
                clock=self.clock.now,
            )
        )
        self.clock.on_way = self._deliver_until
        self._open = False

    def preload(self, statuses: dict[str, str]) -> None:
        """Held since long ago."""
        self.decider.holdings.hold(OPERATOR, statuses)

    def statuses(self) -> dict[str, str]:
        """Key → status."""
        return {key: held.status for key, held in self.decider.holdings.shelf(OPERATOR).items()}

    def push(self, request: PushRequest) -> Answer:
        assert not self._open, "P2: a push while another is open"
        push = status_push(b"".join(body(request)))
        assert isinstance(push, StatusPush), push
        self.requests += 1
        self.watch.sending(push)
        fault = self._fault_for(push)
        began = self.clock.true
        self._open = True
        try:
            answer = self._exchange(push, fault)
        finally:
            self._open = False
        return msgspec.structs.replace(answer, duration=self.clock.true - began)

    def close(self) -> None:
        """Nothing is kept open."""

    def _exchange(self, push: StatusPush, fault: Fault | None) -> Answer:
        if fault is not None and fault.kind == UNSENT:
            return failed(httpx.ConnectError("connection refused"), sent=False)
        try:
            self.boundaries.cross("hub.sent")
        except CrashNow:
            self._arrive(push, self.crash_arrival)
            raise
        if fault is None:
            wire = self._decide(push, late_by=None, heard=True)
        elif fault.kind in READABLE:
            wire = READABLE[fault.kind](push, self.clock.now())
            if len(push.keys) == 1:
                self._made_true(push, push.keys, fault.kind)
        else:
            return self._unanswered(push, fault)
        self.clock.advance(LATENCY)
        self.boundaries.cross("hub.answered")
        self.watch.answered(push, wire.code, wire.status)
        return self._read(push, wire)

    def _unanswered(self, push: StatusPush, fault: Fault) -> Answer:
        quick = fault.kind != "timeout"
        if fault.arrival == 0:
            self._decide(push, late_by=None)
        self.clock.advance(LATENCY if quick else TIMEOUT)
        if fault.arrival != 0:
            self._arrive(push, fault.arrival)
        self.watch.unanswered(push)
        if fault.kind in BROKEN:
            return failed(BROKEN[fault.kind](), sent=True)
        return self._read(push, UNREADABLE[fault.kind](push, self.clock.now()))

    def _read(self, push: StatusPush, wire: answers.Answer) -> Answer:
        headers = {"Content-Type": wire.content_type, **wire.headers}
        if wire.from_hub:
            headers["Process-ID"] = f"process-{self.requests}"
        return interpret(
            wire.status, wire.body, headers=headers, now=self.clock.now(), records=len(push.records)
        )

    def _arrive(self, push: StatusPush, arrival: float | None) -> None:
        if arrival == 0:
            self._decide(push, late_by=None)
        elif arrival is not None:
            now = self.clock.true
            self.late.append(Late(due=now + arrival, given_up=now, push=push, run=self.run))

    def _deliver_until(self, until: float) -> None:
        while ready := [late for late in self.late if late.due <= until]:
            first = min(ready, key=lambda late: late.due)
            self.late.remove(first)
            self.clock.true = max(self.clock.true, first.due)
            self._decide(first.push, late_by=first.due - first.given_up, run=first.run)

    def _decide(
        self, push: StatusPush, *, late_by: float | None, run: int | None = None, heard: bool = False
    ) -> answers.Answer:
        if self.body_limit is not None and len(push.records) > self.body_limit:
            return answers.too_large()
        if refused := self._refuse_bad(push, heard=heard):
            return refused
        before = self.statuses()
        verdict = self.decider.push_status(OPERATOR, push)
        if verdict.applied is not None:
            after = self.statuses()
            self.watch.moved(
                Move(
                    push=push,
                    run=self.run if run is None else run,
                    late_by=late_by,
                    before=before,
                    after=after,
                )
            )
        return verdict.answer

    def _refuse_bad(self, push: StatusPush, *, heard: bool) -> answers.Answer | None:
        at_fault = [
            (index, wire, self.bad[key])
            for index, (key, (wire, _)) in enumerate(push.items())
            if key in self.bad
        ]
        if not at_fault:
            return None
        style = min(each[2] for each in at_fault)
        named = [(index, wire) for index, wire, its in at_fault if its == style]
        if heard and (style.endswith(" named") or len(push.keys) == 1):
            self._made_true(push, [key_of(wire) for _, wire in named], style)
        return BAD[style](named)

    def _made_true(self, push: StatusPush, keys: Iterable[str], said: str) -> None:
        """Where "not there" is taken at its word, it is so: what has lost its EVSE data has lost its status, too.

        That is 603 to a removal, and a bare 022 where the adapter did not know better. Any other is a lie, and the
        adapter must not believe it.
        """
        if not (said.startswith("603") or (said.startswith("022") and not self.watch.surely_there(push))):
            return
        removed = {
            key for key, (_, status) in push.items() if status == "EvseNotFound" and push.action != "fullLoad"
        }
        removed |= self.watch.never_inserted()
        shelf = self.decider.holdings.shelf(OPERATOR)
        for key in removed.intersection(keys):
            shelf.pop(key, None)

    def _fault_for(self, push: StatusPush) -> Fault | None:
        for fault in self.faults:
            if fault.action in ("", push.action):
                self.faults.remove(fault)
                self.hits[fault.kind, push.action] += 1
                self.watch.struck(push, fault.kind)
                return fault
        return None


def key_of(wire: str) -> str:
    """Identity as the simulator reads it."""
    key = evse_key(wire)
    assert key is not None, wire
    return key
