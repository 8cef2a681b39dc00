"""What the use cases need from the world: a source, a ledger, a hub, a clock. Small on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from oicp_adapter.core.model import Rejected, SourceRead
from oicp_adapter.core.records import EvseRow, OpenPush, OperatorState, Picture, PushIntent, PushRow
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

    def accept_age(self) -> None:
        """A ledger found to have gone back in time is distrusted by now: do not report it again."""

    def remember(self, peak: dict[str, int]) -> None:
        """Note beside the ledger how large the fleet was, per day: so that it outlives a lost ledger."""

    def save(self, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()) -> None:
        """Store changed rows and the operator's state, drop the forgotten keys; one transaction."""

    def begin(self, intent: PushIntent) -> int:
        """Make durable what is about to be sent, before the first byte; returns the push's number."""

    def finish(
        self, push: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        """Close a push with its outcome and store exactly what it changed; one transaction."""

    def interrupted(
        self, pushes: Iterable[OpenPush], rows: Iterable[EvseRow], state: OperatorState, *, now: float
    ) -> None:
        """Close pushes whose outcome was never recorded ("interrupted") and store what is in doubt because of
        them; one transaction."""

    def save_rejected(self, rejected: Iterable[Rejected], *, now: float) -> None:
        """Replace the list of source records that cannot be published; since-times of known ones are kept."""

    def recent_pushes(self, since: float) -> Sequence[float]:
        """Start times of calls since then, oldest first: seeds the rate window after a restart."""


class CommandState(StrEnum):
    """How far a manual command has come."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command handed to whoever pushes for this operator (`resync` to the running daemon)."""

    id: int
    verb: str
    arguments: dict[str, int | str | None]
    state: CommandState
    requested_at: float
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    text: str = ""
    """Progress while it runs, the result when it ended."""


class Inbox(Protocol):
    """Commands between processes that share the ledger."""

    def put(self, verb: str, arguments: dict[str, int | str | None], *, now: float) -> int:
        """Ask; returns the command's number."""

    def take(self, *, now: float) -> Command | None:
        """The oldest pending command, now running."""

    def report(self, command_id: int, text: str) -> None:
        """Progress of a running command."""

    def end(self, command_id: int, state: CommandState, *, exit_code: int, text: str, now: float) -> None:
        """It ended."""

    def command(self, command_id: int) -> Command:
        """Look it up."""

    def withdraw(self, command_id: int, *, now: float) -> bool:
        """Take it back if nobody has taken it up; True if so."""

    def abandon(self, *, now: float) -> int:
        """At a start: commands left running by a dead process are failed; returns how many."""


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """When a job last ran and how it went."""

    job: str
    started_at: float | None = None
    succeeded_at: float | None = None
    failed_at: float | None = None
    error: str = ""
    failures: int = 0
    """In a row."""
    next_run_at: float | None = None
    summary: dict[str, int | float | str | None] = {}


class JobLog(Protocol):
    """What `status` and health tell about the daemon's jobs."""

    def record_job(self, record: JobRecord) -> None:
        """Store the job's latest record."""

    def jobs(self) -> list[JobRecord]:
        """All of them."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A person stopped the pushes of an operator for a while."""

    since: float
    until: float | None
    """None: until somebody resumes."""
    reason: str
    by: str
    """user@host"""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did."""

    at: float
    by: str
    what: str


class Pauses(Protocol):
    """Stopping pushes for a while, audited."""

    def pause(self, pause: Pause) -> None:
        """Stop pushes; replaces an earlier pause."""

    def resume(self, *, now: float, by: str) -> bool:
        """Let pushes flow again; False if nothing was paused."""

    def paused(self, *, now: float) -> Pause | None:
        """The pause in force now; None if there is none or it has ended by itself."""

    def note(self, entry: AuditEntry) -> None:
        """Remember what a person did."""

    def audit(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
