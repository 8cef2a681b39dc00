"""What the use cases need from the world: a source, a ledger, a hub, a clock. Small on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from oicp_adapter.core.model import SourceRead
from oicp_adapter.core.records import EvseRow, OperatorState, Picture, PushIntent, PushRow
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Wait, or return early when the program is asked to stop."""


class Source(Protocol):
    """The operator's backend."""

    def read(self, now: float) -> SourceRead:
        """Read the whole fleet once. Raises SourceError when it cannot be read; never guesses."""


class Hub(Protocol):
    """Hubject, one push at a time."""

    def push(self, request: PushRequest) -> Answer:
        """Send one request, retrying inside the policy what is safe to retry. Never raises for what Hubject
        or the network does: everything becomes an Answer. Raises only on programming errors."""

    def close(self) -> None:
        """Close the connection."""


class Ledger(Protocol):
    """The durable record of what Hubject is known to hold, for one operator at one Hubject."""

    def load(self) -> Picture:
        """Everything, as of now."""

    def save(self, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()) -> None:
        """Store changed rows and the operator's state, drop the forgotten keys; one transaction."""

    def begin(self, intent: PushIntent) -> int:
        """Make durable what is about to be sent, before the first byte; returns the push's number."""

    def finish(
        self, push: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        """Close a push with its outcome and store exactly what it changed; one transaction."""

    def recent_pushes(self, since: float) -> Sequence[float]:
        """Start times of calls since then, oldest first: seeds the rate window after a restart."""
