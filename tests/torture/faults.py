"""Everything that goes wrong with a push, mixed so that a chosen share of requests is hit.

The danger: a mix in which the slow or the stopping faults drown the others, so those are rare, and what only a person
can cure is not in the mix: it strikes once at a time. No late apply is later than `LATEST`, so `settle` must be more.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from oicp_adapter.simulator import Fault, FaultBox

LATEST = 3.0
"""Seconds from a request's arrival to its being applied, at the most."""
RETRY_AFTER = 2.0
"""Seconds that a 429 asks for. As a date this is a second less: dates have no fractions."""

CHANGES = ("insert", "update", "delete")
FULL_LOADS = ("fullLoad",)

LOST: tuple[Fault, ...] = (
    Fault(kind="drop_before_apply"),
    Fault(kind="drop_after_apply"),
    Fault(kind="late_apply", seconds=1.0, connection="drop"),
    Fault(kind="late_apply", seconds=LATEST, connection="drop"),
    Fault(kind="answered_twice"),
    Fault(kind="stale_answer"),
    Fault(kind="stale_answer", apply=True),
    Fault(kind="garbage_html"),
    Fault(kind="garbage_html", apply=False),
    Fault(kind="garbage_truncated"),
    Fault(kind="garbage_empty"),
    Fault(kind="http_error", status=502, apply=True),
    Fault(kind="http_error", status=503),
    Fault(kind="http_error", status=504, apply=True, empty_reason=True),
    Fault(kind="request_timeout", apply=True),
)
"""No readable answer, or none that is bound to the request, at once."""
SLOW: tuple[Fault, ...] = (
    Fault(kind="hang"),
    Fault(kind="hang", apply=True),
    Fault(kind="late_apply", seconds=LATEST),
    Fault(kind="drip", seconds=0.2),
    Fault(kind="latency_before_apply", seconds=LATEST),
    Fault(kind="latency_after_apply", seconds=LATEST),
)
"""No readable answer within a timeout of 2 s."""
TROUBLE: tuple[Fault, ...] = (
    Fault(kind="internal_error"),
    Fault(kind="code", code="009"),
    Fault(kind="code", code="310"),
    Fault(kind="too_many", seconds=RETRY_AFTER),
    Fault(kind="too_many", seconds=RETRY_AFTER, retry_after="date"),
    Fault(kind="too_many", retry_after="none"),
)
"""Readable, nothing applied, passes by itself."""
REFUSED: tuple[Fault, ...] = (
    Fault(kind="evse_data_missing"),
    Fault(kind="duplicate_ids"),
    Fault(kind="data_error"),
    Fault(kind="data_error", named=False),
    Fault(kind="validation_error"),
    Fault(kind="code", code="999"),
    Fault(kind="too_large", actions=CHANGES),
)
"""Readable, nothing applied, and the records are accused."""
MILD: tuple[Fault, ...] = (
    Fault(kind="latency_before_apply", seconds=0.2),
    Fault(kind="latency_after_apply", seconds=0.2),
    Fault(kind="drip", seconds=0.001),
)
"""Answered, only slower."""
STOPPING: tuple[Fault, ...] = (
    Fault(kind="unauthorized", count=1),
    Fault(kind="forbidden_address", count=1),
    Fault(kind="no_subscription", count=1),
    Fault(kind="partner_not_found", count=1),
    Fault(kind="service_not_found", count=1),
    Fault(kind="ssl_certificate_error", count=1),
)
"""The operator as a whole is rejected: the adapter probes slowly, or is restarted."""
FULL_LOAD_TOO_LARGE = Fault(kind="too_large", actions=FULL_LOADS, count=1)
"""From then on a rolling resync replaces full loads of that size."""

_WEIGHTS = ((LOST, 1.0), (TROUBLE, 0.7), (REFUSED, 0.7), (MILD, 0.7), (SLOW, 0.2))


def arm(box: FaultBox, share: float, *, actions: tuple[str, ...] = CHANGES) -> list[int]:
    """Put all that passes by itself in force, so that about `share` of such requests are hit; the faults' numbers."""
    weighed = [(fault, weight) for group, weight in _WEIGHTS for fault in group]
    total = sum(weight for _, weight in weighed)
    return [
        box.add(replace(fault, actions=actions, probability=share * weight / total))
        for fault, weight in weighed
        if fault.actions in ((), actions)
    ]


def stopping() -> Iterator[Fault]:
    """One after the other, again and again."""
    while True:
        yield from STOPPING
