"""What waits for Hubject is told: how much, since when and why, in every summary line; an ERROR when it lasts."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.plan import Missing, PlanPolicy
from oicp_adapter.core.records import EvseRow, Presence, Quarantine
from oicp_adapter.core.waiting import waiting, waits_since
from oicp_adapter.errors import SourceError
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.ports import Pause
from tests.fakes.answers import IN_DOUBT, KILLED, STOPPED, THROTTLED, TRANSIENT, UNREACHABLE
from tests.fakes.hub import Crash
from tests.fakes.operator import Choices, Operator, wire

OVERDUE, CAUGHT_UP, DONE = "delivery.overdue", "delivery.caught_up", "delta.done"
FLEET = {"E1": "AVAILABLE", "E2": "AVAILABLE"}
CHANGED = {"E1": "AVAILABLE", "E2": "INOPERATIVE"}
EVERY_CYCLE = Choices(summary=0.001)
NOW = 1_800_000_000.0
POLICY = PlanPolicy(settle=60.0, missing_after=120.0, hold_available=30.0)
SETTLED = EvseRow(
    key="DEABCE1",
    wire_id="DE*ABC*E1",
    source_id="DE*ABC*E1",
    presence=Presence.PRESENT,
    status=EvseStatus.OCCUPIED,
    desired=EvseStatus.OCCUPIED,
)
REFUSED = Quarantine(
    code="603", text="", process_id=None, since=NOW, retry_at=NOW, attempts=1, status=EvseStatus.OCCUPIED
)


def last(operator: Operator, event: str = DONE) -> dict[str, Any]:
    return operator.lines.of(event)[-1]


def lasting(answer: Answer, operator: Operator) -> None:
    """From now on Hubject answers nothing else."""
    operator.hub.push = lambda request: answer  # type: ignore[method-assign]


@pytest.mark.parametrize("answer", [UNREACHABLE, THROTTLED, TRANSIENT, STOPPED, IN_DOUBT])
def test_in_an_outage_lag_and_backlog_say_what_waits_and_after_five_minutes_a_person_is_called(
    answer: Answer,
) -> None:
    # A quiet night, one change, Hubject out of reach: lag 0, no ERROR, and in the morning the map is eight hours old.
    operator = Operator()
    operator.published(FLEET)
    operator.has(CHANGED)
    lasting(answer, operator)
    began = operator.clock.now() + 10
    for _ in range(30):
        operator.delta(after=10)
        line = last(operator)
        assert line["backlog"] == 1
        assert (operator.clock.now() - began) - line["lag"] < 301, "the wait is as old as the change"
    assert operator.lines.of(OVERDUE) == []
    operator.delta(after=20)
    (called,) = operator.lines.of(OVERDUE)
    assert (called["backlog"], called["waited"]) == (1, 310.0)
    assert answer.text in called["text"] or "settle" in called["text"] or "latest status" in called["text"]
    for _ in range(36):
        operator.delta(after=100)
    assert len(operator.lines.of(OVERDUE)) == 2, "hourly"
    del operator.hub.push
    for _ in range(40):
        operator.delta(after=100)
    assert operator.holds() == {"E1": "Available", "E2": "OutOfService"}
    assert len(operator.lines.of(CAUGHT_UP)) == 1
    assert (last(operator)["backlog"], last(operator)["lag"], last(operator).get("waits")) == (0, 0.0, None)


def test_a_call_is_closed_by_name_when_what_waited_went_back_and_a_short_outage_calls_nobody() -> None:
    # An alert that nobody closes; or one for every hiccup.
    operator = Operator()
    operator.published(FLEET)
    operator.has(CHANGED)
    lasting(UNREACHABLE, operator)
    for _ in range(29):
        operator.delta(after=10)
    operator.has(FLEET)
    operator.delta(after=10)
    operator.delta(after=100)
    assert operator.lines.of(OVERDUE) == operator.lines.of(CAUGHT_UP) == []
    operator.has(CHANGED)
    operator.delta(after=10)
    operator.delta(after=300)
    assert len(operator.lines.of(OVERDUE)) == 1
    operator.has(FLEET)
    operator.delta(after=10)
    assert len(operator.lines.of(CAUGHT_UP)) == 1


def test_a_clock_that_is_put_back_in_an_outage_closes_no_call() -> None:
    # "caught up" at 03:10, because somebody has set the clock; five minutes later the next call about the same outage.
    operator = Operator()
    operator.published(FLEET)
    operator.has(CHANGED)
    lasting(UNREACHABLE, operator)
    operator.delta(after=10)
    operator.delta(after=310)
    operator.clock.wall -= 3600
    for _ in range(40):
        operator.delta(after=10)
    assert (len(operator.lines.of(OVERDUE)), operator.lines.of(CAUGHT_UP)) == (1, [])
    del operator.hub.push
    operator.delta(after=100)
    assert len(operator.lines.of(CAUGHT_UP)) == 1


def test_an_evse_that_goes_on_changing_has_waited_since_the_first_change() -> None:
    # One charger that is plugged in every four minutes keeps the alert of an hour's outage from ever sounding.
    operator = Operator(EVERY_CYCLE)
    operator.published(FLEET)
    lasting(UNREACHABLE, operator)
    values = ["INOPERATIVE", "CHARGING"] * 5
    for value in values:
        operator.has({"E1": "AVAILABLE", "E2": value})
        operator.delta(after=60)
    assert last(operator)["lag"] == 540.0
    assert len(operator.lines.of(OVERDUE)) == 1


@pytest.mark.parametrize(
    ("answer", "failure", "why"),
    [
        (UNREACHABLE, None, "connection refused (next try "),
        (IN_DOUBT, None, "pushed again with its latest status after 2023-11-14T22:14:30Z"),
        (IN_DOUBT, SourceError("no such file"), "the source is unreadable since 2023-11-14T22:13:40Z"),
    ],
    ids=["unreachable", "in doubt", "failed read"],
)
def test_the_line_says_why_also_after_a_read_that_failed(
    answer: Answer, failure: SourceError | None, why: str
) -> None:
    # "backlog 0, lag 0" because this cycle looked at nothing.
    operator = Operator(EVERY_CYCLE)
    operator.published(FLEET)
    operator.has(CHANGED)
    lasting(answer, operator)
    operator.delta(after=10)
    operator.source.failure = failure
    operator.delta(after=10)
    line = last(operator)
    assert (line["backlog"], line["lag"], why in line["waits"]) == (1, 10.0, True), line["waits"]


def test_what_a_person_wants_to_wait_calls_nobody_and_what_a_guard_withholds_has_its_own_call() -> None:
    # The alert of a pause that was announced; or two alerts for one refusal.
    operator = Operator(EVERY_CYCLE)
    operator.published_many(40)
    operator.has_many(20)
    for _ in range(60):
        operator.delta(after=10)
    assert operator.lines.of(OVERDUE) == []
    line = last(operator)
    assert (line["backlog"], line["withheld"]) == (0, 20)
    assert (line["lag"] > 300, line["waits"]) == (True, "the withdrawal guard withholds it")


def test_a_pause_is_no_outage_and_an_outage_before_it_is_not_told_as_over() -> None:
    # "caught up" at 03:00, because somebody paused the operator to look into it.
    operator = Operator()
    operator.published(FLEET)
    operator.has(CHANGED)
    lasting(UNREACHABLE, operator)
    for _ in range(40):
        operator.delta(after=10)
    assert len(operator.lines.of(OVERDUE)) == 1
    operator.ledger.pause(Pause(since=NOW, until=None, reason="works", by="ann@host"))
    operator.sync._delivery._paused = lambda now: operator.ledger.paused(now=now)
    for _ in range(400):
        operator.delta(after=10)
    assert (len(operator.lines.of(OVERDUE)), operator.lines.of(CAUGHT_UP)) == (1, [])
    assert last(operator)["waits"] == "paused by ann@host until somebody resumes: works"


def test_quiet_deltas_share_a_line_and_every_news_has_its_own() -> None:
    # 8,640 lines a day that say nothing, and the ninth hundred says that Hubject refuses.
    operator = Operator()
    operator.published(FLEET)
    for _ in range(60):
        operator.delta(after=10)
    assert [line["cycles"] for line in operator.lines.of(DONE)] == [30, 30]
    operator.forget()
    operator.has(CHANGED)
    operator.delta(after=10)
    assert [(line["acked"], line["cycles"]) for line in operator.lines.of(DONE)] == [(1, 1)]
    operator.forget()
    operator.has(FLEET)
    lasting(UNREACHABLE, operator)
    for _ in range(20):
        operator.delta(after=10)
    assert len(operator.lines.of(DONE)) == 1, "the outage begins; each further try is none"
    operator.source.failure = SourceError("written 7 s ago")
    operator.delta(after=10)
    operator.source.failure = SourceError("written 17 s ago")
    operator.delta(after=10)
    assert [line["cycles"] for line in operator.lines.of(DONE)] == [1, 20], "a new kind of trouble"
    operator.source.failure = None
    operator.delta(after=10)
    assert len(operator.lines.of(DONE)) == 3, "its end"


def test_reconciliations_between_them_do_not_make_the_deltas_line_stay_away() -> None:
    # "no delta.done for ten minutes" sounds on a healthy system with a reconciliation a minute.
    operator = Operator()
    operator.published(FLEET)
    for number in range(60):
        (operator.reconcile if number % 6 == 0 else operator.delta)(after=10)
    assert len(operator.lines.of(DONE)) == 2


def test_what_a_reconciliation_has_changed_is_in_the_next_line_of_the_deltas() -> None:
    # The alert on `quarantined` in delta.done stays for five minutes after a reconciliation has cured it.
    operator = Operator()
    operator.hub.no_data = {wire("E2")}
    operator.has(FLEET)
    operator.delta()
    assert last(operator)["quarantined"] == 1
    operator.delta(after=880)
    operator.hub.no_data = set()
    operator.reconcile(after=30)
    operator.delta(after=10)
    assert last(operator)["quarantined"] == 0


def test_in_doubt_since_keeps_its_first_time_while_the_wait_begins_anew() -> None:
    # Three restarts in an hour, and "in doubt since a minute ago" about a request from before midnight.
    operator = Operator()
    operator.published(FLEET)
    operator.has(CHANGED)
    operator.hub.script = [KILLED]
    first = operator.clock.now() + 10
    with pytest.raises(Crash):
        operator.delta(after=10)
    for _ in range(3):
        operator.start()
        operator.delta(after=50)
    row = operator.row("E2")
    assert row.in_doubt_since == operator.clock.now()
    assert row.doubtful_since == first + 50, "when the outcome was first known to be unknown"
    assert last(operator)["lag"] == operator.clock.now() - first
    operator.delta(after=61)
    assert (operator.row("E2").doubted_at, operator.row("E2").status) == (None, EvseStatus.OUT_OF_SERVICE)


@pytest.mark.parametrize("baseline", ["", "adopted"])
@pytest.mark.parametrize(
    "fleet", [{"E1": "REMOVED", "E2": "PLANNED"}, dict.fromkeys(("E1", "E2", "E3"), "KAPUTT")]
)
def test_a_plan_before_the_first_load_neither_keeps_nor_withdraws_what_nobody_has(
    baseline: str, fleet: dict[str, str]
) -> None:
    # "152 unchanged, a full load would withdraw 152 EVSEs" on the day of the installation: nobody dares to start it.
    operator = Operator(Choices(baseline=baseline))
    operator.has(fleet)
    seen = operator.sync.preview()
    assert (seen.decision.plan.unchanged, seen.withdraws) == (0, 0)
    operator.has(FLEET)
    operator.delta()
    operator.has({"E1": "AVAILABLE"} | dict.fromkeys(("E3", "E4", "E5"), "REMOVED"))
    operator.delta(after=10)
    seen = operator.sync.preview()
    assert seen.decision.plan.unchanged >= 1
    operator.passes(100)
    assert operator.sync.preview().withdraws == 1


@pytest.mark.parametrize(
    ("changes", "since"),
    [
        ({}, None),
        ({"desired": EvseStatus.OUT_OF_SERVICE, "changed_at": NOW - 9}, NOW - 9),
        ({"in_doubt_since": NOW - 9}, NOW - 9),
        ({"in_doubt_since": NOW - 9, "doubted_at": NOW - 99}, NOW - 99),
        ({"desired": EvseStatus.OUT_OF_SERVICE, "changed_at": NOW - 9, "quarantine": REFUSED}, None),
        ({"in_doubt_since": NOW - 9, "changed_at": NOW - 99, "quarantine": REFUSED}, NOW - 9),
        ({"desired": EvseStatus.AVAILABLE, "changed_at": NOW - 9, "said_at": NOW - 9}, None),
        ({"desired": EvseStatus.AVAILABLE, "changed_at": NOW - 39, "said_at": NOW - 39}, NOW - 9),
        ({"desired": EvseStatus.AVAILABLE, "changed_at": NOW - 99, "said_at": NOW - 39}, NOW - 99),
        ({"first_missing": NOW - 9}, None),
        ({"first_missing": NOW - 129}, NOW - 9),
        ({"first_missing": NOW - 129, "status": EvseStatus.EVSE_NOT_FOUND}, None),
        (
            {
                "status": None,
                "presence": Presence.ABSENT,
                "desired": EvseStatus.EVSE_NOT_FOUND,
                "changed_at": NOW - 99,
            },
            None,
        ),
    ],
)
def test_since_when_an_evse_waits(changes: dict[str, object], since: float | None) -> None:
    # A refused EVSE that waits for its data for months is the lag of the whole fleet; or an outage is none.
    assert waits_since(replace(SETTLED, **changes), POLICY, now=NOW) == since


def test_what_is_kept_at_hubject_by_choice_does_not_wait() -> None:
    # missing = "keep": a lag that grows for ever.
    row = replace(SETTLED, first_missing=NOW - 9999)
    assert waits_since(row, replace(POLICY, missing=Missing.KEEP), now=NOW) is None


def test_the_oldest_wait_counts_and_a_guard_s_only_for_the_lag() -> None:
    # The backlog of a refusal never ends; an alert on it would not either.
    waits = {"desired": EvseStatus.OUT_OF_SERVICE}
    rows = [
        SETTLED,
        replace(SETTLED, **waits, changed_at=NOW - 9),
        replace(SETTLED, **waits, changed_at=NOW - 99),
        replace(SETTLED, **waits, changed_at=NOW - 999, withheld="withdrawal"),
    ]
    found = waiting(rows, POLICY, now=NOW)
    assert (found.backlog, found.since, found.overdue_since) == (2, NOW - 999, NOW - 99)
    assert found.oldest is rows[3]


def test_the_default_of_the_tests_is_that_of_the_program() -> None:
    # The times above would prove nothing about the one that is shipped.
    from oicp_adapter.settings.model import DeliverySettings, LogSettings
    from oicp_adapter.sync.delivery import CyclePolicy

    assert CyclePolicy().overdue_after == DeliverySettings().overdue_after
    assert CyclePolicy().summary_every == LogSettings().summary
    assert Choices().settles_anew
