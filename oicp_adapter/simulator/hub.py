"""What the simulated Hubject decides about a request: who may call, what is refused, what is applied. No
network.

The order of the checks is that of a gateway: certificate, operator, rate, then the message, then what it asks
for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import RLock

import msgspec

from oicp_adapter.simulator import answers
from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.clock import Clock, system_clock
from oicp_adapter.simulator.faults import FaultBox
from oicp_adapter.simulator.ids import operator_key, prefix_key, provider_key
from oicp_adapter.simulator.journal import OVERDUE, Entry, Journal, Rule
from oicp_adapter.simulator.options import SimulatorOptions
from oicp_adapter.simulator.state import Applied, EvseData, Holdings, WrongAction
from oicp_adapter.simulator.traffic import Overlaps, Rates
from oicp_adapter.simulator.validate import DataPush, Invalid, StatusPush


@dataclass(frozen=True, slots=True)
class Peer:
    """The client certificate of a connection: common name and validity in seconds since the epoch."""

    name: str
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A request whose client got no answer and which is still to be applied. `due` None: only when
    released.
    """

    due: float | None
    operator: str
    push: StatusPush
    faults: tuple[str, ...]
    until: float | None = None
    """When it is too late for it, however it came to be; None: never."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hubject's answer and what it did."""

    answer: Answer
    applied: Applied | None = None


class Hub:
    """Everything the simulated Hubject knows. `lock` guards it: the server's thread and the test's both use
    it.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.lock = RLock()
        self.clock: Clock = options.clock or system_clock
        self.holdings = Holdings()
        self.evse_data = EvseData(options.evse_data)
        self.faults = FaultBox(options.seed)
        self.journal = Journal(options.journal_size)
        self.rates = Rates(options.calls_per_minute)
        self.overlaps = Overlaps()
        self.late: list[Late] = []
        self._prefixes = _prefixes(options.operators)
        self._providers = {provider_key(provider) for provider in options.providers}

    def breach(self, rule: Rule, operator: str, text: str) -> None:
        """Note a broken rule now."""
        with self.lock:
            self.journal.breach(self.clock(), rule, operator, text)

    def refuse_operator(self, operator: str, peer: Peer | None) -> Answer | None:
        """Certificate and partner checks on the OperatorID of the path; None lets the call in."""
        key = operator_key(operator)
        if peer is not None and not (_valid_now(peer) and operator_key(peer.name) == key):
            return answers.unauthorized()
        if key is None or (self._prefixes and key not in self._prefixes):
            return answers.partner_not_found()
        return None

    def refuse_provider(self, provider: str, peer: Peer | None) -> Answer | None:
        """Only a partner that also holds an EMP role may read back (docs/oicp-notes.md "The request")."""
        if peer is not None and not _valid_now(peer):
            return answers.unauthorized()
        return None if provider_key(provider) in self._providers else answers.no_subscription()

    def refuse_rate(self, endpoint: str, caller: str) -> Answer | None:
        """429 with the true Retry-After, and a broken rule, if this call is one too many."""
        wait = self.rates.call(endpoint, operator_key(caller) or caller, self.clock())
        if wait is None:
            return None
        limit = self.options.calls_per_minute[endpoint]
        self.breach("rate_limit", caller, f"more than {limit} calls to {endpoint} within 60 s")
        return answers.too_many(str(int(wait) + 1))

    def prefixes(self, operator: str) -> tuple[str, ...]:
        """Key prefixes of the EVSEs an operator may push."""
        own = (prefix_key(operator),) if operator_key(operator) else ()
        return self._prefixes.get(operator_key(operator) or "", own)

    def push_status(self, operator: str, push: StatusPush | Invalid) -> Verdict:
        """Decide and carry out one status push that was let in."""
        if isinstance(push, Invalid):
            self._note_unknown_members(operator, push)
            return Verdict(answers.invalid(push.errors))
        if operator_key(push.operator) != operator_key(operator):
            return Verdict(answers.unauthorized())
        if refused := self._refuse_records(operator, push):
            return Verdict(refused)
        outcome = self.holdings.apply(push.operator, push, self.options.semantics)
        if isinstance(outcome, WrongAction):
            names = ",".join(outcome.ids)
            return Verdict(
                answers.refusal("022", info=f"{outcome.reason}: {names}" if self.options.names_ids else None)
            )
        return Verdict(answers.success(), outcome)

    def push_data(self, operator: str, push: DataPush | Invalid) -> Verdict:
        """Register EVSE data."""
        if isinstance(push, Invalid):
            return Verdict(answers.invalid(push.errors))
        if operator_key(push.operator) != operator_key(operator):
            return Verdict(answers.unauthorized())
        prefixes = self.prefixes(operator)
        if len(set(push.keys)) != len(push.keys) or not all(key.startswith(prefixes) for key in push.keys):
            return Verdict(answers.refusal("018"))
        self.evse_data.push(push.action, push.keys, prefixes)
        return Verdict(answers.success(), Applied())

    def note(self, seen: Entry, push: StatusPush | Invalid | None, applied: Applied | None) -> None:
        """Enter a request in the journal, with what it asked for and what it did."""
        asked = push if isinstance(push, StatusPush) else None
        did = applied or Applied()
        entry = msgspec.structs.replace(
            seen,
            action=asked.action if asked else "",
            operator_name=asked.operator_name if asked else "",
            count=len(asked.records) if asked else 0,
            records=tuple(asked.records[: self.options.journal_records]) if asked else (),
            applied=applied is not None,
            added=did.added,
            changed=did.changed,
            removed=did.removed,
            noop=did.noop,
        )
        with self.lock:
            self.journal.add(entry)

    def release(self, now: float | None = None) -> int:
        """Apply the late requests that are due by `now` (None: all), oldest first; how many there were."""
        with self.lock:
            ready = [late for late in self.late if now is None or (late.due is not None and late.due <= now)]
            for late in sorted(ready, key=lambda late: late.due or 0.0):
                self.apply_late(late)
            return len(ready)

    def apply_late(self, late: Late) -> None:
        """Apply a request whose client has long given up, on top of whatever came in between."""
        with self.lock:
            if late not in self.late:
                return
            self.late.remove(late)
            now = self.clock()
            seen = Entry(at=now, endpoint="status", operator=late.operator, late=True, faults=late.faults)
            if late.until is not None and now > late.until:
                overdue = msgspec.structs.replace(seen, faults=(*late.faults, OVERDUE))
                self.note(overdue, late.push, None)
                return
            verdict = self.push_status(late.operator, late.push)
            answered = msgspec.structs.replace(
                seen, http_status=verdict.answer.status, code=verdict.answer.code
            )
            self.note(answered, late.push, verdict.applied)

    def clear(self) -> None:
        """Forget statuses, journal, faults, late requests and the rate window; settings and EVSE data
        stay.
        """
        with self.lock:
            self.holdings.forget()
            self.journal.clear()
            self.faults.clear()
            self.late.clear()
            self.rates.clear()

    def note_spelling(self, operator: str, push: StatusPush) -> None:
        """OICP accepts small letters; a careful client sends capitals (docs/oicp-notes.md "Identity of ids")."""
        small = next((wire for wire, _ in push.records if not wire.isupper() and wire != wire.upper()), None)
        if small or push.operator != push.operator.upper():
            self.breach("lower_case_id", operator, f"letters must be upper case: {small or push.operator}")

    def _note_unknown_members(self, operator: str, invalid: Invalid) -> None:
        for error in invalid.errors:
            if error.unknown_member:
                self.breach("unknown_member", operator, f"OICP knows no member {error.reference}")
                return

    def _refuse_records(self, operator: str, push: StatusPush) -> Answer | None:
        if not push.records and push.action != "fullLoad":
            self.breach(
                "liveness_call", operator, f"{push.action} without records: a call made only to be answered"
            )
            return answers.refusal("022", info="EvseStatusRecord is empty")
        if len(set(push.keys)) != len(push.keys):
            self.breach(
                "duplicate_id", operator, f"an EvseID twice in one {push.action} of {len(push.keys)} records"
            )
            return answers.refusal("018")
        prefixes = self.prefixes(operator)
        if not all(key.startswith(prefixes) for key in push.keys):
            return answers.refusal("018")
        missing = self.evse_data.missing(push) if push.action != "delete" else ()
        return answers.evse_data_missing(missing) if missing else None


def _valid_now(peer: Peer) -> bool:
    return peer.not_before <= system_clock() <= peer.not_after


def _prefixes(operators: Mapping[str, Sequence[str]] | Sequence[str]) -> dict[str, tuple[str, ...]]:
    listed = (
        operators if isinstance(operators, Mapping) else {operator: (operator,) for operator in operators}
    )
    found = {}
    for operator, prefixes in listed.items():
        key = operator_key(operator)
        if key is None:
            raise ValueError(f"{operator!r} is no OperatorID")
        found[key] = tuple(prefix_key(prefix) for prefix in prefixes or (operator,))
    return found
