"""One contract for every ledger: what the publisher, the verbs and the daemon rely on, on SQLite and in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oicp_adapter.core.model import ActionType, Cause, ConnectorState, EvseStatus, Flaw, Rejected
from oicp_adapter.core.records import (
    EvseRow,
    IntentRecord,
    Notice,
    OpenPush,
    OperatorState,
    Presence,
    PushIntent,
    PushRow,
    Quarantine,
    Trouble,
)
from oicp_adapter.errors import LedgerError
from oicp_adapter.ledger.history import Limits
from oicp_adapter.ledger.memory import MemoryLedger
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from oicp_adapter.ports import CommandState, Inbox, JobLog, JobRecord, Ledger, Pause

NOW = 1_800_000_000.0
DAY = 86_400.0
AnyLedger = SqliteLedger | MemoryLedger


@contextmanager
def on_sqlite() -> Iterator[AnyLedger]:
    with tempfile.TemporaryDirectory() as folder, SqliteStore.open(Path(folder, "l.db"), now=NOW) as store:
        yield store.operator("https://hub.example/api/oicp", "DEABC")


@contextmanager
def in_memory() -> Iterator[AnyLedger]:
    yield MemoryLedger()


Make = Callable[[], AbstractContextManager[AnyLedger]]
every_ledger = pytest.mark.parametrize("make", [on_sqlite, in_memory])


@pytest.fixture(params=[on_sqlite, in_memory])
def ledger(request: pytest.FixtureRequest) -> Iterator[AnyLedger]:
    make: Make = request.param
    with make() as made:
        yield made


def row(key: str = "DEABCE1", **changes: object) -> EvseRow:
    values = {"key": key, "wire_id": key, "source_id": key, "presence": Presence.UNKNOWN} | changes
    return EvseRow(**values)  # type: ignore[arg-type]  # a test's shorthand


def intent(
    *keys: str, action: ActionType = ActionType.UPDATE, at: float = NOW, rows: tuple[EvseRow, ...] = ()
) -> PushIntent:
    records = tuple(IntentRecord(key, EvseStatus.OCCUPIED, f"because {key}") for key in keys)
    return PushIntent(
        action=action, cycle_id="c1", started_at=at, count=len(keys), records=records, rows=rows
    )


def outcome(push_id: int, **changes: object) -> PushRow:
    return PushRow(**{"push_id": push_id, "finished_at": NOW + 1, "outcome": "applied"} | changes)  # type: ignore[arg-type]


def pushed(ledger: AnyLedger, *keys: str, at: float = NOW, attempts: int = 1) -> int:
    """A push that was begun and finished."""
    push_id = ledger.begin(intent(*keys, at=at))
    ledger.finish(outcome(push_id, finished_at=at + 1, attempts=attempts), (), OperatorState())
    return push_id


times = st.none() | st.floats(allow_nan=False, allow_infinity=False)
statuses = st.none() | st.sampled_from(EvseStatus)
numbers = st.none() | st.integers(0, 2**63 - 1)
quarantines = st.none() | st.builds(
    Quarantine,
    code=st.text(),
    text=st.text(),
    process_id=st.none() | st.text(),
    since=times.filter(lambda value: value is not None),
    retry_at=times.filter(lambda value: value is not None),
    attempts=st.integers(0, 2**40),
    status=statuses,
)
rows = st.builds(
    EvseRow,
    key=st.text(),
    wire_id=st.text(),
    presence=st.sampled_from(Presence),
    status=statuses,
    status_at=times,
    push_id=numbers,
    in_doubt_since=times,
    reassert_at=times,
    quarantine=quarantines,
    withdrawn_at=times,
    source_id=st.text(),
    desired=statuses,
    cause=st.sampled_from(Cause),
    value=st.text(),
    rule=st.text(),
    source_time=times,
    connectors=st.lists(st.builds(ConnectorState, st.text(), st.text(), st.booleans())).map(tuple),
    changed_at=times,
    first_missing=times,
    last_seen=times,
    withheld=st.text(),
    doubted_at=times,
    said_at=times,
    turned_at=times,
    fallback=statuses,
    unread_since=times,
    flaw=st.sampled_from(Flaw),
)
moments = st.floats(0, 4e9)
states = st.builds(
    OperatorState,
    baseline=st.text(),
    baseline_at=times,
    full_wanted=st.text(),
    last_full_at=times,
    full_doubts=st.integers(0, 9),
    full_doubt_since=times,
    full_limit=st.none() | st.integers(0, 10**9),
    full_without_refused=st.booleans(),
    too_large=st.sampled_from(["", "too large for one full load"]),
    rolling_since=times,
    last_read_at=times,
    last_complete_at=times,
    source_failing_since=times,
    unusable=st.integers(0, 10**6),
    unusable_since=times,
    largest=st.dictionaries(st.text(), st.integers(0, 2**40)),
    peak=st.dictionaries(st.text(), st.integers(0, 2**40)),
    by_hand=st.text(),
    writing=st.text(),
    writing_since=times,
    notices=st.dictionaries(
        st.text(), st.builds(Notice, signature=st.text(), since=moments, logged_at=moments), max_size=3
    ),
    trouble=st.none()
    | st.builds(
        Trouble,
        permanent=st.booleans(),
        code=st.text(),
        text=st.text(),
        hint=st.text(),
        since=moments,
        failures=st.integers(0, 99),
        next_try=moments,
        tried_at=moments,
        not_before=moments,
    ),
)


# What is stored comes back


@every_ledger
@given(stored=st.lists(rows, max_size=5), state=states)
@settings(max_examples=40, deadline=None)
def test_every_field_of_every_row_and_of_the_state_comes_back_as_it_was(
    make: Make, stored: list[EvseRow], state: OperatorState
) -> None:
    # A field lost or swapped here is a wrong status at Hubject after the next restart.
    with make() as ledger:
        ledger.save(stored, state)
        picture = ledger.load()
    assert picture.rows == {item.key: item for item in stored}
    assert picture.state == state


@every_ledger
def test_how_large_the_fleet_was_is_noted_beside_the_ledger(make: Make) -> None:
    # The ledger is lost, and nothing tells any more that a hundred chargers were published yesterday.
    with make() as ledger:
        assert (ledger.load().peak, ledger.load().lost) == ({}, False)
        ledger.remember({"2026-11-20": 100})
        assert ledger.load().peak == {"2026-11-20": 100}
        ledger.begin(intent())
        ledger.remember({"2026-11-21": 90})
        assert (ledger.load().peak, ledger.load().lost) == ({"2026-11-21": 90}, False)


def test_the_property_above_varies_every_field() -> None:
    # A new field that nobody stores would pass unnoticed while its tests use the default.
    assert set(EvseRow.__struct_fields__) == set(_arguments(rows))
    assert set(OperatorState.__struct_fields__) == set(_arguments(states))


def _arguments(strategy: object) -> dict[str, object]:
    wrapped = getattr(strategy, "wrapped_strategy", strategy)
    return dict(wrapped.kwargs)  # type: ignore[attr-defined]


def test_an_empty_ledger_knows_nothing(ledger: AnyLedger) -> None:
    # A first run must be recognisable as one: no rows, no baseline, nothing open.
    picture = ledger.load()
    assert (picture.rows, picture.state, picture.open_pushes) == ({}, OperatorState(), ())


def test_save_replaces_named_rows_and_leaves_the_others(ledger: AnyLedger) -> None:
    # A delta of one EVSE must not touch the other 9,999.
    ledger.save([row("A"), row("B", value="old")], OperatorState())
    ledger.save([row("B", value="new")], OperatorState(baseline="adopted"))
    picture = ledger.load()
    assert picture.rows == {"A": row("A"), "B": row("B", value="new")}
    assert picture.state.baseline == "adopted"


def test_forgotten_keys_are_gone_even_if_saved_in_the_same_breath(ledger: AnyLedger) -> None:
    # An EVSE that is gone for good must not come back with the next start.
    ledger.save([row("A"), row("B")], OperatorState())
    ledger.save([row("A"), row("C")], OperatorState(), forget=["A", "B", "never there"])
    assert set(ledger.load().rows) == {"C"}


def test_a_picture_does_not_change_when_the_ledger_does(ledger: AnyLedger) -> None:
    # A cycle plans on its picture; it must not shift under the plan, nor the plan change the ledger.
    ledger.save([row("A")], OperatorState())
    picture = ledger.load()
    ledger.save([row("B")], OperatorState())
    assert set(picture.rows) == {"A"}
    picture.rows.clear()
    assert set(ledger.load().rows) == {"A", "B"}


def test_a_row_generator_that_fails_changes_nothing(ledger: AnyLedger) -> None:
    # Half of an acknowledgement recorded is worse than none.
    def broken() -> Iterator[EvseRow]:
        yield row("A")
        raise RuntimeError("while computing rows")

    push_id = ledger.begin(intent("A"))
    with pytest.raises(RuntimeError):
        ledger.finish(outcome(push_id), broken(), OperatorState(baseline="adopted"))
    picture = ledger.load()
    assert (picture.rows, picture.state, len(picture.open_pushes)) == ({}, OperatorState(), 1)


# Pushes


def test_a_begun_push_is_open_with_its_evses_until_it_is_finished(ledger: AnyLedger) -> None:
    # What was in flight at a crash is found by this, and only by this (P3).
    push_id = ledger.begin(intent("B", "A"))
    assert ledger.load().open_pushes == (
        OpenPush(push_id=push_id, action=ActionType.UPDATE, keys=("B", "A")),
    )
    ledger.finish(outcome(push_id), [row("A")], OperatorState(baseline="automatic"))
    picture = ledger.load()
    assert (picture.open_pushes, picture.rows, picture.state.baseline) == ((), {"A": row("A")}, "automatic")


def test_an_open_full_load_names_no_evse_because_it_concerns_all(ledger: AnyLedger) -> None:
    # Naming only the changed ones would leave the rest believed while a fullLoad may still replace them.
    push_id = ledger.begin(intent("A", action=ActionType.FULL_LOAD))
    assert ledger.load().open_pushes == (OpenPush(push_id=push_id, action=ActionType.FULL_LOAD, keys=()),)


def test_rows_that_change_with_an_intent_are_stored_with_it(ledger: AnyLedger) -> None:
    # A withdrawal enters the guard's account before it is sent, or a crash would hide it from the guard.
    withdrawn = row("A", withdrawn_at=NOW)
    ledger.begin(intent("A", rows=(withdrawn,)))
    assert ledger.load().rows == {"A": withdrawn}


def test_finish_forgets_what_was_deleted(ledger: AnyLedger) -> None:
    # An EVSE whose deletion Hubject confirmed is not reported missing for ever.
    ledger.save([row("A"), row("B")], OperatorState())
    push_id = ledger.begin(intent("A", action=ActionType.DELETE))
    ledger.finish(outcome(push_id), (), OperatorState(), forget=["A"])
    assert set(ledger.load().rows) == {"B"}


def test_push_numbers_only_grow(ledger: AnyLedger) -> None:
    # A number used twice would attribute one push's answer to another.
    first = pushed(ledger, "A", at=NOW - 60 * DAY)
    ledger.prune(NOW)
    assert pushed(ledger, "A") > first


@pytest.mark.parametrize("times_finished", [0, 1])
def test_only_an_open_push_can_be_finished(ledger: AnyLedger, times_finished: int) -> None:
    # An outcome recorded twice, or for a push that never was, means two publishers: it must not pass silently.
    push_id = ledger.begin(intent("A"))
    number = push_id if times_finished else push_id + 1
    if times_finished:
        ledger.finish(outcome(push_id), (), OperatorState())
    with pytest.raises(LedgerError, match=f"push {number} is not open"):
        ledger.finish(outcome(number), [row("A")], OperatorState(baseline="adopted"))
    assert (ledger.load().rows, ledger.load().state) == ({}, OperatorState())


def test_recent_pushes_counts_every_attempt_and_open_pushes_oldest_first(ledger: AnyLedger) -> None:
    # The rate window after a restart: a call that is not counted may exceed Hubject's acceptable use (P6).
    pushed(ledger, "A", at=NOW - 61)
    pushed(ledger, "A", at=NOW - 30, attempts=3)
    pushed(ledger, "A", at=NOW - 60)
    ledger.begin(intent("A", at=NOW))
    assert list(ledger.recent_pushes(NOW - 60)) == [NOW - 60, NOW - 30, NOW - 30, NOW - 30, NOW]


def test_pushes_are_listed_newest_first_with_hubjects_answer(ledger: AnyLedger) -> None:
    # Hubject's support asks for the Process-ID; the list must match its own Process Monitor.
    first = ledger.begin(intent("A", "B", action=ActionType.INSERT))
    answer = outcome(
        first,
        outcome="refused",
        code="022",
        text="no",
        process_id="p-1",
        http_status=200,
        duration=0.25,
        attempts=2,
    )
    ledger.finish(answer, (), OperatorState())
    second = ledger.begin(intent("A", at=NOW + 5))
    newest, oldest = ledger.pushes(10)
    assert (newest.push_id, newest.finished_at, newest.outcome) == (second, None, "")
    assert (oldest.push_id, oldest.cycle_id, oldest.action, oldest.count) == (
        first,
        "c1",
        ActionType.INSERT,
        2,
    )
    assert (oldest.started_at, oldest.finished_at, oldest.outcome) == (NOW, NOW + 1, "refused")
    assert (oldest.code, oldest.text, oldest.process_id, oldest.http_status) == ("022", "no", "p-1", 200)
    assert (oldest.duration, oldest.attempts) == (0.25, 2)
    assert [push.push_id for push in ledger.pushes(1)] == [second]


def test_the_history_of_an_evse_has_its_pushes_newest_first(ledger: AnyLedger) -> None:
    # "Since when, and why?" at 03:00 is answered from here (P8).
    first, _, third = pushed(ledger, "A", "B"), pushed(ledger, "B"), pushed(ledger, "A")
    entries = ledger.history("A", 10)
    assert [entry.push.push_id for entry in entries] == [third, first]
    assert (entries[0].status, entries[0].reason, entries[0].push.outcome) == (
        EvseStatus.OCCUPIED,
        "because A",
        "applied",
    )
    assert [entry.push.push_id for entry in ledger.history("A", 1)] == [third]
    assert ledger.history("C", 10) == []


def test_a_deletion_has_no_status_in_the_history(ledger: AnyLedger) -> None:
    # A deletion shown with a status would say that Hubject still has the EVSE.
    records = (IntentRecord("A", None, "gone"),)
    ledger.begin(PushIntent(action=ActionType.DELETE, cycle_id="c", started_at=NOW, count=1, records=records))
    assert [entry.status for entry in ledger.history("A", 5)] == [None]


def test_pushes_found_open_after_a_crash_are_closed_together_with_what_they_put_in_doubt(
    ledger: AnyLedger,
) -> None:
    # Closed without the doubt, the crash would be forgotten; with it, it is pushed again (P3).
    ledger.begin(intent("A"))
    ledger.begin(intent("B", action=ActionType.FULL_LOAD))
    doubtful = row("A", in_doubt_since=NOW + 60)
    ledger.interrupted(ledger.load().open_pushes, [doubtful], OperatorState(full_doubts=1), now=NOW + 60)
    picture = ledger.load()
    assert (picture.open_pushes, picture.rows, picture.state.full_doubts) == ((), {"A": doubtful}, 1)
    assert {(push.outcome, push.finished_at) for push in ledger.pushes(9)} == {("interrupted", NOW + 60)}


def test_closing_an_interrupted_push_that_is_not_open_changes_nothing(ledger: AnyLedger) -> None:
    # Two processes recovering at once: the second must not overwrite what the first recorded.
    open_one = ledger.begin(intent("A"))
    pushes = [OpenPush(push_id=number, action=ActionType.UPDATE, keys=("A",)) for number in (open_one, 99)]
    with pytest.raises(LedgerError, match="push 99 is not open"):
        ledger.interrupted(pushes, [row("A")], OperatorState(baseline="adopted"), now=NOW)
    picture = ledger.load()
    assert (picture.rows, picture.state, len(picture.open_pushes)) == ({}, OperatorState(), 1)


# Bounded history


def test_prune_forgets_old_pushes_and_keeps_open_ones_and_last_ones(ledger: AnyLedger) -> None:
    # An open push forgotten is an in-doubt request forgotten; an EVSE's last push is its explanation (P3, P8).
    pushed(ledger, "A", at=NOW - 31 * DAY)
    still_open = ledger.begin(intent("A", at=NOW - 31 * DAY))
    last = pushed(ledger, "A", at=NOW - 31 * DAY)
    young = pushed(ledger, "A", at=NOW - 29 * DAY)
    ledger.save([row("A", push_id=last)], OperatorState())
    assert ledger.prune(NOW) == 1
    assert [push.push_id for push in ledger.pushes(10)] == [young, last, still_open]
    assert [entry.push.push_id for entry in ledger.history("A", 10)] == [young, last, still_open]
    assert [push.push_id for push in ledger.load().open_pushes] == [still_open]


@pytest.mark.parametrize("limits", [Limits(pushes=2), Limits(records=4)])
def test_prune_keeps_the_newest_up_to_a_number(ledger: AnyLedger, limits: Limits) -> None:
    # Without a bound the disk is full after some months unattended.
    for hours in range(5, 0, -1):
        pushed(ledger, "A", "B", at=NOW - hours * 3600)
    assert ledger.prune(NOW, limits=limits) == 3
    assert [push.started_at for push in ledger.pushes(10)] == [NOW - 3600, NOW - 2 * 3600]


def test_prune_never_takes_the_last_minutes(ledger: AnyLedger) -> None:
    # The rate window is seeded from them after a restart (P6).
    for seconds in range(5):
        pushed(ledger, "A", at=NOW - 60 + seconds)
    assert ledger.prune(NOW, limits=Limits(pushes=1, records=1)) == 0
    assert len(ledger.recent_pushes(NOW - 60)) == 5


def test_prune_of_more_than_one_slice_takes_them_all(ledger: AnyLedger) -> None:
    # A busy operator has thousands to forget each day; a rest that stays grows for ever.
    for _ in range(700):
        pushed(ledger, "A", at=NOW - 40 * DAY)
    assert ledger.prune(NOW) == 700
    assert ledger.pushes(10) == []


# What cannot be published


def test_rejected_records_keep_their_since_time_when_they_move_in_the_source(ledger: AnyLedger) -> None:
    # "Since when" must not start anew because a line was added above.
    bad = Rejected(evse_id="XX", reason="not an EvseID", origin="line 3")
    ledger.save_rejected([bad], now=NOW)
    moved = Rejected(evse_id="XX", reason="not an EvseID", origin="line 4")
    nameless = Rejected(evse_id="", reason="no EvseID", origin="line 9")
    ledger.save_rejected([nameless, moved], now=NOW + 10)
    assert ledger.rejected() == [(nameless, NOW + 10), (moved, NOW)]


def test_a_rejected_record_that_was_corrected_is_gone_and_starts_anew_if_it_returns(
    ledger: AnyLedger,
) -> None:
    # A list of problems that are none is not read for long.
    bad = Rejected(evse_id="XX", reason="not an EvseID")
    ledger.save_rejected([bad], now=NOW)
    ledger.save_rejected([], now=NOW + 1)
    assert ledger.rejected() == []
    ledger.save_rejected([bad, bad], now=NOW + 2)
    assert ledger.rejected() == [(bad, NOW + 2), (bad, NOW + 2)]


# Inbox


def test_a_command_goes_from_pending_to_running_to_done(ledger: AnyLedger) -> None:
    # `resync` waits for exactly these steps.
    number = ledger.put("resync", {"adopt": 1000, "note": "night", "allow": None}, now=NOW)
    asked = ledger.command(number)
    assert (asked.verb, asked.state, asked.requested_at) == ("resync", CommandState.PENDING, NOW)
    assert asked.arguments == {"adopt": 1000, "note": "night", "allow": None}
    taken = ledger.take(now=NOW + 1)
    assert taken == ledger.command(number)
    assert taken is not None
    assert (taken.state, taken.started_at) == (CommandState.RUNNING, NOW + 1)
    ledger.report(number, "3 of 5")
    assert ledger.command(number).text == "3 of 5"
    ledger.end(number, CommandState.REFUSED, exit_code=3, text="a guard", now=NOW + 2)
    ended = ledger.command(number)
    assert (ended.state, ended.exit_code, ended.text, ended.finished_at) == (
        CommandState.REFUSED,
        3,
        "a guard",
        NOW + 2,
    )
    ledger.report(number, "too late")
    assert ledger.command(number) == ended


def test_commands_are_taken_oldest_first_and_once(ledger: AnyLedger) -> None:
    # A resync carried out twice is a second full load.
    numbers = [ledger.put("resync", {}, now=NOW + step) for step in range(2)]
    assert numbers[0] < numbers[1]
    assert [taken.id for taken in (ledger.take(now=NOW), ledger.take(now=NOW)) if taken] == numbers
    assert ledger.take(now=NOW) is None


def test_a_command_can_be_taken_back_only_while_nobody_works_on_it(ledger: AnyLedger) -> None:
    # --no-wait and Ctrl-C: the person must know whether it will still happen.
    pending, running = ledger.put("resync", {}, now=NOW), ledger.put("resync", {}, now=NOW)
    assert ledger.withdraw(pending, now=NOW + 1)
    assert (ledger.command(pending).state, ledger.command(pending).finished_at) == (
        CommandState.CANCELLED,
        NOW + 1,
    )
    taken = ledger.take(now=NOW)
    assert taken is not None
    assert taken.id == running
    assert not ledger.withdraw(running, now=NOW)
    assert not ledger.withdraw(pending, now=NOW)
    assert not ledger.withdraw(99, now=NOW)


def test_commands_of_a_dead_process_are_failed_at_the_next_start(ledger: AnyLedger) -> None:
    # Otherwise `resync` waits for ever for a daemon that died over it.
    running, pending = ledger.put("resync", {}, now=NOW), ledger.put("resync", {}, now=NOW)
    ledger.take(now=NOW)
    assert ledger.abandon(now=NOW + 9) == 1
    failed = ledger.command(running)
    assert (failed.state, failed.exit_code, failed.finished_at) == (CommandState.FAILED, 1, NOW + 9)
    assert "died" in failed.text
    assert ledger.command(pending).state is CommandState.PENDING
    assert ledger.abandon(now=NOW + 9) == 0


def test_a_command_that_is_not_there_or_not_running_cannot_end(ledger: AnyLedger) -> None:
    # A result reported for the wrong command tells a person that something was done.
    number = ledger.put("resync", {}, now=NOW)
    for wrong in (number, 99):
        with pytest.raises(LedgerError, match=f"command {wrong} is not running"):
            ledger.end(wrong, CommandState.DONE, exit_code=0, text="", now=NOW)
    with pytest.raises(LedgerError, match="no command 99"):
        ledger.command(99)


def test_prune_forgets_ended_commands_but_not_waiting_ones(ledger: AnyLedger) -> None:
    # The inbox of a cron-driven site must not grow for years.
    ended, waiting = (
        ledger.put("resync", {}, now=NOW - 40 * DAY),
        ledger.put("resync", {}, now=NOW - 40 * DAY),
    )
    ledger.take(now=NOW - 40 * DAY)
    ledger.end(ended, CommandState.DONE, exit_code=0, text="", now=NOW - 40 * DAY)
    ledger.prune(NOW)
    with pytest.raises(LedgerError):
        ledger.command(ended)
    assert ledger.command(waiting).state is CommandState.PENDING
    assert ledger.put("resync", {}, now=NOW) > waiting


# Jobs


def test_the_latest_record_of_each_job_is_kept(ledger: AnyLedger) -> None:
    # Health looks at these times: an old record in place of the new one restarts a healthy daemon.
    ledger.record_job(JobRecord(job="full"))
    ledger.record_job(JobRecord(job="delta", started_at=NOW, failed_at=NOW, error="no source", failures=2))
    latest = JobRecord(
        job="delta",
        started_at=NOW,
        succeeded_at=NOW + 1,
        next_run_at=NOW + 2,
        summary={"read": 5, "lag": 0.5, "x": None},
    )
    ledger.record_job(latest)
    assert ledger.jobs() == [latest, JobRecord(job="full")]


def test_every_ledger_is_a_ledger_an_inbox_and_a_job_log(ledger: AnyLedger) -> None:
    # Wiring hands one object to three users; mypy checks the signatures here, the rest checks the names.
    as_ledger: Ledger = ledger
    as_inbox: Inbox = ledger
    as_log: JobLog = ledger
    assert as_ledger.load().rows == {}
    assert as_inbox.take(now=NOW) is None
    assert as_log.jobs() == []


# Pauses


def test_a_pause_holds_until_its_time_and_is_audited(ledger: AnyLedger) -> None:
    # A pause that does not end keeps drivers looking at last week's picture.
    ledger.pause(Pause(since=NOW, until=NOW + 60, reason="works at the backend", by="ann@ops"))
    assert ledger.paused(now=NOW + 59) == Pause(
        since=NOW, until=NOW + 60, reason="works at the backend", by="ann@ops"
    )
    assert ledger.paused(now=NOW + 60) is None
    assert [(entry.by, entry.at) for entry in ledger.audit(10)] == [("ann@ops", NOW)]
    assert "works at the backend" in ledger.audit(10)[0].what


def test_resume_ends_a_pause_once(ledger: AnyLedger) -> None:
    # Somebody resumes, and the pushes stay stopped.
    ledger.pause(Pause(since=NOW, until=None, reason="cut-over", by="ann@ops"))
    assert ledger.paused(now=NOW + 1e9) is not None
    assert ledger.resume(now=NOW + 5, by="bob@ops")
    assert ledger.paused(now=NOW + 6) is None
    assert not ledger.resume(now=NOW + 7, by="bob@ops")
    assert [entry.what for entry in ledger.audit(1)] == ["resumed"]
