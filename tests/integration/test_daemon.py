"""The daemon's worker thread and the process around it: what fails is told and counted, and the rest goes on.

The worker runs in the test's own thread, or the process with real threads, until the last scripted job asks it to end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import cast

import pytest
from apscheduler.triggers.base import BaseTrigger

from oicp_adapter import signals
from oicp_adapter.clock import SystemClock
from oicp_adapter.core.guards import Allowance
from oicp_adapter.daemon import DELTA, FULL, RECONCILE, UPKEEP, Daemon, OperatorJobs, Reloaded
from oicp_adapter.daemon.schedule import Every
from oicp_adapter.daemon.worker import MISSED, Worker
from oicp_adapter.errors import LedgerFull
from oicp_adapter.ledger.memory import MemoryLedger
from oicp_adapter.ports import CommandState, JobRecord
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.facts import ailing
from oicp_adapter.sync.report import CycleReport
from tests.fakes.clock import ManualClock
from tests.fakes.log import Lines, collecting
from tests.patience import AT_MOST, set_in_the_end

TOMORROW = 86_400.0
FULL_DISK = LedgerFull("the disk is full: ledger.db", hint="free space")


class Script:
    """An OperatorSync whose jobs do what the test says; after the last one the program is asked to end."""

    def __init__(self, stop: threading.Event, **jobs: list[BaseException | None]) -> None:
        self.ran: list[str] = []
        self.asked: list[tuple[str, bool]] = []
        """By whom each full load was asked for, and whether a person waits for it."""
        self.full_load = "applied"
        self.wanted: set[str] = set()
        """By whom a full load is asked for, beside the commands."""
        self._stop = stop
        self._jobs = jobs
        self.before: Callable[[str], None] = lambda job: None

    def cancel_full(self, asked: str) -> None:
        """A resync that ended leaves no full load of its own due."""
        self.wanted.discard(asked)

    def want_full(self, asked: str) -> None:
        self.wanted.add(asked)

    def _do(self, job: str) -> CycleReport:
        self.ran.append(job)
        self.before(job)
        outcomes = self._jobs.get(job, [])
        outcome = outcomes.pop(0) if outcomes else None
        if not any(self._jobs.values()):
            self._stop.set()
        if outcome is not None:
            raise outcome
        return CycleReport(job=job, full_load=self.full_load if job == "full" else "", full_records=1)

    def hasten(self, key: str | None) -> frozenset[str]:
        return frozenset(("DEABCE1",))

    def retry(self, keys: frozenset[str]) -> CycleReport:
        return self._do("reconcile")

    def delta(self) -> CycleReport:
        return self._do("delta")

    def reconcile(self) -> CycleReport:
        return self._do("reconcile")

    def full(self, *, asked: str, allowance: Allowance = Allowance(), force: bool = False) -> CycleReport:
        self.asked.append((asked, force))
        return self._do("full")

    def upkeep(self) -> None:
        self._do("upkeep")


class Room:
    """A worker with everything it needs."""

    def __init__(self, **jobs: list[BaseException | None]) -> None:
        self.stop = threading.Event()
        self.script = Script(self.stop, **jobs)
        self.ledger = MemoryLedger()
        self.triggers: dict[str, BaseTrigger] = {}
        self.clock = ManualClock()
        self.lines = Lines()
        self.closed = 0

    def jobs(self, *, every: float | None = None) -> OperatorJobs:
        def close() -> None:
            self.closed += 1

        return OperatorJobs(
            name="test",
            sync=cast("OperatorSync", self.script),
            ledger=self.ledger,
            triggers=self.triggers if every is None else self.triggers | {DELTA: Every(every)},
            upkeep=self.script.upkeep,
            close=close,
        )

    def worker(self) -> Worker:
        worker = Worker(self.jobs(), clock=self.clock, log=collecting(self.lines), stop=self.stop, poll=0.001)
        worker.next_run = lambda job: self.clock.now() + TOMORROW
        set_in_the_end(self.stop)  # a job that never comes fails the test instead of hanging it
        return worker

    def works(self, *pokes: str) -> Worker:
        """Run the worker in this thread, with these pokes waiting for it, to its end."""
        worker = self.worker()
        for job in pokes:
            worker.poke(job)
        worker.run()
        return worker

    def daemon(self, clock: SystemClock | None = None, *, reload: Callable[[], Reloaded] = Reloaded) -> int:
        """Run the whole process around it; its exit code."""
        daemon = Daemon(
            [self.jobs(every=0.05)],
            clock=clock or SystemClock(self.stop),  # APScheduler goes by the real time
            log=collecting(self.lines),
            stop=self.stop,
            grace=AT_MOST,
            reload=reload,
        )
        return daemon.run()


def test_a_job_that_raises_is_told_with_its_traceback_and_counted_and_the_next_one_runs() -> None:
    # One unforeseen error ends the deltas of a quiet night, or goes unnoticed.
    room = Room(delta=[RuntimeError("boom"), RuntimeError("boom"), None])
    room.script.before = lambda job: worker.poke(DELTA)
    worker = room.worker()
    worker.poke(DELTA)
    worker.run()
    assert room.script.ran == ["delta", "delta", "delta"]
    assert [line["failures"] for line in room.lines.of("job.failed")] == [1, 2]
    assert isinstance(room.lines.of("job.failed")[0]["exc_info"], RuntimeError)
    assert worker.failure is None
    [record] = room.ledger.jobs()
    assert (record.failures, record.error) == (0, "")
    assert record.failed_at is not None


def test_one_failing_job_does_not_keep_the_others_from_running() -> None:
    # The nightly full load fails, and with it the deltas of the day.
    room = Room(full=[RuntimeError("boom")], delta=[None])
    room.script.before = lambda job: worker.poke(DELTA) if job == "full" else None
    worker = room.worker()
    worker.poke(FULL)
    worker.run()
    assert room.script.ran == ["full", "delta"]
    assert [line["job"] for line in room.lines.of("job.failed")] == ["full"]


@pytest.mark.parametrize(
    ("pokes", "ran"),
    [
        ((DELTA, DELTA, DELTA), ["delta"]),
        ((DELTA, RECONCILE), ["reconcile"]),
        ((DELTA, FULL, RECONCILE), ["full"]),
    ],
)
def test_what_piled_up_is_done_once(pokes: tuple[str, ...], ran: list[str]) -> None:
    # After a slow push a hundred deltas run in a row, and every change waits for them.
    jobs: dict[str, list[BaseException | None]] = {ran[-1]: [None]}
    room = Room(**jobs)
    room.works(*pokes)
    assert room.script.ran == ran


def test_a_worker_that_dies_ends_the_process_with_1() -> None:
    # A process that lives on while nothing works in it: no supervisor restarts it.
    room = Room(delta=[SystemExit(3), None])
    assert room.daemon() == 1
    assert room.script.ran == ["delta"]
    assert len(room.lines.of("daemon.worker_died")) == 1
    assert room.closed == 1


def test_a_process_whose_workers_ended_as_asked_ends_with_0_and_puts_the_signals_back() -> None:
    # A supervisor takes 1 for a crash; the demo goes on after the daemon in the same process.
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    room = Room(delta=[None, None])
    assert room.daemon() == 0
    assert room.closed == 1
    assert {number: signal.getsignal(number) for number in before} == before
    events = [event for event, _ in room.lines.all]
    assert (events[0], events[-1]) == ("daemon.started", "daemon.stopped")


def test_a_command_that_fails_ends_as_failed_and_the_daemon_goes_on() -> None:
    # Somebody waits forever for a resync that broke, and the deltas stop with it.
    room = Room(full=[RuntimeError("boom")], delta=[None])
    number = room.ledger.put("resync", {"adopt": None, "allow_withdrawal": None}, now=room.clock.now())
    room.script.before = lambda job: worker.poke(DELTA) if job == "full" else None
    worker = room.worker()
    worker.run()
    command = room.ledger.command(number)
    assert (command.state, command.exit_code, command.text) == (CommandState.FAILED, 1, "failed: boom")
    assert room.script.ran == ["full", "delta"]


@pytest.mark.parametrize(
    ("verb", "ran"),
    [("retry", ["reconcile", "full", "reconcile"]), ("resync", ["full", "reconcile", "reconcile"])],
)
def test_a_command_takes_the_place_of_no_more_than_it_does(verb: str, ran: list[str]) -> None:
    # Somebody retries the quarantine at 03:00, and there is no full load that night; or two, after a resync.
    room = Room(reconcile=[None, None])
    room.ledger.put(verb, {}, now=room.clock.now())
    room.script.before = lambda job: worker.poke(RECONCILE)
    worker = room.worker()
    worker.poke(FULL)
    worker.run()
    assert room.script.ran == ran


def test_a_command_of_a_newer_version_is_refused_not_ignored() -> None:
    # After a rollback the terminal of the newer version would wait forever.
    room = Room(delta=[None])
    number = room.ledger.put("teleport", {}, now=room.clock.now())
    room.works(DELTA)
    assert room.ledger.command(number).state is CommandState.FAILED
    assert "teleport" in room.ledger.command(number).text


@pytest.mark.parametrize(("asked", "ran"), [(-3500.0, ["full"]), (-3700.0, ["delta"])])
def test_a_command_that_waited_for_hours_is_not_carried_out(asked: float, ran: list[str]) -> None:
    # The daemon dies before it takes up `--allow-withdrawal 50`; days later it starts, on the day of a bad export.
    room = Room()
    number = room.ledger.put("resync", {"allow_withdrawal": 50}, now=room.clock.now() + asked)
    room.works(DELTA)
    assert room.script.ran == ran
    assert (room.ledger.command(number).state is CommandState.REFUSED) is (ran == ["delta"])


def test_commands_left_running_by_a_dead_process_are_failed_at_the_start() -> None:
    # Nobody works on it any more, and nobody says so.
    room = Room(delta=[None])
    number = room.ledger.put("resync", {}, now=room.clock.now())
    room.ledger.take(now=room.clock.now())
    room.works(DELTA)
    assert room.ledger.command(number).state is CommandState.FAILED
    assert room.script.ran == ["delta"]


def test_a_ledger_that_cannot_be_used_is_told_at_once_then_hourly_and_when_it_is_over() -> None:
    # A full disk is filled further by a traceback at every interval, or is never mentioned again.
    room = Room(delta=[FULL_DISK, FULL_DISK, FULL_DISK, None])

    def before(job: str) -> None:
        worker.poke(DELTA)
        room.clock.step(3600.0 if len(room.script.ran) == 3 else 1.0)

    room.script.before = before
    worker = room.worker()
    worker.poke(DELTA)
    worker.run()
    told = room.lines.of("ledger.failed")
    assert [(line["text"], line["fix"]) for line in told] == [(FULL_DISK.message, FULL_DISK.hint)] * 2
    assert room.lines.of("job.failed") == []
    assert len(room.lines.of("ledger.usable")) == 1


def test_how_a_command_ended_is_kept_until_the_ledger_can_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # The disk is full at the moment a resync ends: the person who asked would wait forever.
    room = Room(full=[None], delta=[None])
    number = room.ledger.put("resync", {}, now=room.clock.now())
    room.script.before = lambda job: worker.poke(DELTA) if job == "full" else None
    end, refusals = room.ledger.end, [FULL_DISK]

    def full_once(*arguments: object, **more: object) -> None:
        if refusals:
            raise refusals.pop()
        end(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(room.ledger, "end", full_once)
    worker = room.worker()
    worker.run()
    assert len(room.lines.of("ledger.failed")) == 1
    assert len(room.lines.of("command.ended")) == 1
    assert room.ledger.command(number).state is CommandState.DONE
    assert room.script.ran == ["full", "delta"]


@pytest.mark.parametrize(
    ("promised", "ran"),
    [(None, ["delta"]), (60.0, ["delta"]), (-60.0, ["full", "delta"]), (-3 * TOMORROW, ["full", "delta"])],
    ids=["first start", "still to come", "while it was down", "days ago"],
)
def test_a_full_load_that_was_due_while_nothing_ran_is_made_up_for(
    promised: float | None, ran: list[str]
) -> None:
    # An update at 03:00, and the next full load is a day later; of a daemon that is always down at 03:00, never.
    room = Room(delta=[None])
    room.triggers = {FULL: Every(TOMORROW)}
    if promised is not None:
        room.ledger.record_job(JobRecord(job=FULL, next_run_at=room.clock.now() + promised))
    room.script.before = lambda job: worker.poke(DELTA) if job == "full" else None
    worker = room.worker()
    if ran == ["delta"]:
        worker.poke(DELTA)
    worker.run()
    assert room.script.ran == ran
    missed = [line["job"] for line in room.lines.of("job.missed")]
    assert missed == (["full"] if "full" in ran else [])
    assert room.script.asked == [(MISSED, False)] * len(missed), (
        "nobody waits for it: it must not go past a rest"
    )


def test_it_is_made_up_for_once_and_again_if_the_process_died_before_it() -> None:
    # Restarted every hour: a full load every hour; or none, because the first of these starts was cut short.
    room = Room(full=[SystemExit(137)])
    room.triggers = {FULL: Every(TOMORROW)}
    room.ledger.record_job(JobRecord(job=FULL, next_run_at=room.clock.now() - 60))
    room.works()
    for ran in ("full", "delta"):
        jobs: dict[str, list[BaseException | None]] = {ran: [None]}
        again = Room(**jobs)
        again.triggers, again.ledger = room.triggers, room.ledger
        again.works(DELTA)
        assert again.script.ran == [ran]


def test_a_full_load_whose_place_a_resync_took_was_not_missed() -> None:
    # Somebody resyncs at 03:00, and every restart of that day sends a full load.
    room = Room(full=[None])
    room.triggers = {FULL: Every(TOMORROW)}
    room.ledger.put("resync", {}, now=room.clock.now())
    worker = room.worker()
    worker.poke(FULL)
    room.script.before = lambda job: room.clock.step(60)
    worker.run()
    (record,) = room.ledger.jobs()
    assert record.next_run_at == room.clock.now() + TOMORROW


@pytest.mark.parametrize("outcome", ["postponed", "failed", "applied"])
def test_a_nightly_full_load_whose_place_a_resync_took_stays_due_beside_it(outcome: str) -> None:
    # A resync that waits at 03:00 and fails at 03:05 swallows the night's full load.
    room = Room(full=[None])
    room.script.full_load = outcome
    room.ledger.put("resync", {}, now=room.clock.now())
    room.works(FULL)
    assert (room.script.ran, room.script.wanted) == (["full"], {"schedule"}), (
        "the cycle that applies one clears both"
    )


def test_a_worker_whose_resync_waits_is_seen_to_live() -> None:
    # A resync may wait 15 minutes for records in doubt; after 6 Kubernetes kills the pod, and the resync with it.
    room = Room(delta=[None], full=[None] * 10)
    room.triggers = {DELTA: Every(10)}
    room.script.full_load = "postponed"
    room.ledger.put("resync", {}, now=room.clock.now())
    seen: list[str | None] = []

    def before(job: str) -> None:
        seen.append(ailing(room.ledger.jobs(), running_since=started, patience=300, now=room.clock.now()))
        room.clock.step(100)
        worker.poke(DELTA)

    room.script.before = before
    worker = room.worker()
    worker.next_run = lambda job: room.clock.now() + 10
    started = room.clock.now()
    worker.run()
    assert room.script.ran == ["full"] * 10 + ["delta"]
    assert seen == [None] * 11


def test_an_interval_goes_on_where_the_process_before_left_it() -> None:
    # full = "24h" and a restart every evening: there is never a full load.
    room = Room(delta=[None])
    room.triggers = {FULL: Every(TOMORROW)}
    promised = float(round(SystemClock().now())) + 3600
    room.ledger.record_job(JobRecord(job=FULL, next_run_at=promised))
    assert room.daemon() == 0
    assert {record.job: record.next_run_at for record in room.ledger.jobs()}[FULL] == promised


class AheadAtTheStart(SystemClock):
    """An hour ahead until the daemon has started, then put right."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.stop)
        self._lines = room.lines

    def now(self) -> float:
        return super().now() + (0.0 if self._lines.of("daemon.started") else 3600.0)


def test_a_clock_that_is_put_back_does_not_stop_the_jobs_until_it_is_there_again() -> None:
    # The time service corrects a clock that was an hour ahead: an hour without a push, and nobody says so.
    room = Room(delta=[None])
    set_in_the_end(room.stop)
    assert room.daemon(AheadAtTheStart(room)) == 0
    assert room.script.ran == ["delta"]


def test_a_ledger_that_takes_nothing_at_the_start_is_told_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The restart that was to cure a full disk dies with a traceback, again and again.
    room = Room(delta=[None])
    abandon, refusals = room.ledger.abandon, [FULL_DISK, FULL_DISK]

    def refuses(*, now: float) -> int:
        if refusals:
            assert room.script.ran == []
            raise refusals.pop()
        return abandon(now=now)

    monkeypatch.setattr(room.ledger, "abandon", refuses)
    worker = room.works(DELTA)
    assert (worker.failure, room.script.ran) == (None, ["delta"])
    assert [line["text"] for line in room.lines.of("ledger.failed")] == [FULL_DISK.message]
    assert len(room.lines.of("ledger.usable")) == 1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_signals_from_before_the_daemon_are_acted_on(number: signal.Signals) -> None:
    # `systemctl stop` during the start: the supervisor waits for its kill timeout.
    room = Room(full=[None], never=[None])
    set_in_the_end(room.stop)
    before = {each: signal.getsignal(each) for each in signals.HANDLED}
    try:
        signals.note_from_now_on()
        signal.raise_signal(number)
        room.script.before = lambda job: room.stop.set() if job == "full" else None
        assert room.daemon() == 0
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if number == signal.SIGTERM:
        assert len(room.lines.of("daemon.stopping")) == 1
    else:
        assert room.script.asked == [("SIGUSR1", True)]


def test_what_nobody_foresaw_in_a_reload_changes_nothing() -> None:
    # A file that makes some reader of it fail ends the daemon, which could not start again with it either.
    room = Room(delta=[None, None])
    tried = threading.Event()

    def before(_job: str) -> None:
        if not tried.is_set():
            signal.raise_signal(signal.SIGHUP)
            tried.wait(AT_MOST)

    def reload() -> Reloaded:
        tried.set()
        raise RuntimeError("boom")

    room.script.before = before
    set_in_the_end(room.stop)
    assert room.daemon(reload=reload) == 0
    assert room.script.ran == ["delta", "delta"]
    (line,) = room.lines.of("daemon.reload_rejected")
    assert "boom" in str(line)


def test_after_a_clock_was_put_back_the_next_runs_are_told_anew() -> None:
    # `status` promises the next reconciliation in an hour and five minutes, and `health` believes it.
    room = Room(delta=[None])
    room.triggers = {DELTA: Every(10), RECONCILE: Every(300)}
    worker = room.worker()
    worker.poke(DELTA)
    worker.run()
    first = {record.job: record.next_run_at for record in room.ledger.jobs()}
    room.clock.wall -= 3600
    worker.rescheduled()
    worker._step()
    assert {record.job: record.next_run_at for record in room.ledger.jobs()} == {
        job: (at or 0.0) - 3600 for job, at in first.items()
    }


def test_a_ledger_that_fails_is_told_again_within_the_hour_whatever_the_clock_does() -> None:
    # The clock is put back by a day, and the reminder of a full disk comes in a day.
    room = Room(delta=[FULL_DISK, FULL_DISK, FULL_DISK, None])

    def set_back(_job: str) -> None:
        worker.poke(DELTA)
        room.clock.step(3600)
        room.clock.wall -= 86_400

    room.script.before = set_back
    worker = room.worker()
    worker.poke(DELTA)
    worker.run()
    assert len(room.lines.of("ledger.failed")) == 3


def test_the_upkeep_is_a_job_of_its_own_that_may_fail() -> None:
    # With full loads once a week history is bounded once a week; or a full load fails because of old history.
    room = Room(full=[None], upkeep=[RuntimeError("boom"), None])
    room.script.before = lambda job: worker.poke(UPKEEP) if room.script.ran == ["full", "upkeep"] else None
    worker = room.worker()
    worker.poke(UPKEEP)
    worker.poke(FULL)
    worker.run()
    assert room.script.ran == ["full", "upkeep", "upkeep"]
    assert [line["job"] for line in room.lines.of("job.failed")] == ["upkeep"]
    assert {record.job: record.failures for record in room.ledger.jobs()} == {"full": 0, "upkeep": 0}
