"""What goes wrong on request: which fault, for which requests, how often.

A fault is a frozen description that can also come as JSON through `POST /_sim/faults`; `FaultBox` decides,
with a seeded generator, which of them strike a request, and counts the hits by fault and action.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count as numbers
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from oicp_adapter.simulator.ids import evse_key, operator_key
from oicp_adapter.simulator.validate import StatusPush

FaultKind = Literal[
    "latency_before_apply",
    "latency_after_apply",
    "drop_before_apply",
    "drop_after_apply",
    "hang",
    "late_apply",
    "drip",
    "answered_twice",
    "stale_answer",
    "garbage_html",
    "garbage_truncated",
    "garbage_empty",
    "code",
    "evse_data_missing",
    "duplicate_ids",
    "data_error",
    "validation_error",
    "ssl_certificate_error",
    "unauthorized",
    "forbidden_address",
    "no_subscription",
    "partner_not_found",
    "service_not_found",
    "internal_error",
    "http_error",
    "request_timeout",
    "too_large",
    "too_many",
]
Endpoint = Literal["status", "data", "pull-by-operator", "pull-by-id"]

FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)
_APPLIED_BY_DEFAULT = {
    "drop_after_apply",
    "drip",
    "answered_twice",
    "garbage_html",
    "garbage_truncated",
    "garbage_empty",
}
_LATENCY = {"latency_before_apply", "latency_after_apply"}


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, and for which requests. Without any condition: for every status push until
    cleared.
    """

    kind: FaultKind
    endpoint: Endpoint | Literal["any"] = "status"
    operator: str = ""
    """Only this operator's requests."""
    actions: tuple[str, ...] = ()
    """Only these ActionTypes."""
    evse_ids: tuple[str, ...] = ()
    """Only requests that contain one of these EVSEs; answers that name records name those."""
    more_than: int = 0
    """Only requests with more records than this."""
    skip: int = 0
    """Let this many matching requests pass first."""
    count: Annotated[int, Meta(ge=1)] | None = None
    """How many requests it strikes; None: until cleared."""
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seconds: Annotated[float, Meta(ge=0)] | None = None
    """Latency; pause between dripped bytes; delay of a late apply (None: until `release_late`);
    Retry-After.
    """
    apply: bool | None = None
    """Whether the request is carried out although the answer does not say so; None: what the kind's name
    suggests.
    """
    connection: Literal["hang", "drop"] = "hang"
    """What a late apply does to the connection: leave the client waiting, or reset it."""
    code: str = "001"
    """OICP code of kind `code`."""
    status: int = 503
    """HTTP status of kind `http_error`."""
    empty_reason: bool = False
    """`http_error` without a reason phrase."""
    named: bool = True
    """Whether the answer of `data_error`, `code` or `validation_error` names the records at fault."""
    additional_info: str | None = None
    """AdditionalInfo word for word, instead of the names."""
    field_reference: str = ""
    """Reference of `validation_error`; empty: the records at fault by index."""
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    """Form of Retry-After of `too_many`."""

    @property
    def applies(self) -> bool:
        """Whether the request is carried out."""
        return self.kind in _APPLIED_BY_DEFAULT if self.apply is None else self.apply


@dataclass(frozen=True, slots=True)
class Strike:
    """What hits one request: delays, and at most one fault that changes the answer."""

    before: float = 0.0
    after: float = 0.0
    fault: Fault | None = None
    names: tuple[str, ...] = ()


_NOTHING = Strike()


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.to_skip = fault.skip
        self.left = fault.count
        self.operator = operator_key(fault.operator) if fault.operator else None
        self.keys = {evse_key(wire) or wire for wire in fault.evse_ids}

    def matches(self, endpoint: str, operator: str, push: StatusPush | None) -> bool:
        fault = self.fault
        records = push.keys if push else []
        return (
            self.left != 0
            and fault.endpoint in ("any", endpoint)
            and self.operator in (None, operator_key(operator))
            and (not fault.actions or (push is not None and push.action in fault.actions))
            and (not self.keys or not self.keys.isdisjoint(records))
            and (fault.more_than == 0 or len(records) > fault.more_than)
        )

    def strikes(self, rng: random.Random) -> bool:
        if self.to_skip > 0:
            self.to_skip -= 1
            return False
        if self.fault.probability < 1 and rng.random() >= self.fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultBox:
    """The faults in force, in the order added; the first that changes the answer wins, delays add up."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._armed: dict[int, _Armed] = {}
        self._numbers = numbers(1)
        self.hits: Counter[tuple[str, str]] = Counter()
        """How often each (kind, action) struck."""

    def add(self, fault: Fault) -> int:
        """Put a fault in force; the number returned removes it again."""
        number = next(self._numbers)
        self._armed[number] = _Armed(fault)
        return number

    def remove(self, number: int) -> None:
        """Take one fault out; nothing happens if it is not there."""
        self._armed.pop(number, None)

    def clear(self) -> None:
        """Take all faults out; the hits stay."""
        self._armed.clear()

    def active(self) -> Mapping[int, Fault]:
        """What can still strike."""
        return {number: armed.fault for number, armed in self._armed.items() if armed.left != 0}

    def strike(self, endpoint: str, operator: str, push: StatusPush | None) -> Strike:
        """What hits this request; counts it."""
        if not self._armed:
            return _NOTHING
        before = after = 0.0
        chosen: Fault | None = None
        names: list[str] = []
        for armed in list(self._armed.values()):
            fault = armed.fault
            if chosen and fault.kind not in _LATENCY:
                continue
            if not armed.matches(endpoint, operator, push) or not armed.strikes(self._rng):
                continue
            names.append(fault.kind)
            self.hits[fault.kind, push.action if push else ""] += 1
            if fault.kind == "latency_before_apply":
                before += fault.seconds or 0
            elif fault.kind == "latency_after_apply":
                after += fault.seconds or 0
            else:
                chosen = fault
        return Strike(before, after, chosen, tuple(names))
