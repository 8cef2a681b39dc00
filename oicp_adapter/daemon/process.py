"""WHEN something runs, never what it does: schedules, signals, the life of the workers.

The danger: a process that lives on while nothing works in it. The scheduler only pokes; the operator's one thread
does the work, coalescing pokes; when such a thread dies the process ends.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler

from oicp_adapter.core.clockwork import jumped
from oicp_adapter.daemon.schedule import first_run
from oicp_adapter.daemon.worker import DELTA, FULL, OperatorJobs, Worker
from oicp_adapter.errors import AdapterError
from oicp_adapter.ports import Clock
from oicp_adapter.signals import ENDING, HANDLED, taken
from oicp_adapter.sync.cycle import Reading
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog

GLANCE = 0.1
"""Seconds between looks at a worker that is ending."""
WATCH_INTERVAL = 0.5
"""Seconds between looks at the workers."""


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """What a configuration that was read again has for the operators that run."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Operators of which nothing is taken, or that do not run → why."""
    restart: tuple[str, ...] = ()
    """Settings that have changed and need a restart, by path."""


class Daemon:
    """Runs the workers until a signal, and ends them within the grace time."""

    def __init__(
        self,
        operators: Sequence[OperatorJobs],
        *,
        clock: Clock,
        log: EventLog,
        stop: threading.Event,
        grace: float,
        reload: Callable[[], Reloaded],
    ) -> None:
        """`reload` reads source and mapping settings anew, by operator; raises ConfigurationError."""
        self._reload = reload
        self._log = log
        self._stop = stop
        self._grace = grace
        self._impatient = False
        self._clock = clock
        self._times = (clock.now(), clock.monotonic())
        """Wall and monotonic time of the last look at the clock."""
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._workers = [Worker(jobs, clock=clock, log=log, stop=stop) for jobs in operators]
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code.

        SIGUSR1 asks every operator for a full load, SIGHUP reads source and mapping settings again.
        """
        previous = {number: signal.signal(number, self._note) for number in HANDLED}
        for number in taken():
            self._signals.put(number)
        try:
            self._start()
            self._watch()
            return self._end()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)  # SimpleQueue.put may be called from a signal handler

    def _start(self) -> None:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        for worker in self._workers:
            promised = {record.job: record.next_run_at for record in worker.jobs.ledger.jobs()}
            for job, trigger in worker.jobs.triggers.items():
                # The first delta runs at once; the others wait for their time.
                first = now if job == DELTA else first_run(trigger, promised=promised.get(job), now=now)
                self._scheduler.add_job(
                    worker.poke, trigger, args=[job], id=f"{worker.jobs.name}.{job}", next_run_time=first
                )
            worker.next_run = self._next_run_of(worker.jobs.name)
        self._scheduler.start()
        for worker in self._workers:
            worker.start()
        self._log.emit(
            events.DAEMON_STARTED,
            operators=[worker.jobs.name for worker in self._workers],
            jobs=[
                f"{job.id} next {job.next_run_time:%Y-%m-%dT%H:%M:%SZ}" for job in self._scheduler.get_jobs()
            ],
        )

    def _next_run_of(self, operator: str) -> Callable[[str], float | None]:
        def next_run(job: str) -> float | None:
            found = self._scheduler.get_job(f"{operator}.{job}")
            moment: datetime | None = found.next_run_time if found is not None else None
            return moment.timestamp() if moment is not None else None

        return next_run

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                number = self._signals.get(timeout=WATCH_INTERVAL)
            except queue.Empty:
                number = 0
            if number == signal.SIGUSR1:
                for worker in self._workers:
                    worker.poke(FULL, "SIGUSR1")
            elif number == signal.SIGHUP:
                self._read_again()
            elif number:
                self._log.emit(events.DAEMON_STOPPING, signal=signal.Signals(number).name, grace=self._grace)
                return
            if not all(worker.is_alive() for worker in self._workers):
                return
            self._mind_the_clock()

    def _mind_the_clock(self) -> None:
        """APScheduler goes by the wall clock: of one that is put back by an hour it would wait for the hour to pass.

        One that is put forward needs nothing: what became due by it runs once.
        """
        before, self._times = self._times, (self._clock.now(), self._clock.monotonic())
        wall, monotonic = (now - then for now, then in zip(self._times, before, strict=True))
        if wall >= monotonic or not jumped(wall=wall, monotonic=monotonic):
            return
        now = datetime.fromtimestamp(self._times[0], UTC)
        for worker in self._workers:
            for job, trigger in worker.jobs.triggers.items():
                due = trigger.get_next_fire_time(None, now)
                self._scheduler.modify_job(f"{worker.jobs.name}.{job}", next_run_time=due)
            worker.rescheduled()

    def _read_again(self) -> None:
        try:
            fresh = self._reload()
        except AdapterError as error:
            self._log.emit(events.CONFIGURATION_REJECTED, text=error.message, fix=error.hint)
            return
        except Exception as error:  # noqa: BLE001 - whatever is in a file must not end what runs without it
            self._log.crash(
                events.CONFIGURATION_REJECTED, error, text="nobody foresaw it: report the traceback"
            )
            return
        for worker in self._workers:
            if worker.jobs.name in fresh.readings:
                worker.use(fresh.readings[worker.jobs.name])
        for name, why in fresh.kept.items():
            self._log.emit(events.CONFIGURATION_KEPT, operator=name, text=why)
        if fresh.restart:
            self._log.emit(events.RESTART_NEEDED, settings=list(fresh.restart))
        self._log.emit(events.CONFIGURATION_RELOADED, operators=sorted(fresh.readings))

    def _asked_again(self) -> bool:
        """A second Ctrl-C: the person does not want to wait for the grace time."""
        with contextlib.suppress(queue.Empty):
            self._impatient |= self._signals.get_nowait() in ENDING
        return self._impatient

    def _end(self) -> int:
        self._stop.set()
        self._scheduler.shutdown(wait=False)
        give_up_at = self._clock.monotonic() + self._grace
        for worker in self._workers:
            while worker.is_alive() and self._clock.monotonic() < give_up_at and not self._asked_again():
                worker.join(GLANCE)
        hanging = [worker.jobs.name for worker in self._workers if worker.is_alive()]
        if hanging:
            self._log.emit(events.DAEMON_GRACE_OVER, operators=hanging, grace=self._grace)
        self._log.emit(events.DAEMON_STOPPED)
        return 1 if hanging or any(worker.failure is not None for worker in self._workers) else 0
