"""What the operator is told, and how often: once, on change, then at intervals."""

from __future__ import annotations

from typing import Any

import msgspec

from oicp_adapter.core.model import SourceRecord
from oicp_adapter.errors import SourceError
from tests.fakes.answers import IN_DOUBT, STOPPED, refused
from tests.fakes.operator import Choices, Operator, wire


def fleet(first: int, last: int, value: str = "AVAILABLE") -> dict[str, str]:
    return {f"E{number}": value for number in range(first, last + 1)}


def told(operator: Operator, event: str) -> list[dict[str, Any]]:
    return operator.lines.of(event)


def test_a_guard_is_an_error_when_it_begins_and_when_it_changes_and_then_hourly() -> None:
    # An ERROR every ten seconds is switched off; one that sounds once is missed.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(21, 100))
    operator.delta(after=10)
    for _ in range(6):
        operator.delta(after=60)
    (line,) = told(operator, "guard.refused")
    assert (line["guard"], line["withheld"]) == ("withdrawal", 20)
    assert line["fix"].endswith("oicp-adapter resync test --allow-withdrawal 20")
    operator.has(fleet(22, 100))
    operator.delta(after=10)
    operator.delta(after=60)
    assert [line["withheld"] for line in told(operator, "guard.refused")] == [20, 21]
    operator.delta(after=3599)
    assert len(told(operator, "guard.refused")) == 2
    operator.delta(after=1)
    assert len(told(operator, "guard.refused")) == 3


def test_a_guard_is_not_told_anew_because_the_rest_of_the_fleet_changes() -> None:
    # Every new charger sounds the alarm of the old refusal.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(21, 100))
    operator.delta(after=10)
    for size in range(101, 106):
        operator.has(fleet(21, size))
        operator.delta(after=60)
    assert len(told(operator, "guard.refused")) == 1


def test_the_end_of_a_refusal_is_told_once_and_not_by_a_cycle_that_could_not_know() -> None:
    # "cleared" while the source cannot be read, then the alarm anew.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(21, 100))
    operator.delta(after=10)
    operator.delta(after=60)
    operator.source.failure = SourceError("no such file")
    operator.delta(after=10)
    operator.source.failure = None
    operator.delta(after=10)
    assert (len(told(operator, "guard.refused")), told(operator, "guard.cleared")) == (1, [])
    operator.has(fleet(1, 100))
    operator.delta(after=10)
    operator.delta(after=10)
    assert [line["guard"] for line in told(operator, "guard.cleared")] == ["withdrawal"]


def test_an_unknown_baseline_is_a_daily_warning_across_restarts() -> None:
    # Nobody learns that no full load is ever sent; or everybody every ten seconds.
    operator = Operator(Choices(baseline=""))
    operator.has(fleet(1, 3))
    for _ in range(48):
        operator.delta(after=3600)
        operator.start()
    assert len(told(operator, "baseline.unknown")) == 2
    operator.full(adopt=3)
    assert len(told(operator, "baseline.known")) == 1
    operator.delta(after=90_000)
    assert len(told(operator, "baseline.unknown")) == 2


def test_an_unknown_baseline_that_ends_by_itself_is_no_warning() -> None:
    # "No full load is sent, --adopt N", and the next night it is sent all the same.
    operator = Operator(Choices(baseline="", first_full_load="automatic"))
    operator.has(fleet(1, 3))
    operator.delta()
    assert told(operator, "baseline.unknown") == []
    operator.full()
    assert len(told(operator, "baseline.known")) == 1


def test_a_waiting_full_load_is_told_when_it_begins_when_its_reason_changes_and_hourly() -> None:
    # Six lines a minute from 03:00 on, because the export lacks its last line.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.forget()
    operator.source.complete = False
    operator.full()
    for _ in range(10):
        operator.delta(after=10)
    assert [line["why"] for line in told(operator, "full.postponed")] == ["the read was not complete"]
    operator.start()
    operator.delta(after=3600)
    assert len(told(operator, "full.postponed")) == 2
    operator.hub.script.append(IN_DOUBT)
    operator.has(fleet(1, 21))
    operator.delta(after=10)
    operator.source.complete = True
    operator.delta(after=10)
    operator.delta(after=10)
    assert [line["why"] for line in told(operator, "full.postponed")[2:]] == [
        "1 EVSEs are in doubt, or withheld with no status to keep"
    ]
    assert operator.delta(after=60).full_load == "applied"
    operator.source.complete = False
    operator.full(after=10)
    assert len(told(operator, "full.postponed")) == 4, "another one that waits"


def test_an_unmapped_value_is_told_once_per_value_with_the_setting() -> None:
    # One new value floods the log with every charger and cycle.
    operator = Operator()
    operator.has({**fleet(1, 20), "E21": "FREE", "E22": "FREE"})
    for _ in range(5):
        operator.delta(after=10)
    (line,) = told(operator, "mapping.unmapped")
    assert (line["value"], line["evses"], "FREE" in line["fix"]) == ("FREE", 2, True)
    operator.has({**fleet(1, 20), "E21": "BUSY", "E22": "FREE"})
    operator.delta(after=10)
    assert [line["value"] for line in told(operator, "mapping.unmapped")] == ["FREE", "BUSY"]


def test_a_record_that_cannot_be_published_is_told_when_the_list_changes() -> None:
    # A typo in one id is a line every ten seconds, or none.
    operator = Operator()
    operator.has({**fleet(1, 3), "no id at all": "AVAILABLE"})
    for _ in range(3):
        assert operator.delta(after=10).exit_code == 0
    (line,) = told(operator, "mapping.rejected")
    assert "no id at all" in line["records"][0]
    assert [item.evse_id for item, _ in operator.ledger.rejected()] == [wire("no id at all")]
    operator.has(fleet(1, 3))
    operator.delta(after=10)
    assert operator.ledger.rejected() == []


def test_the_same_bad_records_in_another_order_are_no_news_and_no_write() -> None:
    # An export without an order of its own: 8,640 warnings and as many writes a day about the same two typing errors.
    operator = Operator()
    bad = [("E 1", "line 4"), ("E 2", "line 5"), (None, "line 6"), (None, "line 7")]

    def has(records: list[tuple[str | None, str]]) -> None:
        good = [SourceRecord(evse_id=wire("E9"), status="AVAILABLE")]
        operator.source.records = good + [
            SourceRecord(evse_id=name and wire(name), status="AVAILABLE", origin=origin)
            for name, origin in records
        ]

    has(bad)
    operator.delta(after=10)
    stored = operator.ledger.rejected()
    for turn in range(1, 4):
        moved = bad[turn:] + bad[:turn]
        has([(name, f"line {number}") for number, (name, _) in enumerate(moved, 20)])
        operator.delta(after=10)
    assert operator.ledger.rejected() == stored
    (line,) = told(operator, "mapping.rejected")
    assert (line["count"], line["new"], line["solved"]) == (4, 4, 0)
    has([("E 3", "line 4"), *bad[1:]])
    operator.delta(after=10)
    line = told(operator, "mapping.rejected")[1]
    assert (line["count"], line["new"], line["solved"]) == (4, 1, 1)
    assert ["DE*ABC*E 3" in text for text in line["records"]] == [True]
    has(bad[1:])
    operator.delta(after=10)
    assert len(told(operator, "mapping.rejected")) == 2, "what is solved alarms nobody"
    assert len(operator.ledger.rejected()) == 3


def test_the_same_problems_of_a_read_with_other_examples_are_no_news() -> None:
    # The export's order is another one at every read, and so is the first record with an unreadable time.
    operator = Operator()
    operator.published(fleet(1, 3))
    seen = [
        (
            "updated_at is unreadable in 2 record(s) and counts as no time; first: 'soon' is not a time (line 4)",
        ),
        (
            "updated_at is unreadable in 3 record(s) and counts as no time; first: 'later' is not a time (line 9)",
        ),
    ]
    for turn in range(6):
        operator.source.problems = seen[turn % 2]
        operator.delta(after=10)
    assert len(told(operator, "source.odd")) == 1
    operator.source.problems = ("location abc, EVSE x cannot be decoded: status: expected text", *seen[0])
    operator.delta(after=10)
    operator.source.problems = (*seen[1], "location def, EVSE y cannot be decoded: status: expected text")
    operator.delta(after=10)
    assert len(told(operator, "source.odd")) == 2


def test_another_spelling_is_told_once_and_takes_effect_with_the_next_full_load() -> None:
    # The corrected id never reaches Hubject, or Hubject is sent an id it does not know.
    operator = Operator()
    operator.published({"E1*1": "AVAILABLE"})
    operator.has({"E11": "CHARGING"})
    operator.delta(after=10)
    operator.delta(after=10)
    assert operator.sent() == ["update E1*1=Occupied"]
    (line,) = told(operator, "mapping.spelling")
    assert line["ids"] == ["DE*ABC*E1*1 is now DE*ABC*E11"]
    operator.full(after=10)
    assert operator.sent() == ["fullLoad E11=Occupied"]
    operator.has({"E11": "AVAILABLE"})
    operator.delta(after=10)
    assert operator.sent() == ["update E11=Available"]


def test_a_source_that_fails_is_an_error_hourly_and_its_return_is_told() -> None:
    # The on-call engineer is paged every ten seconds of the night.
    operator = Operator()
    operator.published(fleet(1, 3))
    for age in range(361):
        operator.source.failure = SourceError(f"written {age * 10} s ago", hint="put it there")
        operator.delta(after=10)
    failed = told(operator, "source.failed")
    assert [line.get("failing_for") for line in failed] == [None, 3600]
    assert (failed[0]["text"], failed[0]["fix"]) == ("written 0 s ago", "put it there")
    operator.source.failure = None
    operator.delta(after=10)
    assert [line["after"] for line in told(operator, "source.recovered")] == [3610]


def test_an_old_picture_is_a_warning_hourly() -> None:
    # The export job died yesterday and nothing says so.
    operator = Operator()
    operator.published(fleet(1, 3))
    operator.source.as_of = operator.clock.now()
    operator.delta(after=900)
    assert told(operator, "source.old") == []
    operator.delta(after=10)
    operator.delta(after=10)
    assert [line["age"] for line in told(operator, "source.old")] == [910]


def test_a_rejection_is_an_error_once_and_its_end_is_told_by_a_real_answer_only() -> None:
    # "recovered" after a probe that timed out; the certificate error is repeated at every probe.
    operator = Operator()
    operator.has(fleet(1, 1))
    operator.hub.script = [STOPPED, STOPPED, IN_DOUBT]
    operator.delta()
    operator.delta(after=3600)
    assert len(told(operator, "hub.stopped")) == 1
    assert told(operator, "hub.stopped")[0]["fix"] == "renew it"
    operator.delta(after=7200)
    assert told(operator, "hub.recovered") == []
    operator.delta(after=7200)
    assert len(told(operator, "hub.recovered")) == 1


def test_one_summary_line_per_cycle_with_the_counts_an_engineer_reads() -> None:
    # A dashboard built on the documented fields stays empty.
    operator = Operator()
    operator.published({**fleet(1, 4), "E5": "CHARGING"})
    operator.has({**fleet(1, 3, "CHARGING"), "E4": "AVAILABLE", "E5": "CHARGING"})
    operator.hub.script = [refused("603", wire("E1"))]
    operator.delta(after=10)
    (line,) = told(operator, "delta.done")
    assert {
        "read": 5,
        "changed": 3,
        "requests": 2,
        "pushed": 5,
        "acked": 2,
        "quarantined": 1,
        "withheld": 0,
        "in_doubt": 0,
        "backlog": 0,
        "bundle": 3,
        "duration": 0.0,
        "lag": 0.0,
    }.items() <= line.items()
    assert line["cycle_id"]
    assert line["operator"] == "test"


def test_a_push_is_logged_with_what_hubject_s_process_monitor_shows() -> None:
    # Hubject support asks for the Process-ID, and nobody has it.
    operator = Operator()
    operator.published(fleet(1, 2))
    operator.has(fleet(1, 2, "CHARGING"))
    operator.delta(after=10)
    (line,) = told(operator, "push.applied")
    assert (line["action"], line["records"], line["code"], line["process_id"]) == ("update", 2, "000", "fake")
    assert line["push_id"] == 2


def test_each_changed_evse_has_a_line_and_an_unchanged_or_new_one_has_none() -> None:
    # Ten thousand lines at a first run; or no trace of why an EVSE changed.
    operator = Operator()
    operator.has(fleet(1, 9))
    operator.delta()
    assert told(operator, "evse.changed") == []
    operator.has({**fleet(1, 8), "E9": "CHARGING"})
    operator.delta(after=10)
    operator.full(after=10)
    (line,) = told(operator, "evse.changed")
    assert (line["evse_id"], line["before"], line["after"]) == (wire("E9"), "Available", "Occupied")
    assert line["reason"] == "ocpi CHARGING"


def test_a_code_nobody_knows_is_reported_with_its_process_id() -> None:
    # A new answer of Hubject is treated as refused for months, unnoticed.
    operator = Operator()
    operator.has(fleet(1, 1))
    operator.hub.script = [msgspec.structs.replace(refused("777"), code_known=False)] * 2
    operator.delta()
    assert [line["process_id"] for line in told(operator, "hub.code_unknown")] == ["P-1", "P-1"]


def test_reconcile_reports_nothing_on_a_healthy_system_even_while_evses_come_change_and_go() -> None:
    # The warning of reconcile is normal, so nobody looks when it means something.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.has({**fleet(1, 18), "E19": "CHARGING", "E21": "AVAILABLE"})
    operator.reconcile(after=10)
    operator.reconcile(after=50)
    report = operator.reconcile(after=10)
    assert operator.holds()["E20"] == "EvseNotFound"
    assert report.found == {}
    assert operator.reconcile(after=60).requests == 0
    assert "reconcile.healed" not in operator.lines.alarms
    assert len(told(operator, "reconcile.done")) == 4


def test_reconcile_reports_what_has_waited_for_more_than_two_deltas() -> None:
    # A change that no delta delivers is delivered by chance, and nobody learns of it.
    operator = Operator()
    operator.published(fleet(1, 3))
    operator.has({**fleet(1, 2), "E3": "CHARGING"})
    operator.hub.script = [STOPPED]
    operator.delta(after=10)
    report = operator.reconcile(after=100)
    assert (report.found, report.healed) == ({"status": 1}, {"status": 1})
