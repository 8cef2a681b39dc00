"""What goes wrong on request: which fault, for which requests, how often.

A fault is a frozen description that can also come as JSON through `POST /_sim/faults`; `FaultBox` decides,
with a seeded generator, which of them strike a request, and counts the hits by fault and action.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from itertools import count as numbers
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from oicp_adapter.simulator import answers
from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.ids import evse_key, operator_key
from oicp_adapter.simulator.validate import FieldError, StatusPush

FaultKind = Literal[
    "latency_before_apply",
    "latency_after_apply",
    "drop_before_apply",
    "drop_after_apply",
    "hang",
    "late_apply",
    "drip",
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
_APPLIED_BY_DEFAULT = {"drop_after_apply", "drip", "garbage_html", "garbage_truncated", "garbage_empty"}
_LATENCY = {"latency_before_apply", "latency_after_apply"}
_PHRASES = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


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
    """Whether AdditionalInfo of `data_error` and `code` names the records at fault."""
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


def answer_of(fault: Fault, push: StatusPush | None, uri: str, now: float) -> Answer | None:
    """The answer a fault puts in place of the true one; None for faults of time and connection."""
    if fault.kind in _FIXED:
        return _FIXED[fault.kind]()
    match fault.kind:
        case "evse_data_missing":
            return answers.evse_data_missing(wire for _, wire in _at_fault(fault, push))
        case "data_error":
            return answers.refusal("022", info=_info(fault, push))
        case "code":
            return answers.refusal(
                fault.code, info=_info(fault, push) if fault.evse_ids else fault.additional_info
            )
        case "validation_error":
            return answers.invalid(_field_errors(fault, push))
        case "service_not_found":
            return answers.service_not_found(uri)
        case "http_error":
            title = f"{fault.status} {_PHRASES.get(fault.status, 'Error')}"
            return answers.page(fault.status, title, reason="" if fault.empty_reason else None)
        case "too_many":
            return answers.too_many(_retry_after(fault, now))
        case "garbage_truncated":
            whole = answers.success()
            return Answer(200, whole.body[: len(whole.body) // 2], whole.content_type)
        case _:
            return None


_FIXED: dict[str, Callable[[], Answer]] = {
    "duplicate_ids": lambda: answers.refusal("018"),
    "ssl_certificate_error": answers.ssl_certificate_error,
    "unauthorized": answers.unauthorized,
    "forbidden_address": answers.forbidden_address,
    "no_subscription": answers.no_subscription,
    "partner_not_found": answers.partner_not_found,
    "internal_error": answers.internal_error,
    "request_timeout": lambda: answers.page(408, "408 Request Time-out"),
    "too_large": answers.too_large,
    "garbage_html": lambda: answers.page(200, "Welcome"),
    "garbage_empty": lambda: Answer(200, b""),
}


def _at_fault(fault: Fault, push: StatusPush | None) -> list[tuple[int, str]]:
    """Index and wire id of the records a refusal points at: those asked for, else the first."""
    if push is None:
        return []
    keys = {evse_key(wire) for wire in fault.evse_ids}
    found = [(i, wire) for i, (key, (wire, _)) in enumerate(push.items()) if key in keys]
    return found or [(i, wire) for i, (wire, _) in enumerate(push.records[:1])]


def _info(fault: Fault, push: StatusPush | None) -> str | None:
    if fault.additional_info is not None or not fault.named:
        return fault.additional_info
    return ",".join(wire for _, wire in _at_fault(fault, push)) or None


def _field_errors(fault: Fault, push: StatusPush | None) -> list[FieldError]:
    if fault.field_reference:
        return [FieldError(fault.field_reference, "is not valid")]
    where = "operatorEvseStatus.evseStatusRecord[{}].evseID"
    return [FieldError(where.format(i), "is not valid") for i, _ in _at_fault(fault, push)]


def _retry_after(fault: Fault, now: float) -> str | None:
    seconds = 1.0 if fault.seconds is None else fault.seconds
    if fault.retry_after == "none":
        return None
    return f"{seconds:.0f}" if fault.retry_after == "seconds" else formatdate(now + seconds, usegmt=True)
