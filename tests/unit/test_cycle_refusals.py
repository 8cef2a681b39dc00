"""Full loads, what Hubject refuses and what the source calls gone, over many cycles."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oicp_adapter.core.guards import Allowance
from oicp_adapter.core.model import SourceRecord
from oicp_adapter.sync.commands import Retry
from oicp_adapter.sync.facts import _baseline
from oicp_adapter.sync.resync import Ended, Resync
from tests.fakes.answers import TOO_LARGE, refused
from tests.fakes.operator import Choices, Operator, key, wire

DAY = 86_400.0


def names(first: int, last: int) -> list[str]:
    return [f"E{number}" for number in range(first, last + 1)]


def fleet(first: int, last: int, value: str = "AVAILABLE") -> dict[str, str]:
    return dict.fromkeys(names(first, last), value)


def shown(operator: Operator) -> int:
    return sum(1 for status in operator.holds().values() if status != "EvseNotFound")


@pytest.mark.parametrize("adopt", [None, 80])
def test_a_full_load_by_a_person_asks_the_withdrawal_guard(adopt: int | None) -> None:
    # Whoever wants certainty, or confirms a number, does not mean that a fifth of the map may go.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(1, 80))
    operator.delta(after=10)
    report = operator.full(after=61, adopt=adopt, force=True)
    assert (report.full_load, [refusal.guard.value for refusal in report.refusals]) == (
        "refused",
        ["withdrawal"],
    )
    assert shown(operator) == 100


TWINS = ("+49*123*4*56", "+49*123*45*6")
"""Without separators they read alike."""


def test_a_name_that_fits_two_evses_takes_neither_out_of_a_full_load() -> None:
    # The one without EVSE data is named; the other, which is well, is deleted with it.
    operator = Operator(Choices(prefixes=("+49*123",)))
    operator.source.records = [SourceRecord(evse_id=evse_id, status="AVAILABLE") for evse_id in TWINS]
    operator.delta()
    operator.hub.script = [refused("603", "49123456")]
    assert operator.full(after=10).full_load == "rolling"
    assert set(operator.hub.held) == set(TWINS)
    assert not any(row.quarantine for row in operator.ledger.load().rows.values())


def test_the_first_automatic_full_load_is_not_refused_for_what_was_never_published() -> None:
    # A quarter of the fleet has no EVSE data yet, and the baseline waits for it for weeks.
    operator = Operator(Choices(baseline="", first_full_load="automatic"))
    operator.has({**fleet(1, 60), **fleet(61, 80), **fleet(81, 140, "REMOVED")})
    operator.hub.no_data = {wire(name) for name in names(61, 140)}
    operator.delta()
    report = operator.full(after=10)
    assert (report.full_load, report.full_records, report.refusals) == ("applied", 60, [])


def test_after_a_distrusted_ledger_the_printed_command_adopts_beside_what_is_gone_for_ever() -> None:
    # Each REMOVED EVSE counts as one that leaves, and the number that is asked for never fits.
    operator = Operator()
    operator.published({**fleet(1, 100), **fleet(101, 200, "REMOVED")})
    operator.sync.distrust("test")
    assert operator.delta(after=61).exit_code == 0
    assert operator.full(after=10, adopt=100).full_load == "applied"
    assert operator.holds() == fleet(1, 100, "Available")


def test_one_held_evse_refused_without_a_name_costs_one_rolling_push_and_not_one_each_night() -> None:
    # Every night the full load is refused, and the whole fleet is pushed again in bundles, because of one EVSE.
    operator = Operator()
    operator.published(fleet(1, 20))
    operator.has({**fleet(1, 20), "E1": "CHARGING"})
    operator.hub.script = [refused("018")]
    operator.delta(after=10)
    operator.hub.script = [refused("018")]
    assert operator.full(after=10).full_load == "rolling"
    operator.start()
    operator.forget()
    second = operator.full(after=DAY)
    assert (second.full_load, second.full_records) == ("applied", 19)
    assert operator.full(after=DAY).full_load == "applied"
    assert not any(request.action.value == "update" for request in operator.hub.requests), "no rolling push"


def test_the_guards_look_at_what_such_a_full_load_leaves_out() -> None:
    # A fifth of the fleet is quarantined, and one unnamed refusal takes all of them off the map.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has({**fleet(1, 100), **fleet(1, 20, "CHARGING")})
    operator.hub.no_data = {wire(name) for name in names(1, 20)}
    operator.delta(after=10)
    operator.hub.no_data = set()
    operator.hub.script = [refused("018")]
    assert operator.full(after=10).full_load == "rolling"
    report = operator.full(after=10)
    assert (report.full_load, [refusal.guard.value for refusal in report.refusals]) == (
        "refused",
        ["withdrawal"],
    )
    assert shown(operator) == 100


def resync(operator: Operator, *, adopt: int | None) -> Ended:
    ended = Resync(
        operator.sync, Allowance(adopt=adopt), now=operator.clock.monotonic(), asked="resync #1"
    ).step(operator.clock.monotonic())
    assert ended is not None
    return ended


def test_a_fleet_too_large_for_one_full_load_is_told_so_and_pushed_in_bundles_each_night() -> None:
    # "fix: resync --adopt 30" again and again to whoever has just done it; and no night does anything at all.
    operator = Operator(Choices(baseline="", full_limit=1000))
    operator.published(fleet(1, 30))
    told = resync(operator, adopt=30)
    assert told.exit_code == 4
    assert "too large for one full load: 30 records, " in told.text
    assert "hubject.max_body allows 1000" in told.text
    assert "--adopt" not in told.text
    operator.forget()
    night = operator.full(after=DAY)
    assert (night.full_load, night.exit_code) == ("rolling", 0)
    assert sum(len(request.records) for request in operator.hub.requests) == 30
    preview = operator.sync.preview()
    assert preview.baseline is not None
    assert "--adopt" not in preview.baseline.hint + _baseline(operator.state, automatic=False)
    assert "too large for one full load" in _baseline(operator.state, automatic=False)


def test_whether_it_is_too_large_is_asked_of_the_limit_of_now() -> None:
    # max_body is raised as the text wanted, and the dry run goes on: "fix: nothing, max_body allows 1000". Or it is too
    # small from the start, and the dry run advises an --adopt that cannot work.
    operator = Operator(Choices(baseline="", full_limit=1000))
    operator.published(fleet(1, 30))
    before = operator.sync.preview().baseline
    assert before is not None
    assert "hubject.max_body allows 1000" in before.hint
    resync(operator, adopt=30)
    operator.choices = replace(operator.choices, full_limit=None)
    operator.start()
    after = operator.sync.preview().baseline
    assert after is not None
    assert "--adopt 30" in after.hint


def test_what_hubject_called_too_large_is_told_in_the_same_way() -> None:
    # Nobody has set a limit: Hubject has.
    operator = Operator(Choices(baseline=""))
    operator.published(fleet(1, 30))
    operator.hub.script = [TOO_LARGE]
    assert "Hubject refused it (413)" in resync(operator, adopt=30).text
    assert operator.full(after=DAY).full_load == "rolling"


@pytest.mark.parametrize(("count", "code"), [(5, 0), (6, 4)])
def test_when_more_than_five_were_to_go_and_none_got_through_that_is_no_success(
    count: int, code: int
) -> None:
    # All of 273 are refused, cron sees exit 0, and nobody looks for a month.
    operator = Operator()
    operator.has(fleet(1, count))
    operator.hub.no_data = {wire(name) for name in names(1, count)}
    report = operator.delta()
    assert report.exit_code == code
    assert operator.delta(after=10).exit_code == 0, "told when it happened; after that they are quarantined"


def test_one_that_got_through_or_was_not_there_any_more_is_a_success() -> None:
    # A hundred stored chargers that Hubject never had are tried once, and the first run ends in an error.
    operator = Operator(Choices(baseline=""))
    operator.has(fleet(1, 20))
    operator.hub.no_data = {wire(name) for name in names(1, 19)}
    assert operator.delta().exit_code == 0
    operator = Operator(Choices(baseline=""))
    operator.has({**fleet(1, 10), **fleet(11, 20, "REMOVED")})
    operator.delta()
    assert operator.delta(after=10).exit_code == 0


def test_what_was_refused_alike_comes_back_in_growing_bundles_once_one_is_accepted() -> None:
    # The EVSE data of 10,000 chargers arrives, and at a hundred every five minutes they take eight hours.
    operator = Operator(Choices(search_for=1000.0))
    operator.has(fleet(1, 700))
    operator.hub.no_data = {wire(name) for name in names(1, 300)}
    operator.delta()
    operator.hub.no_data = set()
    operator.forget()
    report = operator.reconcile(after=900)
    sizes = [len(request.records) for request in operator.hub.requests]
    assert (sizes, report.quarantined, shown(operator)) == ([1, 2, 4, 8, 16, 32, 64, 128, 45], 0, 700)


def test_after_a_refusal_they_are_tried_alone_again() -> None:
    # One that is still bad takes the whole growing bundle down, again and again.
    operator = Operator(Choices(search_for=1000.0))
    operator.has(fleet(1, 100))
    operator.hub.no_data = {wire(name) for name in names(1, 40)}
    operator.delta()
    operator.hub.no_data = {wire("E13")}
    operator.reconcile(after=900)
    assert [name for name in names(1, 40) if operator.row(name).quarantine] == ["E13"]


def retry(operator: Operator, name: str | None = None) -> Ended:
    ended = Retry(operator.sync, None if name is None else key(name)).step(operator.clock.monotonic())
    assert ended is not None
    return ended


def test_what_a_person_asks_for_goes_first_and_without_a_budget() -> None:
    # "1 tried again", and it never was: fresh changes came first and the time was up.
    operator = Operator(Choices(search_for=0.0))
    operator.has(fleet(1, 20))
    operator.hub.no_data = {wire(name) for name in names(1, 8)}
    operator.delta()
    operator.hub.no_data = set()
    operator.has({**fleet(1, 10), **fleet(11, 20, "CHARGING")})
    operator.forget()
    ended = retry(operator, "E3")
    assert operator.sent()[0] == "insert E3=Available"
    assert (ended.exit_code, ended.text) == (0, "1 of 1 accepted; 7 EVSEs are quarantined now")
    assert retry(operator).text == "7 of 7 accepted; 0 EVSEs are quarantined now"


def test_a_retry_says_what_happened() -> None:
    # "1000 tried again" when 92 were, and exit 0 when none was accepted.
    operator = Operator()
    operator.has(fleet(1, 20))
    operator.hub.no_data = {wire(name) for name in names(1, 8)}
    operator.delta()
    again = retry(operator)
    assert (again.exit_code, again.text) == (
        4,
        "0 of 8 accepted, 8 refused again; 8 EVSEs are quarantined now",
    )
    operator.hub.no_data = {wire("E3")}
    some = retry(operator)
    assert (some.exit_code, some.text) == (
        0,
        "7 of 8 accepted, 1 refused again; 1 EVSEs are quarantined now",
    )


def test_refusals_that_name_every_record_are_a_refusal_of_the_operator() -> None:
    # The operator's EVSE data is not there yet: 273 entries in the quarantine, and each comes back by itself.
    operator = Operator()
    operator.has(fleet(1, 273))
    operator.hub.no_data = {wire(name) for name in names(1, 273)}
    report = operator.delta()
    assert (report.exit_code, report.quarantined, operator.state.trouble is not None) == (4, 0, True)
    operator.hub.no_data = set()
    operator.forget()
    assert operator.delta(after=120).exit_code == 0
    assert (shown(operator), len(operator.hub.requests) <= 3) == (273, True)


def test_a_few_new_ones_without_data_do_not_accuse_the_operator() -> None:
    # Twelve new chargers are named, and the whole operator is given a rest of an hour.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(1, 112))
    operator.hub.no_data = {wire(name) for name in names(101, 112)}
    report = operator.delta(after=10)
    assert (report.quarantined, operator.state.trouble) == (12, None)
