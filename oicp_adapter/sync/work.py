"""One cycle's working picture, and how this operator is delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oicp_adapter.core.mass import Steps
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.telemetry.log import EventLog

Progress = Callable[[int, int], None]
"""(records done, records planned), after each request of a plan."""


def no_progress(_done: int, _planned: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True)
class DeliveryPolicy:
    """How this operator is delivered. Times in seconds."""

    operator_id: str
    operator_name: str
    settle: float = 60.0
    calls_per_minute: int = 1900
    search_for: float = 10.0
    """How long one cycle may search refused requests for the records at fault, before fresh changes are read."""
    quarantine_first_retry: float = 900.0
    quarantine_longest_retry: float = 86_400.0


@dataclass(kw_only=True)
class Work:
    """One cycle's picture while it is being worked on, and its tally."""

    cycle_id: str
    log: EventLog
    rows: dict[str, EvseRow]
    state: OperatorState
    strangers: int = 0
    """Records of the read that cannot be published and could be any EVSE's."""
    rejected: int = 0
    """While the baseline is unknown: EVSEs of which the source has no record that can be used, and never pushed."""
    noted: dict[str, int] | None = None
    """The published sets that the mark beside the ledger remembers; None: none."""
    requests: int = 0
    pushed: int = 0
    acked: int = 0
    in_doubt: int = 0
    newly_quarantined: int = 0
    refused: set[str] = field(default_factory=set)
    """Keys that Hubject refused in this cycle."""
    largest_bundle: int = 0
    slowest: float = 0.0
    """Longest time from a change being seen to its acknowledgement, seconds."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Acknowledged records by kind."""
    answered: bool = False
    """Hubject answered at least one request readably."""
    steps: Steps = field(default_factory=Steps)
    """What the mass guard says to the steps that the last decision lets go."""
    let_turn: set[str] = field(default_factory=set)
    """Keys whose step was sent by a person's leave."""
    withdrawn_before: frozenset[str] = frozenset()
    """Keys in the guard's account when the cycle began."""
    stopped_by: Answer | None = None
    """The answer that ended sending early."""

    @property
    def withdrawn(self) -> int:
        """EVSEs that entered the guard's account in this cycle."""
        return sum(
            1
            for row in self.rows.values()
            if row.withdrawn_at is not None and row.key not in self.withdrawn_before
        )
