"""P4 over many cycles: nights, weeks, slow leaks, slow reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.model import EvseStatus, SourceRead, SourceRecord
from oicp_adapter.core.plan import PlanPolicy
from oicp_adapter.core.text import time_text
from oicp_adapter.errors import SourceError
from oicp_adapter.ledger.mark import MemoryMark, Noted
from oicp_adapter.ports import CommandState
from oicp_adapter.sync.facts import operator_facts
from oicp_adapter.sync.resync import Resync
from tests.fakes.answers import APPLIED_LATE, IN_DOUBT, STOPPED
from tests.fakes.operator import Choices, Operator, wire

DAY = 86_400.0


def names(first: int, last: int) -> list[str]:
    return [f"E{number}" for number in range(first, last + 1)]


def fleet(first: int, last: int, value: str = "AVAILABLE") -> dict[str, str]:
    return dict.fromkeys(names(first, last), value)


def shown(operator: Operator) -> int:
    return sum(1 for status in operator.holds().values() if status != "EvseNotFound")


def test_nine_percent_fewer_per_cycle_is_stopped_at_the_limit() -> None:
    # A source that leaks a little with each export empties the map within the hour.
    operator = Operator()
    left = 1000
    operator.published(fleet(1, left))
    for _ in range(30):
        left = int(left * 0.91)
        operator.has(fleet(1, left))
        operator.delta(after=10)
        operator.delta(after=60)
        assert shown(operator) >= 900
    assert left < 60
    assert shown(operator) == 910  # the first 9 % pass; the next would make 17 %
    assert operator.state.baseline, "a full load was possible, and refused as well"
    assert operator.full(after=10).full_load == "refused"
    assert shown(operator) == 910


def test_a_slow_shrink_within_the_limit_goes_on_for_ever() -> None:
    # A fleet that closes one site a week needs a person every time.
    operator = Operator()
    left = 100
    operator.published(fleet(1, left))
    for _ in range(6):
        left -= left // 10
        operator.has(fleet(1, left))
        operator.delta(after=8 * DAY)
        assert operator.delta(after=60).exit_code == 0
        assert shown(operator) == left


def test_evses_that_return_give_their_share_back() -> None:
    # Nightly maintenance of ten chargers uses the account up by Tuesday.
    operator = Operator()
    operator.published(fleet(1, 100))
    for _ in range(7):
        operator.has(fleet(11, 100))
        operator.delta(after=60)
        assert operator.delta(after=60).exit_code == 0
        assert shown(operator) == 90
        operator.has(fleet(1, 100))
        operator.delta(after=60)
        assert shown(operator) == 100


def test_the_measure_is_the_fleet_before_the_withdrawal() -> None:
    # The allowed share shrinks with each withdrawal, so the same ten percent is refused in the afternoon.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(11, 100))
    operator.delta(after=10)
    operator.delta(after=9 * DAY)
    assert shown(operator) == 90
    assert list(operator.state.largest.values()) == [100]


def test_a_missing_evse_tells_when_it_was_last_seen() -> None:
    # "Since when is it gone?" is answered with a read that could not know.
    operator = Operator()
    operator.published(fleet(1, 10))
    last_seen = operator.clock.now()
    operator.source.complete = False
    operator.has(fleet(1, 9))
    operator.delta(after=10)
    operator.source.complete = True
    operator.delta(after=10)
    assert operator.row("E10").last_seen == last_seen


def test_the_account_survives_restarts() -> None:
    # A crash loop withdraws ten percent at every start.
    operator = Operator()
    left = 100
    operator.published(fleet(1, left))
    for _ in range(5):
        left -= 9
        operator.start()
        operator.has(fleet(1, left))
        operator.delta(after=10)
        operator.delta(after=60)
    assert shown(operator) == 91


def test_three_nights_beside_a_thousand_evses_of_which_we_know_three_hundred() -> None:
    # The first night deletes 700 EVSEs that another system pushed for the same operator.
    operator = Operator(Choices(baseline=""))
    operator.preload(dict.fromkeys(names(1, 1000), "Available"))
    operator.has(fleet(1, 300))
    for _ in range(3):
        operator.delta(after=10)
        assert operator.full(after=DAY).full_load == "refused"
        operator.reconcile(after=300)
        assert len(operator.holds()) == 1000
    assert operator.full(after=10, adopt=299).full_load == "refused"
    assert len(operator.holds()) == 1000
    adopted = operator.full(after=10, adopt=300)
    assert (adopted.full_load, adopted.exit_code) == ("applied", 0)
    assert operator.holds() == dict.fromkeys(names(1, 300), "Available")
    assert operator.state.baseline == "adopted"


def test_a_fleet_that_goes_silent_is_believed_after_fifteen_minutes() -> None:
    # A restarted heartbeat service greys out the network; or a real outage is hidden.
    operator = Operator()
    values = fleet(1, 20)
    operator.has(values, last_seen=operator.clock.now())
    operator.delta()
    operator.passes(2701)
    assert operator.delta().exit_code == 3
    assert operator.delta(after=890).exit_code == 3
    assert set(operator.holds().values()) == {"Available"}
    assert operator.delta(after=10).exit_code == 0
    assert set(operator.holds().values()) == {"Unknown"}


def test_a_fleet_that_comes_back_in_time_never_turned() -> None:
    # The quarter of an hour runs on from the last hiccup.
    operator = Operator()
    operator.has(fleet(1, 20), last_seen=operator.clock.now())
    operator.delta()
    operator.delta(after=2701)
    operator.has(fleet(1, 20), last_seen=operator.clock.now())
    assert operator.delta(after=60).exit_code == 0
    operator.passes(2641 + 1)
    operator.delta()
    assert operator.delta(after=899).exit_code == 3
    assert set(operator.holds().values()) == {"Available"}


def test_a_read_slower_than_missing_after_is_still_one_read() -> None:
    # A backend that answers after a minute lets chargers go on its first short answer.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.has(fleet(1, 9))
    read = operator.source.read

    def slow(now: float) -> SourceRead:
        operator.passes(90)
        return read(now)

    operator.source.read = slow  # type: ignore[method-assign]
    operator.delta(after=10)
    assert operator.holds()["E10"] == "Available"
    operator.delta(after=0)
    assert operator.holds()["E10"] == "EvseNotFound"


def test_a_full_load_slower_than_missing_after_does_not_make_two_reads_of_one() -> None:
    # The nightly full load withdraws what the read before it missed for the first time.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.has(fleet(1, 9))
    push = operator.hub.push

    def slow(request: Any) -> Any:
        operator.passes(90)
        return push(request)

    operator.hub.push = slow  # type: ignore[method-assign]
    assert operator.full(after=10).full_load == "applied"
    assert operator.holds()["E10"] == "Available"


def test_the_guard_s_share_is_taken_when_a_withdrawal_is_sent_and_returned_if_it_did_not_happen() -> None:
    # Refused or unreachable withdrawals use up the week; or a lost answer withdraws for free.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(1, 99))
    operator.delta(after=10)
    operator.hub.script = [IN_DOUBT]
    operator.delta(after=60)
    assert operator.row("E100").withdrawn_at == operator.clock.now()
    operator.has(fleet(1, 100))
    operator.delta(after=60)
    assert (operator.row("E100").withdrawn_at, operator.row("E100").status) == (None, EvseStatus.AVAILABLE)


def test_an_allowance_is_used_up_over_the_steps_of_one_resync() -> None:
    # `--allow-withdrawal 10` lets ten go at every step while the resync waits for a record in doubt.
    operator = Operator()
    operator.published(fleet(1, 60))
    operator.has(fleet(11, 60))
    operator.delta(after=10)
    operator.has({**fleet(11, 60), "E60": "CHARGING"})
    operator.hub.script = [APPLIED_LATE]
    operator.delta(after=50)
    resync = Resync(operator.sync, Allowance(withdrawals=10), now=operator.clock.now(), asked="test")
    operator.passes(10)
    assert resync.step(operator.clock.now()) is None
    assert "in doubt" in resync.progress
    assert shown(operator) == 50
    operator.has(fleet(21, 60))
    operator.passes(10)
    resync.step(operator.clock.now())
    operator.passes(60)
    end = resync.step(operator.clock.now())
    assert end is not None
    assert (end.state, end.exit_code) == (CommandState.REFUSED, 3)
    assert "--allow-withdrawal 10" in end.text
    assert shown(operator) == 50


@pytest.mark.parametrize("job", ["delta", "reconcile", "full"])
def test_a_failed_read_plans_nothing_whatever_the_job(job: str) -> None:
    # An unreadable file is taken for an empty fleet.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.source.failure = SourceError("no such file")
    report = {"delta": operator.delta, "reconcile": operator.reconcile, "full": operator.full}[job](after=600)
    assert (report.exit_code, operator.sent(), len(operator.holds())) == (5, [], 10)


def test_what_a_person_allowed_is_good_for_at_most_that_many_in_the_whole_run() -> None:
    # A resync takes four EVSEs as its probe and four more with its full load, because each looked like few enough.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.hub.script = [STOPPED]
    operator.has({**fleet(1, 4, "REMOVED"), **fleet(5, 20, "CHARGING")})
    operator.delta(after=10)
    operator.hub.no_data = {wire(name) for name in names(5, 8)}
    report = operator.full(after=10, allow=4, force=True)
    assert [refusal.guard.value for refusal in report.refusals] == ["withdrawal"]
    assert shown(operator) == 16


@pytest.mark.parametrize("answer", [APPLIED_LATE, IN_DOUBT])
def test_what_has_left_the_map_does_not_leave_it_again_after_a_lost_full_load(answer: Any) -> None:
    # One night without an answer, and every full load waits for a person to allow last week's removals again.
    operator = Operator()
    operator.published(fleet(1, 40))
    operator.has({**fleet(1, 20), **fleet(31, 40, "REMOVED")})
    operator.delta(after=10)
    assert operator.full(after=60, allow=20).exit_code == 0
    assert operator.full(after=DAY).exit_code == 0
    operator.hub.script = [answer]
    operator.full(after=DAY)
    for job in (operator.delta, operator.reconcile, operator.full):
        assert job(after=601).exit_code == 0
        assert shown(operator) == 20
    operator.has({**fleet(1, 18), **fleet(31, 40, "REMOVED")})
    operator.delta(after=6 * DAY)
    assert (operator.delta(after=60).exit_code, shown(operator)) == (0, 18)


@pytest.mark.parametrize("late", [40, 400])
def test_what_returns_after_a_lost_full_load_outlives_its_late_arrival(late: float) -> None:
    # It is inserted at once, the full load arrives after it, and the charger is off the map until the next night.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.has(fleet(1, 18))
    operator.delta(after=10)
    operator.full(after=60)
    operator.hub.script = [IN_DOUBT]
    operator.full(after=DAY)
    operator.has(fleet(1, 20))
    (lost,) = operator.hub.requests[-1:]
    for step in range(10, 700, 10):
        if step == late:
            operator.hub.push(lost)
        operator.reconcile(after=10)
    assert shown(operator) == 20


def test_removed_chargers_stay_off_the_map_while_the_source_is_unreadable() -> None:
    # They come back as Unknown, and are too many to be removed again without a person.
    operator = Operator(Choices(unknown_after=300))
    operator.published({**fleet(1, 20), **fleet(21, 25, "REMOVED")})
    operator.source.failure = SourceError("down")
    operator.delta(after=10)
    operator.delta(after=300)
    assert operator.holds() == fleet(1, 20, "Unknown")
    operator.source.failure = None
    assert (operator.delta(after=10).exit_code, shown(operator)) == (0, 20)


def test_a_refused_withdrawal_is_not_made_because_the_last_answer_was_lost() -> None:
    # The guard says that 10 EVSEs are withheld, and all of them go: they were gone once before.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.has({**fleet(1, 20), **fleet(11, 20, "REMOVED")})
    assert operator.full(after=10, allow=10).exit_code == 0
    operator.hub.script = [APPLIED_LATE]
    operator.has(fleet(1, 20))
    operator.delta(after=10)
    operator.has({**fleet(1, 20), **fleet(11, 20, "REMOVED")})
    report = operator.delta(after=61)
    assert ([refusal.guard.value for refusal in report.refusals], shown(operator)) == (["withdrawal"], 20)
    operator.has(fleet(1, 20))
    assert (operator.delta(after=10).exit_code, operator.holds()) == (0, fleet(1, 20, "Available"))


# --- a ledger that was lost -------------------------------------------------------------------------------


def nights(operator: Operator) -> list[str]:
    return [operator.full(after=DAY).full_load for _ in range(3)]


@pytest.mark.parametrize("left", [0, 1, 19, 40])
def test_a_lost_ledger_needs_a_person_though_the_first_full_load_is_automatic(left: int) -> None:
    # The ledger is deleted while the export is header-only: `full load applied: 0 records`, and the map is empty.
    operator = Operator(Choices(first_full_load="automatic"))
    operator.published(fleet(1, 40))
    operator.loses_its_ledger(mark=operator.ledger.mark)
    operator.has(fleet(1, left))
    assert nights(operator) == ["refused"] * 3
    assert shown(operator) == 40
    assert operator.lines.alarms.count("ledger.lost") == 1
    assert "baseline.unknown" in operator.lines.alarms, "nobody is told that it waits for a person"
    report = operator.full(after=10)
    assert [refusal.guard.value for refusal in report.refusals] == ["baseline"]
    assert ("--adopt" in report.refusals[0].hint) is (left >= 20)
    if left:
        assert operator.full(after=10, adopt=left).full_load == "applied"
        assert shown(operator) == left
        assert operator.full(after=DAY).full_load == "applied"


def test_what_a_lost_ledger_says_outlives_restarts_and_crashes_before_the_first_push() -> None:
    # The second start finds rows and a push of its own, takes them for the old ones, and the full load is automatic.
    operator = Operator(Choices(first_full_load="automatic"))
    operator.published(fleet(1, 40))
    operator.loses_its_ledger(mark=operator.ledger.mark)
    operator.source.failure = SourceError("down")
    operator.delta()
    operator.source.failure = None
    operator.has(fleet(1, 30))
    for _ in range(3):
        operator.start()
        assert operator.full(after=DAY).full_load == "refused"
    assert shown(operator) == 40


def test_a_mark_of_an_older_version_does_not_tell_how_large_the_fleet_was_and_a_person_is_asked() -> None:
    # The adapter is upgraded and its ledger lost on the same day; what is left of the export looks like the fleet.
    operator = Operator(Choices(first_full_load="automatic"))
    operator.loses_its_ledger(mark=MemoryMark(Noted(push=500)))
    operator.has(fleet(1, 3))
    assert nights(operator) == ["refused"] * 3
    report = operator.full(after=10)
    assert "--adopt" not in report.refusals[0].hint
    assert "Adopting the baseline" in report.refusals[0].hint


def test_an_upgrade_with_a_known_baseline_notes_the_measure_and_the_nights_go_on() -> None:
    # After an upgrade every operator waits for a person, because the mark is of the version before.
    operator = Operator(Choices(first_full_load="automatic"))
    operator.published(fleet(1, 40))
    push = operator.ledger.mark.read().push
    operator.ledger.mark = mark = MemoryMark(Noted(push=push))
    operator.ledger.save((), replace(operator.state, peak={}))
    operator.start()
    assert operator.full(after=DAY).full_load == "applied"
    assert list((mark.read().peak or {}).values()) == [40]


def test_without_a_mark_it_is_a_first_run_and_automatic_means_automatic() -> None:
    # The volume is new, the ledger too: nobody ever gets out of an unknown baseline without a person.
    operator = Operator(Choices(baseline="", first_full_load="automatic"))
    operator.preload(fleet(1, 40, "Available"))
    operator.has({})
    assert nights(operator) == ["refused"] * 3
    operator.has(fleet(1, 30))
    assert operator.full(after=DAY).full_load == "applied"
    assert shown(operator) == 30


def test_a_distrusted_ledger_is_measured_by_what_was_published() -> None:
    # `ledger distrust`, and the next automatic full load is of what is left of the export.
    operator = Operator(Choices(first_full_load="automatic"))
    operator.published(fleet(1, 40))
    operator.sync.distrust("test")
    operator.delta(after=61)
    operator.ledger.save(
        [replace(row, first_missing=1.0) for row in operator.ledger.load().rows.values()], operator.state
    )
    operator.has(fleet(1, 19))
    assert operator.full(after=61).full_load == "refused"
    assert shown(operator) == 40


@pytest.mark.parametrize("first_full_load", ["manual", "automatic"])
def test_what_an_old_copy_has_never_heard_of_is_not_deleted_without_a_person(first_full_load: str) -> None:
    # A copy from before forty EVSEs is put back while the export lacks them: the next automatic full load deletes them.
    operator = Operator(Choices(first_full_load=first_full_load))
    operator.published(fleet(1, 30))
    operator.preload(fleet(31, 70, "Available"))
    operator.sync.distrust("an old copy")
    operator.has(fleet(1, 50))
    operator.delta(after=61)
    assert nights(operator) == ["refused"] * 3
    assert shown(operator) == 70
    assert "baseline.unknown" in operator.lines.alarms, "nobody is told that it waits for a person"
    report = operator.full(after=10)
    assert "first_full_load" not in report.refusals[0].hint, "it would change nothing"
    assert operator.full(after=10, adopt=50).full_load == "applied"
    assert operator.full(after=DAY).full_load == "applied"


@pytest.mark.parametrize(("removed", "stays"), [(10, 90), (50, 100)])
def test_a_lost_ledger_lets_no_more_be_called_gone_than_the_one_before(removed: int, stays: int) -> None:
    # The ledger is lost while the export calls half of the fleet REMOVED: nothing of it counts as published, and half
    # of the map is empty, exit 0.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.loses_its_ledger(mark=operator.ledger.mark)
    operator.has({**fleet(1, removed, "REMOVED"), **fleet(removed + 1, 100)})
    for _ in range(3):
        operator.reconcile(after=1000)
    assert shown(operator) == stays
    assert operator.full(after=10, adopt=100 - removed).full_load == "applied"
    assert shown(operator) == 100 - removed


@pytest.mark.parametrize("baseline", ["", "adopted"])
@pytest.mark.parametrize("lost", [False, True])
def test_evses_that_hubject_never_took_do_not_make_the_fleet_larger(baseline: str, lost: bool) -> None:
    # A hundred EVSEs without EVSE data beside twenty live ones: twelve of the twenty are "12 of 120", and leave.
    operator = Operator(Choices(baseline=baseline))
    operator.hub.no_data = {wire(f"EX{number}") for number in range(100)}
    never = dict.fromkeys((f"EX{number}" for number in range(100)), "AVAILABLE")
    operator.has({**fleet(1, 20), **never})
    operator.hub.script = [IN_DOUBT] * lost
    for _ in range(3):
        operator.reconcile(after=1000)
    assert shown(operator) == 20
    operator.has({**fleet(1, 8), **never})
    for _ in range(3):
        report = operator.delta(after=1000)
    assert ([refusal.guard.value for refusal in report.refusals], shown(operator)) == (["withdrawal"], 20)
    assert "12 of 20" in report.refusals[0].text


def test_an_evse_that_was_only_sent_does_not_stand_for_the_one_that_leaves() -> None:
    # The only charger gets another id, which has no EVSE data; the first answer about it is lost, and the old one
    # leaves because one would remain.
    operator = Operator()
    operator.published({"E1": "AVAILABLE"})
    operator.hub.no_data = {wire("E2")}
    operator.has({"E2": "AVAILABLE"})
    operator.hub.script = [IN_DOUBT]
    for _ in range(4):
        report = operator.delta(after=61)
    assert ([refusal.guard.value for refusal in report.refusals], operator.holds()) == (
        ["withdrawal"],
        {"E1": "Available"},
    )


def test_new_evses_in_the_export_do_not_raise_the_limit_before_hubject_has_taken_them() -> None:
    # An export swaps seven chargers for sixty that nobody has registered: "7 of 120" leave, which would be 7 of 60.
    operator = Operator()
    operator.ledger.save((), replace(operator.state, baseline=""))
    operator.published(fleet(1, 60))
    operator.hub.no_data = {wire(f"EX{number}") for number in range(60)}
    operator.has(fleet(8, 60))
    operator.delta(after=10)
    operator.has({**fleet(8, 60), **dict.fromkeys((f"EX{number}" for number in range(60)), "AVAILABLE")})
    for _ in range(3):
        operator.delta(after=1000)
    assert shown(operator) == 60


def test_after_a_lost_ledger_that_has_taken_nothing_yet_nothing_leaves() -> None:
    # A new ledger that has only seen an unreadable export: what goes missing then was never acknowledged, and is "5 of
    # 25", though the other twenty may never have been at Hubject.
    operator = Operator()
    operator.published(fleet(1, 5))
    operator.loses_its_ledger(mark=operator.ledger.mark)
    operator.has(fleet(1, 25, "FREE"))
    operator.delta(after=10)
    operator.has(fleet(6, 25, "FREE"))
    for _ in range(3):
        operator.delta(after=1000)
    assert shown(operator) == 5
    operator.has(fleet(1, 5))
    assert operator.delta(after=1000).exit_code == 0


def test_a_fleet_that_was_only_sent_is_not_the_measure_of_the_nights() -> None:
    # The first request gets no answer, most of it turns out to have no EVSE data, and for 90 days each night is
    # refused as "fewer than half of the 120 that were published", which they never were.
    operator = Operator(Choices(first_full_load="automatic", baseline=""))
    operator.hub.no_data = {wire(f"EX{number}") for number in range(100)}
    operator.has({**fleet(1, 20), **dict.fromkeys((f"EX{number}" for number in range(100)), "AVAILABLE")})
    operator.hub.script = [IN_DOUBT]
    for _ in range(3):
        operator.reconcile(after=1000)
    assert operator.full(after=DAY).full_load == "applied"
    assert shown(operator) == 20


def test_a_first_run_of_which_most_is_outside_the_prefixes_publishes_nothing() -> None:
    # A typo in evse_id_prefixes: four chargers are published, and the full load deletes the other six.
    operator = Operator(Choices(baseline="", first_full_load="automatic", prefixes=(wire("E1"),)))
    operator.preload(fleet(1, 9, "Available"))
    operator.has(fleet(1, 9))
    report = operator.full()
    assert ([refusal.guard.value for refusal in report.refusals], report.full_load) == (
        ["first_run"],
        "refused",
    )
    assert (operator.sent(), shown(operator)) == ([], 9)


NAMELESS = [SourceRecord(status="AVAILABLE", origin=f"line {number}") for number in range(10)]


def with_nameless(operator: Operator, evses: dict[str, str], count: int) -> None:
    """The export has these EVSEs, and so many records that have lost their ids."""
    operator.has(evses)
    operator.source.records += NAMELESS[:count]


def test_evses_whose_records_lost_their_ids_stay_on_the_map() -> None:
    # A join fails in the backend, and chargers that are in the export leave the drivers' maps, three and three.
    operator = Operator()
    operator.published(fleet(1, 40))
    with_nameless(operator, fleet(1, 37), 3)
    operator.delta(after=10)
    report = operator.delta(after=60)
    assert ([refusal.guard.value for refusal in report.refusals], report.withheld) == (
        ["unusable_records"],
        3,
    )
    assert operator.full(after=DAY).full_load == "applied"
    assert shown(operator) == 40
    operator.start()
    with_nameless(operator, {**fleet(1, 36), "E38": "CHARGING"}, 3)  # one is repaired, another loses its id
    operator.delta(after=DAY)
    assert operator.delta(after=60).withheld == 3
    assert (operator.holds()["E38"], shown(operator)) == ("Occupied", 40)
    operator.has(fleet(1, 40))
    assert (operator.delta(after=10).exit_code, shown(operator)) == (0, 40)


def test_what_is_really_gone_beside_them_leaves_with_a_persons_leave_and_the_rest_is_nobodys() -> None:
    # A test row without an id, added on the day of a removal, holds back every removal ever after.
    operator = Operator()
    operator.published(fleet(1, 40))
    with_nameless(operator, fleet(1, 38), 1)
    operator.delta(after=10)
    report = operator.delta(after=60)
    assert report.refusals[0].hint.endswith("oicp-adapter resync test --allow-withdrawal 2")
    assert operator.full(after=10, allow=1, force=True).exit_code == 3
    assert operator.full(after=10, allow=2, force=True).exit_code == 0
    assert (operator.delta(after=10).exit_code, shown(operator)) == (0, 38)
    with_nameless(operator, fleet(1, 37), 1)
    operator.delta(after=DAY)
    assert (operator.delta(after=60).exit_code, shown(operator)) == (0, 37)


def test_records_that_never_had_an_id_hold_back_nobody() -> None:
    # OCPI does not ask for an evse_id; a fleet with a depot would never lose an EVSE again.
    operator = Operator()
    operator.published(fleet(1, 40))
    with_nameless(operator, fleet(1, 40), 5)
    operator.delta(after=10)
    with_nameless(operator, fleet(1, 38), 4)
    operator.delta(after=10)
    assert (operator.delta(after=60).exit_code, shown(operator)) == (0, 38)


def test_an_evse_that_falls_outside_the_prefixes_leaves_only_with_a_persons_leave() -> None:
    # A line is dropped from evse_id_prefixes, and the chargers of a sub-operator leave the drivers' maps.
    operator = Operator()
    operator.published(fleet(1, 3))
    operator.choices = replace(operator.choices, prefixes=(wire("E2"), wire("E3")))
    operator.start()
    for _ in range(2):
        report = operator.delta(after=61)
    assert ([refusal.guard.value for refusal in report.refusals], report.withheld) == (
        ["unusable_records"],
        1,
    )
    assert operator.full(after=DAY).full_load == "applied"
    assert operator.holds() == fleet(1, 3, "Available")
    assert operator.full(after=10, allow=1, force=True).exit_code == 0
    assert (operator.delta(after=10).exit_code, shown(operator)) == (0, 2)


# --- the mass guard: what nobody can read, and who falls silent -------------------------------------------

HOUR = 3600.0


def counted(operator: Operator) -> dict[str, int]:
    """Status → how many EVSEs Hubject shows with it."""
    return dict(Counter(operator.holds().values()))


@pytest.mark.parametrize("broken", [[40, 65, 80, 90, 100], range(10, 101, 10)])
def test_an_unknown_word_that_comes_in_row_by_row_is_a_mass_too(broken: Iterable[int]) -> None:
    # A table is migrated row by row, and each cycle finds few enough: in the end the whole map is Unknown.
    operator = Operator()
    operator.published(fleet(1, 100))
    exits = []
    for count in broken:
        operator.start()  # the account survives restarts
        operator.has({**fleet(1, 100), **fleet(1, count, "KAPUTT")})
        exits.append(operator.delta(after=10).exit_code)
    assert counted(operator)["Unknown"] == max(count for count in broken if count <= 50)
    assert exits == [3 if count > 50 else 0 for count in broken]
    refused = operator.lines.of("guard.refused")
    assert "--allow-unknown" in refused[-1]["fix"]
    assert len(refused) <= 3, "told when it begins and when it has doubled"


def test_what_returns_gives_its_share_back() -> None:
    # Two repaired mistakes of one day, and the third charger that dies waits for a person.
    operator = Operator()
    operator.published(fleet(1, 100))
    for _ in range(3):
        operator.has({**fleet(1, 100), **fleet(1, 40, "KAPUTT")})
        assert operator.delta(after=10).exit_code == 0
        operator.has(
            {**fleet(1, 100), **fleet(1, 20, "UNKNOWN")}
        )  # what Hubject holds already, now by its word
        assert operator.delta(after=10).exit_code == 0
        assert all(row.turned_at is None for row in operator.ledger.load().rows.values())
        operator.has(fleet(1, 100))
        operator.delta(after=10)
        assert counted(operator) == {"Available": 100}


def test_heartbeats_five_hours_off_turn_no_fleet_out_of_service() -> None:
    # A database moves to another time zone: 200 of 200 chargers OutOfService in one cycle, exit 0.
    operator = Operator(Choices(offline_out_of_service_after=4 * HOUR))
    operator.has(fleet(1, 200), last_seen=operator.clock.now())
    operator.delta()
    operator.passes(10)
    operator.has(fleet(1, 200), last_seen=operator.clock.now() - 5 * HOUR)
    report = operator.delta()
    assert (report.exit_code, report.withheld, counted(operator)) == (3, 200, {"Available": 200})
    assert "200 EVSEs would turn to OutOfService, 200 by missing signs of life" in report.refusals[0].text
    operator.has(fleet(1, 200), last_seen=operator.clock.now())
    assert operator.delta(after=10).exit_code == 0
    operator.has(fleet(1, 200), last_seen=operator.clock.now() - 5 * HOUR)
    operator.delta(after=10)
    operator.start()  # the quarter of an hour runs on
    operator.delta(after=899)
    assert counted(operator) == {"Available": 200}
    assert (operator.delta(after=1).exit_code, counted(operator)) == (0, {"OutOfService": 200})
    assert all(row.turned_at is None for row in operator.ledger.load().rows.values()), "it passed by time"


def test_silence_that_was_believed_as_unknown_needs_no_second_belief() -> None:
    # Every outage of a region calls the engineer twice.
    operator = Operator(Choices(offline_out_of_service_after=4 * HOUR))
    operator.has(fleet(1, 20), last_seen=operator.clock.now())
    operator.delta()
    operator.delta(after=2701)
    operator.delta(after=900)
    assert counted(operator) == {"Unknown": 20}
    assert operator.delta(after=4 * HOUR).exit_code == 0
    assert counted(operator) == {"OutOfService": 20}


def test_statuses_go_on_changing_behind_an_unreadable_heartbeat() -> None:
    # The freeze: chargers that turned Faulted or were taken behind it stay Available at Hubject.
    operator = Operator()
    operator.has({**fleet(1, 19), "E20": "CHARGING"}, last_seen=operator.clock.now())
    operator.delta()
    operator.passes(10)
    old = operator.clock.now() - 5 * HOUR
    operator.has({**fleet(1, 19), "E20": "CHARGING"}, last_seen=old)
    assert operator.delta().exit_code == 3
    operator.forget()
    operator.has(
        {**fleet(1, 16), "E17": "OUTOFORDER", "E18": "CHARGING", "E19": "REMOVED", "E20": "AVAILABLE"},
        last_seen=old,
    )
    operator.delta(after=10)
    assert operator.holds() == {
        **fleet(1, 16, "Available"),
        "E17": "OutOfService",
        "E18": "Occupied",
        "E19": "EvseNotFound",
        "E20": "Occupied",  # nobody vouches for its being free
    }
    assert operator.delta(after=10).requests == 0
    assert operator.reconcile(after=100).found == {}, "what flows is nothing that somebody forgot"
    full = operator.full(after=10)
    assert (full.full_load, full.exit_code) == ("applied", 3)
    assert operator.hub.requests[-1].action.value == "fullLoad"
    assert counted(operator) == {"Available": 16, "OutOfService": 1, "Occupied": 2}
    operator.has({**fleet(1, 18), "E19": "REMOVED", "E20": "CHARGING"}, last_seen=old)
    operator.delta(after=10)
    assert counted(operator) == {"Available": 16, "OutOfService": 1, "Occupied": 2}


def test_the_connectors_that_can_be_read_speak_for_an_evse_whose_other_one_cannot() -> None:
    # A new connector type has a word of its own, and a broken charger stays Available for half a day.
    def connectors(first: str, second: str) -> list[SourceRecord]:
        return [
            SourceRecord(evse_id=wire(name), connector_id=number, status=status)
            for name in names(1, 20)
            for number, status in (("1", first), ("2", second))
        ]

    operator = Operator(Choices(vocabulary="ocpp1.6"))
    operator.source.records = connectors("Available", "Available")
    operator.delta()
    operator.source.records = connectors("Faulted", "Kaputt")
    assert operator.delta(after=10).exit_code == 3
    assert counted(operator) == {"OutOfService": 20}
    operator.source.records = connectors("Kaputt", "Kaputt")
    assert operator.delta(after=10).exit_code == 3
    assert counted(operator) == {"OutOfService": 20}, "nothing can be read: it stays as it is"


def test_what_nobody_can_read_is_unknown_after_half_a_day_with_an_error_of_its_own() -> None:
    # A map is frozen for weeks, because the refusal was one ERROR among others.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.has(fleet(1, 20, "KAPUTT"))
    operator.delta()
    operator.delta(after=11 * HOUR)
    operator.start()
    assert operator.delta(after=HOUR - 1).exit_code == 3
    assert (counted(operator), len(operator.lines.of("guard.unmapped_believed"))) == ({"Available": 20}, 0)
    operator.hub.script = [STOPPED]
    operator.delta(after=1)
    assert operator.delta(after=3601).exit_code == 0
    assert (counted(operator), len(operator.lines.of("guard.unmapped_believed"))) == ({"Unknown": 20}, 1)
    assert all(row.turned_at is None for row in operator.ledger.load().rows.values()), "it passed by time"
    operator.has(fleet(1, 20))
    operator.delta(after=10)
    assert counted(operator) == {"Available": 20}


def test_unmapped_values_never_pass_where_the_operator_says_never() -> None:
    # "never" is read as "at once".
    operator = Operator(Choices(unmapped_believed_after=None))
    operator.published(fleet(1, 20))
    operator.has(fleet(1, 20, "KAPUTT"))
    operator.delta()
    assert operator.delta(after=90 * DAY).exit_code == 3
    assert counted(operator) == {"Available": 20}


def test_silence_on_top_of_what_nobody_could_read_is_not_believed_at_once() -> None:
    # One hiccup of the heartbeats, hours into a freeze, turns the fleet that was frozen for half a day.
    operator = Operator()
    operator.has(fleet(1, 20), last_seen=operator.clock.now())
    operator.delta()
    for _ in range(3):
        operator.passes(HOUR)
        operator.has(fleet(1, 20, "KAPUTT"), last_seen=operator.clock.now())
        assert operator.delta().exit_code == 3
    operator.has(fleet(1, 20, "KAPUTT"), last_seen=operator.clock.now() - HOUR)
    operator.delta(after=10)
    assert counted(operator) == {"Available": 20}


def test_a_person_s_leave_holds_for_one_run_and_at_most_that_many() -> None:
    # The printed command does nothing, or opens the guard for good.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has({**fleet(1, 100), **fleet(1, 60, "KAPUTT")})
    report = operator.delta(after=10)
    assert report.refusals[0].hint.endswith("oicp-adapter resync test --allow-unknown 60")
    assert operator.full(after=10, allow_unknown=59, force=True).exit_code == 3
    assert counted(operator) == {"Available": 100}
    assert operator.full(after=10, allow_unknown=60, force=True).exit_code == 0
    assert counted(operator) == {"Available": 40, "Unknown": 60}
    operator.has({**fleet(1, 100), **fleet(1, 90, "KAPUTT")})
    assert operator.delta(after=10).exit_code == 0, "what a person allowed is not counted"
    operator.has({**fleet(1, 100), **fleet(1, 10), **fleet(11, 100, "KAPUTT")})
    operator.delta(after=10)
    operator.has(fleet(1, 100, "KAPUTT"))
    operator.delta(after=10)
    assert counted(operator) == {"Unknown": 100}


def test_a_leave_is_used_up_over_the_steps_of_one_resync_and_survives_a_lost_answer() -> None:
    # `--allow-unknown 20` lets twenty turn at every step; or a lost answer takes back what a person allowed.
    operator = Operator(Choices(baseline=""))
    operator.published(fleet(1, 60))
    operator.has({**fleet(1, 60), **fleet(1, 40, "KAPUTT")})
    operator.delta(after=10)
    operator.hub.script = [APPLIED_LATE]
    report = operator.full(after=10, allow_unknown=40, force=True)
    assert (report.let_turn, report.in_doubt) == (40, 40)
    assert operator.delta(after=61).exit_code == 0
    assert counted(operator) == {"Available": 20, "Unknown": 40}
    assert all(row.turned_at is None for row in operator.ledger.load().rows.values())
    resync = Resync(operator.sync, Allowance(unknowns=10), now=operator.clock.now(), asked="test")
    operator.has({**fleet(1, 40), **fleet(41, 50, "KAPUTT"), **fleet(51, 60)})
    ended = resync.step(operator.clock.now())
    assert ended is not None
    assert ended.exit_code == 0


def test_an_unanswered_step_stays_in_the_account_and_is_sent_again() -> None:
    # A lost answer turns half of the fleet for free, and the other half the next minute.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has({**fleet(1, 100), **fleet(1, 50, "KAPUTT")})
    operator.hub.script = [IN_DOUBT]
    operator.delta(after=10)
    operator.start()
    operator.has(fleet(1, 100, "KAPUTT"))
    assert operator.delta(after=61).withheld == 50
    report = operator.delta(after=61)
    assert (report.exit_code, report.withheld) == (3, 50)
    assert counted(operator) == {"Available": 50, "Unknown": 50}


def test_a_refused_step_has_no_share_in_the_account() -> None:
    # Hubject does not answer for an hour, and the retries use the day's account up.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has({**fleet(1, 100), **fleet(1, 50, "KAPUTT")})
    operator.hub.script = [STOPPED]
    operator.delta(after=10)
    assert all(row.turned_at is None for row in operator.ledger.load().rows.values())


def test_what_unknown_after_publishes_is_not_counted_even_behind_a_freeze() -> None:
    # The export dies while the guard stands, and the map stays frozen after all.
    operator = Operator(Choices(unknown_after=DAY, unmapped_believed_after=None))
    operator.published(fleet(1, 20))
    operator.has(fleet(1, 20, "KAPUTT"))
    assert operator.delta().exit_code == 3
    operator.source.failure = SourceError("down")
    operator.delta(after=10)
    operator.delta(after=DAY)
    assert counted(operator) == {"Unknown": 20}
    assert all(row.turned_at is None for row in operator.ledger.load().rows.values())


def test_after_a_clock_step_silence_is_new() -> None:
    # The clock leaps by a quarter of an hour, and the fleet that was silent for a minute is believed dead.
    operator = Operator()
    operator.has(fleet(1, 20), last_seen=operator.clock.now())
    operator.delta()
    operator.delta(after=2701)
    operator.clock.wall += 1000
    assert (operator.delta(after=1).exit_code, counted(operator)) == (3, {"Available": 20})


def test_status_tells_since_when_the_map_is_frozen_and_what_nobody_vouches_for() -> None:
    # Nobody knows for how long drivers have been shown what cannot be confirmed.
    operator = Operator()
    operator.published({**fleet(1, 19), "E20": "CHARGING"})
    operator.has(fleet(1, 20, "KAPUTT"))
    frozen_at = operator.clock.now()
    operator.delta()
    operator.delta(after=2 * HOUR)
    found = operator_facts(
        operator.ledger.load(),
        [],
        rejected=0,
        holder=None,
        days_left=None,
        automatic_baseline=False,
        mode="push",
        paused=None,
        audit=[],
        policy=PlanPolicy(),
        unknown_after=None,
        last_push=None,
        push_takes=50.0,
        now=operator.clock.now(),
    ).frozen
    assert found is not None
    assert (found.since, found.available) == (time_text(frozen_at), 19)


def test_a_full_load_takes_no_step_that_is_withheld_because_its_withdrawal_is_refused_as_well() -> None:
    # Two guards withhold one EVSE, the full load asks one of them, and 20 EVSEs are Unknown in the morning.
    def connectors(*statuses: str) -> list[SourceRecord]:
        return [
            SourceRecord(evse_id=wire(name), connector_id=str(number), status=status)
            for name in names(1, 20)
            for number, status in enumerate(statuses, 1)
        ]

    operator = Operator()
    operator.source.records = connectors("AVAILABLE", "AVAILABLE")
    operator.delta()
    operator.source.records = connectors("REMOVED", "KAPUTT")
    report = operator.full(after=10)
    assert {refusal.guard.value for refusal in report.refusals} == {"mass_unknown", "withdrawal"}
    assert (report.full_load, counted(operator)) == ("refused", {"Available": 20})


# --- two reads of one snapshot ----------------------------------------------------------------------------


def test_one_writing_read_twice_is_one_read_and_a_newer_one_the_second() -> None:
    # An export that lost a charger for one run lets it go, because the same file is read every ten seconds.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.has(fleet(1, 9))
    operator.source.writing = "Monday"
    operator.delta(after=10)
    for _ in range(12):
        operator.delta(after=60)
    assert (operator.sent(), operator.holds()["E10"]) == ([], "Available")
    operator.source.writing = "Tuesday"
    assert operator.delta(after=10).exit_code == 0
    assert operator.holds()["E10"] == "EvseNotFound"


def test_a_newer_writing_that_has_it_again_begins_anew() -> None:
    # It was missing on Monday and on Wednesday: two reads, and between them it was there.
    operator = Operator()
    operator.published(fleet(1, 10))
    for writing, last in (("Monday", 9), ("Tuesday", 10), ("Wednesday", 9)):
        operator.source.writing = writing
        operator.has(fleet(1, last))
        operator.delta(after=100)
        operator.delta(after=100)
    assert operator.holds()["E10"] == "Available"


def test_a_source_that_is_written_only_on_change_is_believed_when_it_has_stood_still() -> None:
    # A charger that is dismantled stays on the map until the next change somewhere else, which may be next week.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.source.writing = "Monday"
    operator.has(fleet(1, 9))
    operator.delta(after=10)
    assert operator.delta(after=890).backlog == 0
    assert operator.holds()["E10"] == "Available"
    report = operator.delta(after=10)
    assert (operator.holds()["E10"], report.lag) == ("EvseNotFound", 0.0)


def test_what_is_known_of_a_writing_outlives_restarts_and_clocks_that_jump() -> None:
    # A crash loop reads one file at every start; or the clock is set, and a minute was a quarter of an hour.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.source.writing = "Monday"
    operator.has(fleet(1, 9))
    for _ in range(10):
        operator.start()
        operator.delta(after=80)
    assert operator.holds()["E10"] == "Available"
    operator.clock.wall += 3600
    operator.delta(after=10)
    operator.delta(after=890)
    assert operator.holds()["E10"] == "Available"
    operator.delta(after=20)
    assert operator.holds()["E10"] == "EvseNotFound"


def test_the_night_does_not_believe_one_writing_either() -> None:
    # The full load leaves out what one export has missed.
    operator = Operator()
    operator.published(fleet(1, 10))
    operator.source.writing = "Monday"
    operator.has(fleet(1, 9))
    operator.delta(after=10)
    assert operator.full(after=100).full_load == "applied"
    assert operator.holds()["E10"] == "Available"
