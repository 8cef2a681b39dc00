"""The one thread that works for an operator: takes pokes and manual commands, runs one job at a time.

The danger: one failing job that silently ends all others. A job's error is logged and counted; what ends the
thread ends the process, so that its supervisor notices.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apscheduler.triggers.base import BaseTrigger
from msgspec.structs import replace

from oicp_adapter.core.text import one_line, time_text
from oicp_adapter.errors import LedgerError
from oicp_adapter.ports import Clock, Command, CommandState, Inbox, JobLog, JobRecord
from oicp_adapter.sync.commands import RESYNC, Task, task
from oicp_adapter.sync.cycle import OperatorSync, Reading
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.resync import Ended
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog

SCHEDULE = "schedule"
MISSED = "schedule, while the daemon did not run"
DELTA, RECONCILE, FULL, UPKEEP = "delta", "reconcile", "full", "upkeep"
_COVERS = {FULL: (RECONCILE, DELTA), RECONCILE: (DELTA,), DELTA: (), UPKEEP: ()}
"""A job that ran does the work of these, too. In the order in which jobs run that are due together."""
_MADE_UP_FOR = (FULL, UPKEEP)
"""Jobs that run at the start if they were due before it: nobody should wait another day for them."""
WATCH_INTERVAL = 0.5
"""Seconds between looks at workers and the inbox."""
STALE_AFTER = 3600.0
"""Seconds after which a command that nobody took up is refused: what a person allowed was meant for that hour."""
REMIND_AFTER = 3600.0
"""Seconds between two lines about a ledger that cannot be used."""


class OperatorLedger(Inbox, JobLog, Protocol):
    """What the daemon needs of a ledger."""


@dataclass(frozen=True, kw_only=True)
class OperatorJobs:
    """One operator, ready to run."""

    name: str
    sync: OperatorSync
    ledger: OperatorLedger
    triggers: Mapping[str, BaseTrigger]
    """job → when."""
    upkeep: Callable[[], None]
    """What the job of this name does: history bounds, certificate expiry."""
    close: Callable[[], None]


class Worker(threading.Thread):
    """The one thread that works for an operator."""

    def __init__(
        self,
        jobs: OperatorJobs,
        *,
        clock: Clock,
        log: EventLog,
        stop: threading.Event,
        poll: float = WATCH_INTERVAL,
    ) -> None:
        super().__init__(name=f"operator-{jobs.name}", daemon=True)
        self.jobs = jobs
        self.next_run: Callable[[str], float | None] = lambda job: None
        self.failure: BaseException | None = None
        self._clock = clock
        self._log = log.bind(operator=jobs.name)
        self._asked_to_end = stop
        self._poll = poll
        self._pokes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._due: dict[str, str] = {}
        self._records: dict[str, JobRecord] = {}
        self._task: tuple[Command, Task] | None = None
        self._outcome: tuple[Command, Ended] | None = None
        """How a command ended, until the ledger has it."""
        self._unusable: tuple[type[LedgerError], float] | None = None
        """How the ledger fails, and when that was last told (monotonic)."""
        self._fresh: Reading | None = None
        self._rescheduled = threading.Event()

    def poke(self, job: str, why: str = SCHEDULE) -> None:
        """Ask for a job; safe from any thread and from signal handlers."""
        self._pokes.put(f"{job}:{why}")

    def use(self, reading: Reading) -> None:
        """Read and map by new settings before the next job; safe from any thread."""
        self._fresh = reading

    def rescheduled(self) -> None:
        """All next runs have moved: `status` and `health` must not go by the old ones. Safe from any thread."""
        self._rescheduled.set()

    def run(self) -> None:
        """Work until asked to stop."""
        try:
            begun = False
            while not self._asked_to_end.is_set():
                begun = begun or self._takes_up()
                self._collect()
                if begun:
                    self._step()
        except BaseException as error:  # noqa: BLE001 - the main thread must learn of any death
            self.failure = error
            self._log.crash(events.DAEMON_WORKER_DIED, error)
        finally:
            self.jobs.close()

    def _takes_up(self) -> bool:
        """Take up the work where the process before left it. False: the ledger cannot be used, so not yet."""
        try:
            self._records = {record.job: record for record in self.jobs.ledger.jobs()}
            abandoned = self.jobs.ledger.abandon(now=self._clock.now())
        except LedgerError as error:
            self._cannot(error)
            return False
        if abandoned:
            self._log.emit(events.COMMAND_ENDED, state="failed", text="the process it was given to died")
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        """Which jobs are due at once."""
        for job in self.jobs.triggers:
            record = self._records.get(job, JobRecord(job=job))
            promised = record.next_run_at
            if job in _MADE_UP_FOR and promised is not None and promised <= self._clock.now():
                # Announced when it has run: a process that dies before leaves it due.
                self._due[job] = MISSED
                self._log.emit(events.JOB_MISSED, job=job, due=time_text(promised))
            else:
                self._announce_again((job,))

    def _collect(self) -> None:
        """Wait a little for pokes, and take all there are."""
        try:
            poke = self._pokes.get(timeout=self._poll)
            while True:
                job, _, why = poke.partition(":")
                self._due[job] = why
                poke = self._pokes.get_nowait()
        except queue.Empty:
            pass

    def _step(self) -> None:
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            self.jobs.sync.use(fresh)
        if self._rescheduled.is_set():
            self._rescheduled.clear()
            self._announce_again(self.jobs.triggers)
        try:
            self._obey()
        except LedgerError as error:
            self._cannot(error)
        for job, covered in _COVERS.items():
            if job in self._due and not self._asked_to_end.is_set():
                why = self._due.pop(job)
                spared = self._spare(covered)
                self._run(job, why)
                self._announce_again(spared)

    def _obey(self) -> None:
        """Manual commands, one at a time."""
        if self._outcome is not None:
            self._report()
        if self._task is None:
            command = self.jobs.ledger.take(now=self._clock.now())
            if command is not None:
                self._begin(command)
        if self._task is not None:
            self._continue()

    def _begin(self, command: Command) -> None:
        self._log.emit(events.COMMAND_TAKEN, command=command.verb, command_id=command.id)
        if self._clock.now() - command.requested_at > STALE_AFTER:
            text = "it was asked for more than an hour ago, and nobody was there to do it: ask again"
            self._end(command, Ended(state=CommandState.REFUSED, exit_code=3, text=text))
            return
        asked = f"{command.verb} #{command.id}"
        try:
            started = self._clock.monotonic()
            begun = task(command.verb, command.arguments, self.jobs.sync, now=started, asked=asked)
        except ValueError as error:
            self._end(command, Ended(state=CommandState.FAILED, exit_code=1, text=str(error)))
            return
        self._task = (command, begun)
        self._due[DELTA] = command.verb

    def _continue(self) -> None:
        """A command takes the place of the next delta, until it ends; a resync that of the full load, too."""
        if self._task is None or not self._due:
            return
        command, begun = self._task
        spared: list[str] = []
        try:
            if command.verb == RESYNC and FULL in self._due:
                # One full load does for both; if none comes of it, the night's stays due.
                self.jobs.sync.want_full(self._due[FULL])
                spared = self._spare((FULL,))
            spared += self._spare((DELTA, RECONCILE))
            ended = begun.step(self._clock.monotonic())
        except Exception as error:  # noqa: BLE001 - one failing command must not end the daemon
            self._tell(error, job=command.verb)
            ended = Ended(state=CommandState.FAILED, exit_code=1, text=one_line(f"failed: {error}"))
        self._announce_again(spared)
        if ended is None:
            self.jobs.ledger.report(command.id, begun.progress)
        else:
            self._end(command, ended)

    def _end(self, command: Command, ended: Ended) -> None:
        self._task, self._outcome = None, (command, ended)
        self._log.emit(events.COMMAND_ENDED, command_id=command.id, state=ended.state.value, text=ended.text)
        self._report()

    def _report(self) -> None:
        """Let who asked know; again at the next look if the ledger cannot take it now."""
        if self._outcome is None:
            return
        command, ended = self._outcome
        if self.jobs.ledger.command(command.id).state is CommandState.RUNNING:
            self.jobs.ledger.end(
                command.id, ended.state, exit_code=ended.exit_code, text=ended.text, now=self._clock.now()
            )
        self._outcome = None

    def _run(self, job: str, why: str) -> None:
        """One job, guarded: an error is logged and counted, never the end of the others."""
        started = self._clock.now()
        before = self._records.get(job, JobRecord(job=job))
        try:
            report = self._do(job, why)
        except Exception as error:  # noqa: BLE001 - see docstring
            self._tell(error, job=job, failures=before.failures + 1)
            self._record(before, job, started, error=one_line(str(error)), report=None)
        else:
            self._can()
            error_text = "; ".join(text for _, text, _ in report.failures) if report else ""
            self._record(before, job, started, error=error_text, report=report)

    def _do(self, job: str, why: str) -> CycleReport | None:
        sync = self.jobs.sync
        if job == UPKEEP:
            self.jobs.upkeep()
            return None
        if job == FULL:
            return sync.full(asked=why, force=why not in (SCHEDULE, MISSED))
        return sync.reconcile() if job == RECONCILE else sync.delta()

    def _spare(self, jobs: Iterable[str]) -> list[str]:
        """Do not run them, whose work is done by another one; returns those that were due."""
        return [job for job in jobs if self._due.pop(job, None) is not None]

    def _announce_again(self, jobs: Iterable[str]) -> None:
        """When they come next: `status` shows it, and `health` sees that the worker lives."""
        try:
            for job in jobs:
                if job in self.jobs.triggers:
                    self._announce(job)
        except LedgerError as error:
            self._cannot(error)

    def _announce(self, job: str) -> None:
        """So that `status` knows the next run before the first."""
        before = self._records.get(job, JobRecord(job=job))
        self._records[job] = replace(before, next_run_at=self.next_run(job))
        self.jobs.ledger.record_job(self._records[job])

    def _record(
        self, before: JobRecord, job: str, started: float, *, error: str, report: CycleReport | None
    ) -> None:
        now = self._clock.now()
        record = JobRecord(
            job=job,
            started_at=started,
            succeeded_at=before.succeeded_at if error else now,
            failed_at=now if error else before.failed_at,
            error=error,
            failures=before.failures + 1 if error else 0,
            next_run_at=self.next_run(job),
            summary={} if report is None else dict(report.summary()),
        )
        self._records[job] = record
        try:
            self.jobs.ledger.record_job(record)
        except LedgerError as problem:
            self._cannot(problem)

    def _tell(self, error: Exception, *, job: str, failures: int | None = None) -> None:
        """What the ledger's errors foresee is told with its fix; the rest with its traceback."""
        if isinstance(error, LedgerError):
            self._cannot(error)
        else:
            self._log.crash(events.JOB_FAILED, error, job=job, failures=failures)

    def _cannot(self, error: LedgerError) -> None:
        """The ledger cannot be used: told once, then hourly. An error at every interval would fill the disk, too."""
        now, told = self._clock.monotonic(), self._unusable
        if told is None or told[0] is not type(error) or now - told[1] >= REMIND_AFTER:
            self._unusable = (type(error), now)
            self._log.emit(events.LEDGER_FAILED, text=error.message, fix=error.hint)

    def _can(self) -> None:
        if self._unusable is not None:
            self._unusable = None
            self._log.emit(events.LEDGER_USABLE)
