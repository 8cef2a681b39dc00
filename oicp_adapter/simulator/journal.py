"""What the simulator saw: every request, and every rule a client broke. Bounded, so that it can run for
weeks.
"""

from collections import Counter, deque
from typing import Literal

from msgspec import Struct

Rule = Literal[
    "parallel_push",
    "rate_limit",
    "duplicate_id",
    "unknown_member",
    "liveness_call",
    "lower_case_id",
    "path_not_encoded",
    "content_type",
]

OVERDUE = "overdue"
"""Stands among the faults of a request that was dropped because of `SimulatorOptions.late_at_most`."""


class Entry(Struct, frozen=True, kw_only=True):
    """One request, or (with `late`) the applying of one whose client got no answer.

    `http_status` 0 means no answer was sent. `records` holds the first ones sent, as (wire id, status).
    """

    at: float
    endpoint: str
    operator: str
    operator_name: str = ""
    action: str = ""
    count: int = 0
    applied: bool = False
    http_status: int = 0
    code: str = ""
    process_id: str | None = None
    duration: float = 0.0
    added: int = 0
    changed: int = 0
    removed: int = 0
    noop: int = 0
    overlapped: bool = False
    late: bool = False
    faults: tuple[str, ...] = ()
    records: tuple[tuple[str, str], ...] = ()


class BrokenRule(Struct, frozen=True):
    """One thing Hubject forbids and a client did."""

    at: float
    rule: Rule
    operator: str
    text: str


class Journal:
    """The last requests and broken rules, and the totals of all of them."""

    def __init__(self, size: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=size)
        self.broken: deque[BrokenRule] = deque(maxlen=size)
        self.requests: Counter[str] = Counter()
        """Requests by endpoint, late applies not counted."""
        self.rules: Counter[str] = Counter()
        self.noop_records = 0

    def add(self, entry: Entry) -> None:
        """Note a request."""
        self.entries.append(entry)
        self.noop_records += entry.noop
        if not entry.late:
            self.requests[entry.endpoint] += 1

    def breach(self, at: float, rule: Rule, operator: str, text: str) -> None:
        """Note a broken rule."""
        self.broken.append(BrokenRule(at, rule, operator, text))
        self.rules[rule] += 1

    def clear_requests(self) -> None:
        """Forget the requests. Broken rules stay: whoever only looks at what comes next must not acquit."""
        self.entries.clear()
        self.requests.clear()
        self.noop_records = 0

    def clear(self) -> None:
        """Forget everything seen."""
        self.clear_requests()
        self.broken.clear()
        self.rules.clear()
