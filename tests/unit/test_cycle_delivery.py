"""Durability, full loads that are suspended, resyncs by hand: what the stories of cycles.yaml cannot say."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.records import EvseRow, OperatorState, Presence, PushIntent, PushRow
from oicp_adapter.errors import LedgerFull, SourceError
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.ports import CommandState, Pause
from oicp_adapter.sync.resync import GIVE_UP_AFTER, Ended, Resync
from tests.fakes.answers import (
    APPLIED_LATE,
    IN_DOUBT,
    KILLED_AFTER,
    STOPPED,
    THROTTLED,
    TOO_LARGE,
    TRANSIENT,
    UNREACHABLE,
    refused,
)
from tests.fakes.hub import Crash
from tests.fakes.operator import Choices, Operator, described, wire

FLEET = {"E1": "AVAILABLE", "E2": "CHARGING"}
FLEET_OF_THREE = {"E1": "AVAILABLE", "E2": "AVAILABLE", "E3": "AVAILABLE"}


def test_every_push_is_durable_before_its_first_byte_and_closed_by_its_answer() -> None:
    # After a crash nobody knows that something was sent.
    operator = Operator(Choices(calls_per_minute=1900))
    order: list[str] = []
    begin, finish, push = operator.ledger.begin, operator.ledger.finish, operator.hub.push

    def begin_(intent: PushIntent) -> int:
        order.append(f"intent {' '.join(record.key for record in intent.records)}")
        return begin(intent)

    def push_(request: PushRequest) -> Answer:
        order.append("sent " + " ".join(name for name, _ in request.records))
        return push(request)

    def finish_(
        row: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        rows = list(rows)
        order.append(f"{row.outcome} {' '.join(one.key for one in rows)}")
        finish(row, rows, state, forget=forget)

    operator.ledger.begin = begin_  # type: ignore[method-assign]
    operator.ledger.finish = finish_  # type: ignore[method-assign, assignment]
    operator.hub.push = push_  # type: ignore[method-assign]
    operator.has(FLEET)
    operator.delta()
    operator.full(after=10)
    assert order == [
        "intent DEABCE1",
        "sent DE*ABC*E1",
        "applied DEABCE1",
        "intent DEABCE2",
        "sent DE*ABC*E2",
        "applied DEABCE2",
        "intent ",
        "sent DE*ABC*E1 DE*ABC*E2",
        "applied ",
    ]


@pytest.mark.parametrize("answer", [UNREACHABLE, TRANSIENT, STOPPED, THROTTLED, refused("018"), TOO_LARGE])
def test_an_answer_that_says_nothing_was_applied_leaves_no_doubt_and_no_new_status(answer: Answer) -> None:
    # Every hiccup of Hubject freezes the EVSE for a minute; or is taken for success.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E1": "INOPERATIVE", "E2": "CHARGING"})
    operator.hub.script = [answer]
    operator.delta(after=10)
    row = operator.row("E1")
    assert (row.status, row.presence, row.in_doubt_since) == (EvseStatus.AVAILABLE, Presence.PRESENT, None)


@pytest.mark.parametrize("daemon", [True, False], ids=["a daemon that restarts", "sync from cron"])
def test_a_new_process_honours_the_retry_after_of_the_last_one(daemon: bool) -> None:
    # Over the limit, Hubject is called again by every restart and every minute's cron, and stays over it.
    operator = Operator(Choices(settles_anew=daemon))
    operator.published(FLEET)
    operator.has({"E1": "INOPERATIVE", "E2": "CHARGING"})
    operator.hub.script = [THROTTLED]
    operator.delta()
    for _ in range(2):
        operator.passes(55)
        operator.start()
        assert operator.sync.delta(force=True).exit_code == 4
    assert operator.sent() == ["update E1=OutOfService"]
    operator.passes(55)
    operator.start()
    assert operator.sync.delta(force=True).exit_code == 0
    assert operator.sent() == ["update E1=OutOfService"]


def test_only_a_rest_of_our_own_choice_can_be_cut_short_by_a_person() -> None:
    # After a 429 `sync` advises `--now`, which rightly sends nothing: a person goes in a circle.
    operator = Operator(Choices(settles_anew=False))
    operator.published(FLEET)
    operator.has({"E1": "INOPERATIVE", "E2": "CHARGING"})
    operator.hub.script = [STOPPED, THROTTLED]
    operator.delta()
    rests = operator.delta(after=10)
    assert (rests.rests_until is not None, rests.can_be_forced) == (True, True)
    operator.passes(300)
    operator.delta()
    for force in (False, True):
        rests = operator.sync.delta(force=force)
        assert (rests.rests_until, rests.can_be_forced) == (operator.clock.now() + 120, False)


def test_an_answer_that_could_not_be_stored_is_in_doubt_in_the_same_process() -> None:
    # The disk is full for a minute; the push is neither known nor repeated.
    operator = Operator()
    operator.published(FLEET)
    finish = operator.ledger.finish

    def full_disk(*_: object, **__: object) -> None:
        raise LedgerFull("no space left")

    operator.ledger.finish = full_disk  # type: ignore[method-assign]
    operator.has({"E1": "CHARGING", "E2": "CHARGING"})
    with pytest.raises(LedgerFull):
        operator.delta(after=10)
    operator.ledger.finish = finish  # type: ignore[method-assign]
    operator.has(FLEET)
    operator.sent()
    assert operator.delta(after=10).in_doubt == 1
    operator.delta(after=60)
    assert operator.sent() == ["update E1=Available"]
    assert operator.ledger.load().open_pushes == ()


def test_nothing_is_sent_when_the_intent_cannot_be_stored() -> None:
    # A read-only disk, and Hubject is changed behind the ledger's back.
    operator = Operator()
    operator.published(FLEET)

    def full_disk(intent: PushIntent) -> int:
        raise LedgerFull("no space left")

    operator.ledger.begin = full_disk  # type: ignore[method-assign]
    operator.has({"E1": "CHARGING"})
    with pytest.raises(LedgerFull):
        operator.delta(after=10)
    assert operator.sent() == []


def test_a_crash_in_a_withdrawal_leaves_its_share_in_the_account() -> None:
    # A crash loop withdraws without limit.
    operator = Operator()
    operator.published({f"E{number}": "AVAILABLE" for number in range(1, 11)})
    operator.has({f"E{number}": "AVAILABLE" for number in range(1, 10)})
    operator.delta(after=10)
    operator.hub.script = [KILLED_AFTER]
    with pytest.raises(Crash):
        operator.delta(after=60)
    assert operator.row("E10").withdrawn_at == operator.clock.now()


def test_a_second_full_load_without_an_answer_names_bytes_and_seconds_and_a_rolling_resync_takes_over() -> (
    None
):
    # Every night the same full load times out and puts the whole fleet in doubt.
    operator = Operator()
    operator.published(FLEET)
    for _ in range(2):
        operator.hub.script = [IN_DOUBT]
        operator.full(after=100)
        operator.delta(after=60)
    (line,) = operator.lines.of("full.suspended")
    assert (line["records"], line["duration"]) == (2, 30.0)
    assert line["bytes"] > 100
    operator.forget()
    report = operator.full(after=100)
    assert (report.full_load, report.exit_code) == ("rolling", 0)
    assert operator.sent() == ["update E1=Available E2=Occupied"]


def test_a_full_load_by_hand_that_is_answered_ends_the_suspension() -> None:
    # The nights stay without full loads although the timeout was raised.
    operator = Operator()
    operator.published(FLEET)
    for _ in range(2):
        operator.hub.script = [IN_DOUBT]
        operator.full(after=100)
        operator.delta(after=60)
    assert operator.full(after=10).full_load == "rolling"
    assert operator.sync.full(asked="resync #1", force=True).full_load == "applied"
    assert operator.full(after=10).full_load == "applied"


def test_a_quarantined_evse_left_out_of_a_full_load_keeps_waiting_for_its_time() -> None:
    # Every night all bad EVSEs are tried again together with new ones.
    operator = Operator()
    operator.hub.no_data = {wire("E2")}
    operator.has(FLEET)
    operator.delta()
    first = operator.row("E2").quarantine
    operator.full(after=10)
    assert first is not None
    assert operator.row("E2").quarantine == first
    assert operator.holds() == {"E1": "Available"}


def test_a_full_load_that_accepts_the_refused_status_ends_the_quarantine() -> None:
    # The EVSE is listed as refused although Hubject holds what the source says.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E1": "CHARGING", "E2": "CHARGING"})
    operator.hub.script = [refused("018")]
    operator.delta(after=10)
    operator.has(FLEET)
    operator.hub.script = [refused("018")]
    operator.delta(after=10)
    assert operator.row("E1").quarantine is not None
    operator.full(after=10)
    assert operator.row("E1").quarantine is None


def test_a_preview_tells_and_changes_nothing() -> None:
    # `plan` on the command line sends, or spoils the running daemon's picture.
    operator = Operator(Choices(baseline=""))
    operator.has(FLEET)
    before = operator.ledger.load()
    preview = operator.sync.preview()
    assert [change.wire_id for change in preview.decision.plan.changes] == [wire("E1"), wire("E2")]
    assert len(preview.full.records) == 2
    assert (operator.sent(), operator.lines.all, operator.ledger.load()) == ([], [], before)


# --- resync by hand ---------------------------------------------------------------------------------------


def resync(operator: Operator, *, adopt: int | None = None, withdrawals: int | None = None) -> Ended | None:
    asked = Resync(
        operator.sync,
        Allowance(adopt=adopt, withdrawals=withdrawals),
        now=operator.clock.now(),
        asked="resync #1",
    )
    return asked.step(operator.clock.now())


def test_a_resync_says_how_many_records_hubject_took() -> None:
    operator = Operator()
    operator.published(FLEET)
    end = resync(operator)
    assert end == Ended(state=CommandState.DONE, exit_code=0, text="full load applied: 2 records")


def test_a_refused_resync_says_what_to_type() -> None:
    # "refused" and nothing else, at 03:00.
    operator = Operator(Choices(baseline=""))
    operator.has(FLEET)
    end = resync(operator)
    assert end is not None
    assert (end.state, end.exit_code) == (CommandState.REFUSED, 3)
    assert "oicp-adapter resync test --adopt 2" in end.text
    assert end.text.startswith("no full load was sent; 2 changes were acknowledged")


def test_a_resync_does_not_wait_for_a_probe_that_is_an_hour_away() -> None:
    # The engineer renewed the certificate and is told to wait.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E1": "CHARGING", "E2": "CHARGING"})
    operator.hub.script = [STOPPED]
    operator.delta(after=10)
    end = resync(operator)
    assert end is not None
    assert (end.state, operator.holds()) == (CommandState.DONE, {"E1": "Occupied", "E2": "Occupied"})


@pytest.mark.parametrize(("answer", "code"), [(STOPPED, 4), (IN_DOUBT, 4), (UNREACHABLE, 4)])
def test_a_resync_that_hubject_does_not_take_has_failed(answer: Answer, code: int) -> None:
    # A script goes on after a resync that never happened.
    operator = Operator()
    operator.published(FLEET)
    operator.hub.script = [answer]
    end = resync(operator)
    assert end is not None
    assert (end.state, end.exit_code) == (CommandState.FAILED, code)


def test_a_full_load_that_is_refused_without_a_name_is_replaced_by_bundles() -> None:
    # One record that Hubject does not like, and does not name, keeps the night's full load away for ever.
    operator = Operator()
    operator.published(FLEET)
    operator.passes(10)
    operator.hub.script = [refused("999")]
    end = resync(operator)
    assert end is not None
    text = "no full load (Hubject refused it and named nobody: refused 999): every EVSE is pushed again in bundles, 2 "
    assert (end.state, end.text.startswith(text)) == (CommandState.DONE, True)


def test_a_resync_of_an_unreadable_source_has_failed_with_the_source_s_code() -> None:
    operator = Operator()
    operator.published(FLEET)
    operator.source.failure = SourceError("no such file", hint="put it there")
    end = resync(operator)
    assert end is not None
    assert (end.state, end.exit_code) == (CommandState.FAILED, 5)
    assert "no such file" in end.text


def test_a_resync_waits_for_a_complete_read_but_not_for_ever() -> None:
    # A command that never ends, or blames Hubject for a cut-off export. The full load stays due, and the night does it.
    operator = Operator()
    operator.published(FLEET)
    operator.source.complete = False
    asked = Resync(operator.sync, Allowance(), now=operator.clock.now(), asked="resync #1")
    assert asked.step(operator.clock.now()) is None
    assert asked.progress == "waiting: the read was not complete"
    operator.passes(GIVE_UP_AFTER)
    end = asked.step(operator.clock.now())
    assert end is not None
    assert (end.state, end.exit_code) == (CommandState.FAILED, 5)
    assert operator.state.full_wanted == "resync #1"
    operator.source.complete = True
    operator.forget()
    operator.delta(after=10)
    assert operator.sent() == ["fullLoad E1=Available E2=Occupied"]


def test_a_resync_that_fails_in_an_outage_leaves_the_night_s_full_load_due() -> None:
    # Somebody resyncs by hand because Hubject does not answer, and with it the nightly full load is cancelled.
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "INOPERATIVE"})
    operator.hub.script = [UNREACHABLE]
    operator.sync.full(asked="schedule")
    operator.hub.script = [UNREACHABLE]
    end = resync(operator)
    assert end is not None
    assert (end.exit_code, operator.state.full_wanted) == (4, "schedule")
    operator.forget()
    operator.delta(after=120)
    assert operator.sent() == ["update E1=OutOfService", "fullLoad E1=OutOfService E2=Occupied"]
    assert operator.state.full_wanted == ""


def test_a_resync_clears_only_what_it_asked_for() -> None:
    # A typing error in --adopt, or a pause, takes the night's full load with it; or a resync that was kept back comes
    # as a surprise the next morning.
    operator = Operator()
    operator.published(FLEET)
    operator.source.complete = False
    operator.sync.full(asked="schedule")
    assert operator.state.full_wanted == "schedule"
    operator.source.complete = True
    asked = Resync(operator.sync, Allowance(adopt=7), now=operator.clock.monotonic(), asked="resync #1")
    end = asked.step(operator.clock.monotonic())
    assert end is not None
    assert (end.exit_code, operator.state.full_wanted) == (3, "schedule")
    operator.ledger.pause(Pause(since=0.0, until=None, reason="works", by="ann@host"))
    operator.sync._delivery._paused = lambda now: operator.ledger.paused(now=now)
    assert resync(operator) is not None
    assert operator.state.full_wanted == "schedule"


def test_what_hubject_applies_later_than_settle_is_cured_by_the_re_assertion() -> None:
    # One request in a million is applied ten minutes late, and the EVSE stays wrong for weeks.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E1": "CHARGING", "E2": "CHARGING"})
    operator.hub.script = [APPLIED_LATE]
    operator.delta(after=10)
    operator.has(FLEET)
    operator.delta(after=60)
    operator.hub.held[wire("E1")] = EvseStatus.OCCUPIED  # the lost request, applied only now
    operator.reconcile(after=540)
    assert operator.holds()["E1"] == "Available"


# --- runs that end: sync from cron ------------------------------------------------------------------------


def test_runs_that_end_go_on_waiting_where_the_last_one_stopped() -> None:
    # From cron every minute, each run waits anew and ends before settle is over: in doubt for ever.
    operator = Operator(Choices(settles_anew=False))
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [IN_DOUBT]
    assert operator.delta(after=10).exit_code == 4
    operator.forget()
    sent = []
    for _ in range(4):
        operator.start()
        operator.delta(after=20)
        sent.append(operator.sent())
    assert sent == [[], [], ["update E1=Occupied"], []]


def test_what_a_killed_run_left_open_waits_from_the_next_run_on() -> None:
    # Nobody knows when the killed run sent its last byte, and the old request overtakes the new one.
    operator = Operator(Choices(settles_anew=False))
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [KILLED_AFTER]
    with pytest.raises(Crash):
        operator.delta(after=10)
    operator.forget()
    sent = []
    for _ in range(5):
        operator.start()
        operator.delta(after=20)
        sent.append(operator.sent())
    assert sent == [[], [], [], ["update E1=Occupied"], []]


def test_a_daemon_that_starts_waits_anew_in_full() -> None:
    # The clock was set while it was down: settle looks over, and is not.
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [IN_DOUBT]
    operator.delta(after=10)
    operator.forget()
    operator.start()
    operator.delta(after=3600)
    operator.delta(after=50)
    assert operator.sent() == []
    operator.delta(after=10)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_daemon_that_starts_on_a_full_disk_still_waits_anew_when_it_can_write_again() -> None:
    # The first cycle fails; if the second is taken for an ordinary one, it trusts a wait it never began.
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [IN_DOUBT]
    operator.delta(after=10)
    operator.forget()
    operator.start()
    writes = operator.ledger.interrupted

    def full_disk(*_: object, **__: object) -> None:
        raise LedgerFull("no space left")

    operator.ledger.interrupted = full_disk  # type: ignore[method-assign]
    with pytest.raises(LedgerFull):
        operator.delta(after=3600)
    operator.ledger.interrupted = writes  # type: ignore[method-assign]
    operator.delta(after=10)
    assert operator.sent() == []
    operator.delta(after=60)
    assert operator.sent() == ["update E1=Occupied"]


def _refused_at_night() -> Operator:
    """The certificate expired, the fleet is quiet, and the nightly full load is due."""
    operator = Operator()
    operator.published(FLEET_OF_THREE)
    operator.hub.script = [STOPPED]
    operator.full(after=10)
    assert operator.sent() == ["fullLoad E1=Available E2=Available E3=Available"]
    operator.hub.script = [STOPPED]
    return operator


def test_a_full_load_is_not_what_hubject_is_probed_with() -> None:
    # 56 MB every few minutes to a Hubject that has said no; and the first one that arrives may be in doubt.
    operator = _refused_at_night()
    operator.delta(after=120)
    assert operator.sent() == ["update E1=Available"]
    operator.delta(after=240)
    assert operator.sent() == [
        "update E1=Available",
        "fullLoad E1=Available E2=Available E3=Available",
    ], "the probe got through: then the full load, in the same cycle"
    assert operator.state.trouble is None
    assert operator.state.full_wanted == ""


def test_a_full_load_that_would_not_be_sent_is_not_probed_for() -> None:
    # The baseline is unknown: one needless record per probe, kept by Hubject as history.
    operator = Operator(Choices(baseline=""))
    operator.published(FLEET_OF_THREE)
    operator.has({**FLEET_OF_THREE, "E1": "CHARGING"})
    operator.hub.script = [STOPPED]
    operator.delta(after=10)
    operator.has(FLEET_OF_THREE)
    operator.forget()
    operator.full(after=300)
    assert operator.sent() == []


def test_a_full_load_that_was_applied_ends_the_rolling_resync_it_was_replaced_by() -> None:
    # The whole fleet is pushed once more in bundles, after everything was confirmed.
    operator = Operator()
    operator.published(FLEET)
    operator.passes(10)
    operator.ledger.save((), replace(operator.state, rolling_since=operator.clock.now()))
    assert operator.full(after=10).full_load == "applied"
    assert operator.sent() == ["fullLoad E1=Available E2=Occupied"]
    assert operator.state.rolling_since is None
    operator.delta(after=10)
    assert operator.sent() == []


def test_a_restart_does_not_forget_who_is_quarantined() -> None:
    # Every start pushes what Hubject has refused all week, in one request with the others.
    operator = Operator()
    operator.has_many(3)
    operator.hub.no_data = {wire("E2")}
    operator.delta()
    operator.start()
    operator.forget()
    operator.delta(after=10)
    assert (operator.sent(), described(operator.row("E2"))) == ([], "absent -, quarantined 603 x1")
