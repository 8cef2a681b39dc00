"""The ledger in memory: the same contract, for tests and for a dry run before the first ledger exists.

The danger: a fake laxer than the real one. Both pass tests/contract/test_ledgers.py. For one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from oicp_adapter.core.model import Rejected
from oicp_adapter.core.records import (
    EvseRow,
    IntentRecord,
    OpenPush,
    OperatorState,
    Picture,
    PushIntent,
    PushRow,
)
from oicp_adapter.ledger import inbox
from oicp_adapter.ledger.history import LIMITS, HistoryEntry, Kept, Limits, PushEntry, expired
from oicp_adapter.ledger.mark import HighWaterMark, MemoryMark
from oicp_adapter.ledger.pauses import paused_note
from oicp_adapter.ledger.pushes import not_open, open_push, without_outcome
from oicp_adapter.ledger.rejections import Since, alike, with_since
from oicp_adapter.ports import AuditEntry, Command, CommandState, JobRecord, Pause


class MemoryInbox:
    """`oicp_adapter.ports.Inbox` inside one process."""

    def __init__(self) -> None:
        self._commands: dict[int, Command] = {}
        self._last_command = 0

    def put(self, verb: str, arguments: dict[str, int | str | None], *, now: float) -> int:
        """Ask; returns the command's number."""
        self._last_command += 1
        number = self._last_command
        self._commands[number] = Command(
            id=number, verb=verb, arguments=dict(arguments), state=CommandState.PENDING, requested_at=now
        )
        return number

    def take(self, *, now: float) -> Command | None:
        """The oldest pending command, now running."""
        for command in self._commands.values():
            if command.state is CommandState.PENDING:
                return self._change(command.id, state=CommandState.RUNNING, started_at=now)
        return None

    def report(self, command_id: int, text: str) -> None:
        """Progress of a running command; ignored when it is not running any more."""
        if self._state(command_id) is CommandState.RUNNING:
            self._change(command_id, text=text)

    def end(self, command_id: int, state: CommandState, *, exit_code: int, text: str, now: float) -> None:
        """A running command ended. Raises LedgerError if it is not running."""
        if self._state(command_id) is not CommandState.RUNNING:
            raise inbox.not_running(command_id)
        self._change(command_id, state=state, exit_code=exit_code, text=text, finished_at=now)

    def command(self, command_id: int) -> Command:
        """Look it up. Raises LedgerError if there is none of this number."""
        if command_id not in self._commands:
            raise inbox.unknown(command_id)
        return self._commands[command_id]

    def withdraw(self, command_id: int, *, now: float) -> bool:
        """Take it back if nobody has taken it up; True if so."""
        if self._state(command_id) is not CommandState.PENDING:
            return False
        self._change(command_id, state=CommandState.CANCELLED, finished_at=now)
        return True

    def abandon(self, *, now: float) -> int:
        """At a start: commands left running are failed; returns how many."""
        running = [item.id for item in self._commands.values() if item.state is CommandState.RUNNING]
        for number in running:
            self.end(number, CommandState.FAILED, exit_code=1, text=inbox.ABANDONED, now=now)
        return len(running)

    def _forget_commands(self, before: float) -> None:
        self._commands = {
            number: command
            for number, command in self._commands.items()
            if command.finished_at is None or command.finished_at >= before
        }

    def _state(self, command_id: int) -> CommandState | None:
        command = self._commands.get(command_id)
        return command.state if command else None

    def _change(self, command_id: int, **changes: object) -> Command:
        changed = msgspec.structs.replace(self._commands[command_id], **changes)
        self._commands[command_id] = changed
        return changed


class MemoryPauses:
    """`oicp_adapter.ports.Pauses` inside one process."""

    def __init__(self) -> None:
        self._pause: Pause | None = None
        self._audit: list[AuditEntry] = []

    def pause(self, pause: Pause) -> None:
        """Stop pushes; replaces an earlier pause."""
        self._pause = pause
        self.note(paused_note(pause))

    def resume(self, *, now: float, by: str) -> bool:
        """Let pushes flow again; False if nothing was paused."""
        if self._pause is None:
            return False
        self._pause = None
        self.note(AuditEntry(at=now, by=by, what="resumed"))
        return True

    def paused(self, *, now: float) -> Pause | None:
        """The pause in force now; None if there is none or it has ended by itself."""
        pause = self._pause
        return None if pause is None or (pause.until is not None and pause.until <= now) else pause

    def note(self, entry: AuditEntry) -> None:
        """Remember what a person did."""
        self._audit.append(entry)

    def audit(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
        return self._audit[::-1][:limit]


class MemoryLedger(MemoryInbox, MemoryPauses):
    """Ledger, Inbox, JobLog and Pauses of one operator; gone with the process."""

    def __init__(self, mark: HighWaterMark | None = None) -> None:
        """`mark`: what is remembered beside it; that of an earlier ledger if it was lost."""
        MemoryInbox.__init__(self)
        MemoryPauses.__init__(self)
        self._rows: dict[str, EvseRow] = {}
        self._state_now = OperatorState()
        self._pushes: dict[int, PushEntry] = {}
        self._records: dict[int, tuple[IntentRecord, ...]] = {}
        self._last_push = 0
        self._rejected: list[Since] = []
        self._jobs: dict[str, JobRecord] = {}
        self.mark: HighWaterMark = mark if mark is not None else MemoryMark()

    def load(self) -> Picture:
        """Everything, as of now."""
        noted = self.mark.read()
        return Picture(
            lost=noted.push > 0 and self._last_push == 0,
            peak=noted.peak,
            rows=dict(self._rows),
            state=self._state_now,
            open_pushes=tuple(
                open_push(push.push_id, push.action, (record.key for record in self._records[push.push_id]))
                for push in self._pushes.values()
                if push.finished_at is None
            ),
        )

    def accept_age(self) -> None:
        """Memory cannot go back in time."""

    def remember(self, peak: dict[str, int]) -> None:
        """Note beside the ledger how large the fleet was, per day."""
        self.mark.remember(peak)

    def save(self, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()) -> None:
        """Store changed rows and the operator's state, drop the forgotten keys."""
        changed, gone = {row.key: row for row in rows}, list(forget)
        self._rows.update(changed)
        for key in gone:
            self._rows.pop(key, None)
        self._state_now = state

    def begin(self, intent: PushIntent) -> int:
        """Note what is about to be sent, with the rows that change with it; returns the push's number."""
        self._last_push += 1
        self._pushes[self._last_push] = PushEntry(
            push_id=self._last_push,
            cycle_id=intent.cycle_id,
            action=intent.action,
            count=intent.count,
            started_at=intent.started_at,
        )
        self._records[self._last_push] = intent.records
        self._rows.update({row.key: row for row in intent.rows})
        self.mark.note(self._last_push)
        return self._last_push

    def finish(
        self, push: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        """Close a push with its outcome and store exactly what it changed. Raises LedgerError if it is not open."""
        self._close([push], list(rows), state, list(forget))

    def interrupted(
        self, pushes: Iterable[OpenPush], rows: Iterable[EvseRow], state: OperatorState, *, now: float
    ) -> None:
        """Close pushes whose outcome was never recorded and store what is in doubt because of them."""
        self._close([without_outcome(push, now=now) for push in pushes], list(rows), state, [])

    def _close(
        self, pushes: list[PushRow], rows: list[EvseRow], state: OperatorState, forget: list[str]
    ) -> None:
        for push in pushes:
            begun = self._pushes.get(push.push_id)
            if begun is None or begun.finished_at is not None:
                raise not_open(push.push_id)
        for push in pushes:
            begun = self._pushes[push.push_id]
            self._pushes[push.push_id] = msgspec.structs.replace(begun, **msgspec.structs.asdict(push))
        self.save(rows, state, forget=forget)

    def save_rejected(self, rejected: Iterable[Rejected], *, now: float) -> None:
        """Replace the list; since-times of known ones are kept."""
        after = with_since(rejected, self._rejected, now=now)
        if not alike(after, self._rejected):
            self._rejected = after

    def rejected(self) -> list[Since]:
        """What cannot be published, in the source's order, and since when."""
        return list(self._rejected)

    def recent_pushes(self, since: float) -> list[float]:
        """Start times of calls since then, oldest first; a push that needed three attempts counts three times."""
        return sorted(
            push.started_at
            for push in self._pushes.values()
            if push.started_at >= since
            for _ in range(push.attempts)
        )

    def pushes(self, limit: int) -> list[PushEntry]:
        """The newest pushes, newest first."""
        return list(reversed(self._pushes.values()))[:limit]

    def history(self, key: str, limit: int) -> list[HistoryEntry]:
        """The pushes that named this EVSE, newest first."""
        return [
            HistoryEntry(status=record.status, reason=record.reason, push=push)
            for push in reversed(self._pushes.values())
            for record in self._records[push.push_id]
            if record.key == key
        ][:limit]

    def prune(self, now: float, *, limits: Limits = LIMITS) -> int:
        """Forget what is too old or too much; returns how many pushes went."""
        kept = [
            Kept(push_id=push.push_id, started_at=push.started_at, records=len(self._records[push.push_id]))
            for push in reversed(self._pushes.values())
            if push.finished_at is not None
        ]
        last_pushes = {row.push_id for row in self._rows.values()}
        forget = expired(kept, last_pushes, now=now, limits=limits)
        for push_id in forget:
            del self._pushes[push_id], self._records[push_id]
        self._forget_commands(now - limits.age)
        return len(forget)

    def record_job(self, record: JobRecord) -> None:
        """Store the job's latest record."""
        self._jobs[record.job] = record

    def jobs(self) -> list[JobRecord]:
        """All of them, by name."""
        return [self._jobs[job] for job in sorted(self._jobs)]
