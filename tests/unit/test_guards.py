"""What no plan may do by accident, at the edges of its arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from oicp_adapter.core.guards import (
    Allowance,
    Guard,
    GuardPolicy,
    Refusal,
    all_called_gone,
    baseline_guard,
    emptiness_guard,
    first_run_guard,
    forgettable,
    grown,
    published,
    remaining,
    untried,
    withdrawal_guard,
)
from oicp_adapter.core.high_water import day_of
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.plan import FullLoadPlan, PlanPolicy, make_plan
from oicp_adapter.core.records import (
    DISTRUSTED,
    LOST,
    UNMEASURED,
    WEEK,
    EvseRow,
    OperatorState,
    Presence,
    Quarantine,
)
from tests.fakes.rows import row

NOW = 1_800_000_000.0
DAY = 86_400.0
POLICY = GuardPolicy()


def fleet(count: int) -> list[EvseRow]:
    return [row(f"E{number}") for number in range(count)]


def withdrawn(number: int, *, ago: float) -> EvseRow:
    return row(f"W{number}", status=EvseStatus.EVSE_NOT_FOUND, withdrawn_at=NOW - ago)


def guard(
    planned: int,
    rows: list[EvseRow],
    *,
    state: OperatorState | None = None,
    allowed: int | None = None,
    empties: bool = False,
    adopt: int | None = None,
) -> Refusal | None:
    keys = {one.key for one in rows[:planned]}
    return withdrawal_guard(
        keys,
        rows,
        state or OperatorState(),
        POLICY,
        now=NOW,
        remain=remaining(rows, keys),
        allowance=Allowance(withdrawals=allowed, empties_the_map=empties, adopt=adopt),
        operator="slb",
    )


@pytest.mark.parametrize(
    ("planned", "of", "passes"),
    [
        (0, 1, True),
        (1, 1, False),
        (1, 2, True),
        (2, 2, False),
        (1, 3, True),
        (2, 3, False),
        (2, 4, True),
        (3, 5, False),
        (4, 8, True),
        (5, 6, False),
        (5, 9, False),
        (5, 10, True),
        (6, 59, False),
        (6, 60, True),
        (7, 60, False),
        (10, 100, True),
        (11, 100, False),
        (100, 1000, True),
        (101, 1000, False),
        (0, 0, True),
    ],
)
def test_more_than_ten_percent_and_five_or_more_than_half_or_all_is_refused(
    planned: int, of: int, passes: bool
) -> None:
    # An export that lost a region takes it off the map, a header-only one a fleet of five; or five EVSEs of a larger
    # fleet cannot be closed without a person.
    assert (guard(planned, fleet(of)) is None) is passes


def test_small_withdrawals_add_up_over_a_week() -> None:
    # 9 % per cycle empties the fleet in an hour.
    before = [withdrawn(number, ago=3 * DAY) for number in range(60)]
    assert guard(40, fleet(940) + before, state=OperatorState(largest=largest(1000, 3))) is None
    assert guard(41, fleet(940) + before, state=OperatorState(largest=largest(1000, 3))) is not None


def test_five_at_a_time_is_not_a_way_round_the_guard() -> None:
    # A source that loses five chargers per export empties a small fleet in minutes.
    before = [withdrawn(number, ago=3600) for number in range(3)]
    assert guard(2, fleet(20) + before) is None
    assert guard(3, fleet(20) + before) is not None


def largest(size: int, days_ago: int) -> dict[str, int]:
    return dict(grown(OperatorState(), size, now=NOW - days_ago * DAY).largest)


@pytest.mark.parametrize(("ago", "passes"), [(WEEK - 1, False), (WEEK, True)])
def test_a_share_of_the_account_expires_after_seven_days(ago: float, passes: bool) -> None:
    # One big clean-up forbids every later withdrawal; or the account forgets too soon.
    before = [withdrawn(number, ago=ago) for number in range(100)]
    assert (guard(6, fleet(60) + before, state=OperatorState(largest=largest(60, 0))) is None) is passes


def test_an_evse_withdrawn_before_and_planned_again_counts_once() -> None:
    # A withdrawal that got no answer is counted twice and then refused.
    doubtful = [row(f"E{number}", withdrawn_at=NOW - 60, in_doubt_since=NOW - 60) for number in range(10)]
    rows = doubtful + [row(f"F{number}") for number in range(90)]
    assert guard(10, rows) is None


def test_the_measure_is_the_largest_published_set_of_the_week() -> None:
    # After a legal shrink the allowed share shrinks with it, or a set of last month still counts.
    assert guard(10, fleet(50), state=OperatorState(largest=largest(100, 6))) is None
    assert guard(10, fleet(50), state=OperatorState(largest=largest(100, 9))) is not None


def test_the_account_keeps_the_largest_set_of_each_of_the_last_days_only() -> None:
    # The state grows for ever, or a smaller set later in the day hides the larger.
    state = OperatorState()
    for day in range(20):
        for size in (100 + day, 50):
            state = grown(state, size, now=NOW + day * DAY)
    assert sorted(state.largest.values()) == list(range(112, 120))
    assert grown(state, 1, now=NOW + 19 * DAY) is state


def test_what_a_person_allowed_is_a_number_and_not_a_switch() -> None:
    # `--allow-withdrawal 50` lets five hundred go because the export broke again meanwhile.
    assert guard(50, fleet(100), allowed=50) is None
    assert guard(50, fleet(100), allowed=49) is not None


@pytest.mark.parametrize(("planned", "of"), [(51, 100), (100, 100), (2, 3), (1, 1)])
def test_more_than_half_or_the_last_one_needs_a_person_who_says_so_twice(planned: int, of: int) -> None:
    # At 03:00 a number is copied from one window into another, and the map is empty.
    refusal = guard(planned, fleet(of), allowed=planned)
    assert refusal is not None
    assert guard(planned, fleet(of), empties=True) is not None
    assert guard(planned, fleet(of), allowed=planned - 1, empties=True) is not None
    assert guard(planned, fleet(of), allowed=planned, empties=True) is None
    for text in (refusal.hint, refusal.text):
        assert "resync" not in text
    assert "Emptying the map on purpose" in refusal.hint


def test_that_all_may_go_is_said_by_a_full_load_of_nothing_and_says_nothing_about_a_part() -> None:
    # `--adopt 0` beside an export that has five left: the full load is refused, and all but five leave one by one.
    assert guard(100, fleet(100), adopt=0, empties=True) is None
    assert guard(100, fleet(100), adopt=0) is not None
    assert guard(95, fleet(100), adopt=0, empties=True) is not None
    assert guard(95, fleet(100), adopt=5, empties=True) is not None


def test_the_half_is_counted_over_a_week_as_everything_else() -> None:
    # An export that loses two chargers a day empties a fleet of five in three days.
    before = [withdrawn(number, ago=3 * DAY) for number in range(2)]
    assert guard(1, fleet(3) + before, state=OperatorState(largest=largest(5, 3))) is not None
    assert guard(1, fleet(3) + before, state=OperatorState(largest=largest(6, 3))) is None


def test_settings_do_not_lift_the_half() -> None:
    # max_withdrawal_share = 1, and the guard is gone.
    rows = fleet(100)
    lax = GuardPolicy(withdrawal_share=1.0, withdrawal_count=1000)
    for planned, passes in ((50, True), (51, False)):
        keys = {one.key for one in rows[:planned]}
        refusal = withdrawal_guard(
            keys,
            rows,
            OperatorState(),
            lax,
            now=NOW,
            remain=remaining(rows, keys),
            allowance=Allowance(),
            operator="slb",
        )
        assert (refusal is None) is passes


def test_the_refusal_tells_how_many_of_how_many_which_and_what_to_type() -> None:
    # At 03:00 the engineer has to look it up.
    rows = [withdrawn(0, ago=DAY), withdrawn(1, ago=DAY)]
    refusal = guard(7, fleet(20) + rows)
    assert refusal is not None
    assert refusal.text == (
        "7 EVSEs would leave the drivers' maps (2 more did within 7 days): 9 of 20 is more than 10%. "
        "Withheld: E0, E1, E2, E3, E4 and 2 more"
    )
    assert refusal.hint.endswith("oicp-adapter resync slb --allow-withdrawal 7")
    assert sorted(refusal.keys) == [f"E{number}" for number in range(7)]


# --- the first run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unmapped", "of", "passes"), [(1, 1, False), (1, 2, True), (2, 3, False), (0, 0, True)]
)
def test_a_first_run_with_more_than_half_unmapped_publishes_nothing(
    unmapped: int, of: int, passes: bool
) -> None:
    # The wrong vocabulary is published as a fleet of Unknown on the first day.
    unseen = {"presence": Presence.UNKNOWN, "status": None}
    rows = [
        row(f"E{number}", cause=Cause.UNMAPPED if number < unmapped else Cause.REPORTED, **unseen)
        for number in range(of)
    ]
    refusal = first_run_guard(rows)
    assert (refusal is None) is passes
    if refusal is not None:
        assert len(refusal.keys) == of


def unseen(number: int, **more: Any) -> EvseRow:
    return row(f"E{number}", presence=Presence.UNKNOWN, status=None, **more)


@pytest.mark.parametrize(
    ("usable", "unmapped", "rejected", "passes"),
    [(4, 0, 4, True), (4, 0, 5, False), (4, 1, 2, True), (4, 1, 3, False), (0, 0, 9, False), (0, 0, 0, True)],
)
def test_on_a_first_run_what_cannot_be_used_counts_like_what_cannot_be_read(
    usable: int, unmapped: int, rejected: int, passes: bool
) -> None:
    # A prefix is wrong, most of the fleet is outside of it, and the rest is taken for the fleet.
    rows = [unseen(n, cause=Cause.UNMAPPED if n < unmapped else Cause.REPORTED) for n in range(usable)]
    refusal = first_run_guard(rows, rejected=rejected)
    assert (refusal is None) is passes
    if refusal is not None:
        assert len(refusal.keys) == usable
        assert "quarantine list" in refusal.hint


def test_what_cannot_be_used_is_no_first_run_where_the_fleet_was_pushed_or_refused() -> None:
    # A depot of chargers without ids, larger than the fleet: exit 3 for ever.
    bad = Quarantine(
        code="603", text="", process_id=None, since=NOW, retry_at=NOW, attempts=1, status=EvseStatus.AVAILABLE
    )
    assert first_run_guard(fleet(3), rejected=100) is None
    assert first_run_guard([row("E1", first_missing=NOW, status_at=NOW)], rejected=100) is None
    assert first_run_guard([unseen(1, quarantine=bad)], rejected=100) is None


def test_one_evse_that_was_pushed_does_not_end_the_first_run() -> None:
    # The export begins with a single charger, the fleet follows with the wrong vocabulary, and it is all Unknown.
    rows = [row("E0")]
    rows += [row(f"E{n}", cause=Cause.UNMAPPED, status=None, presence=Presence.UNKNOWN) for n in (1, 2, 3)]
    refusal = first_run_guard(rows)
    assert refusal is not None
    assert (refusal.keys, refusal.text.split(":")[0]) == (("E1", "E2", "E3"), "nothing new is published")


def test_what_hubject_refuses_is_no_first_run() -> None:
    # EVSEs without EVSE data report a new word, and no full load is sent any more.
    bad = Quarantine(
        code="603", text="", process_id=None, since=NOW, retry_at=NOW, attempts=1, status=EvseStatus.UNKNOWN
    )
    refused = {"status": None, "presence": Presence.UNKNOWN, "quarantine": bad}
    assert first_run_guard([row("E0"), row("E1", cause=Cause.UNMAPPED, **refused)]) is None


def test_it_is_a_first_run_only_until_anything_may_be_at_hubject() -> None:
    # An established fleet is held back as a whole.
    rows = [row("E1", cause=Cause.UNMAPPED, presence=Presence.UNKNOWN, status=None, in_doubt_since=NOW)]
    assert first_run_guard(rows) is None


# --- the baseline -----------------------------------------------------------------------------------------


def full(count: int) -> FullLoadPlan:
    records = tuple((f"E{number}", f"E{number}", EvseStatus.AVAILABLE) for number in range(count))
    return FullLoadPlan(records=records, withdraws=(), leaves_out=())


def said(
    full: FullLoadPlan,
    state: OperatorState,
    *,
    adopt: int | None = None,
    empties: bool = False,
    automatic: bool = False,
) -> Refusal | None:
    allowance = Allowance(adopt=adopt, empties_the_map=empties)
    return baseline_guard(
        full, state, allowance=allowance, automatic=automatic, operator="slb"
    ) or emptiness_guard(full, state, allowance)


@pytest.mark.parametrize(
    ("baseline", "adopt", "refused_by"),
    [
        ("", None, Guard.BASELINE),
        ("", 299, Guard.ADOPT_COUNT),
        ("", 301, Guard.ADOPT_COUNT),
        ("", 300, None),
        ("adopted", None, None),
        ("adopted", 299, Guard.ADOPT_COUNT),
        ("adopted", 300, None),
    ],
)
def test_a_full_load_needs_a_known_baseline_or_the_exact_number(
    baseline: str, adopt: int | None, refused_by: Guard | None
) -> None:
    # The first night deletes 700 EVSEs that another system pushed for the same operator.
    refusal = said(full(300), OperatorState(baseline=baseline), adopt=adopt)
    assert (refusal.guard if refusal else None) is refused_by
    if refusal is not None:
        assert "Hubject will delete everything else it holds for this operator" in refusal.text
        assert "oicp-adapter resync slb --adopt 300" in refusal.hint


PEAK = {day_of(NOW - 60 * DAY): 100}


@pytest.mark.parametrize(
    ("holds", "state", "refused_by"),
    [
        (0, OperatorState(), Guard.EMPTINESS),
        (1, OperatorState(), None),
        (0, OperatorState(baseline="adopted"), Guard.EMPTINESS),
        (49, OperatorState(peak=PEAK), Guard.EMPTINESS),
        (50, OperatorState(peak=PEAK), None),
        (49, OperatorState(baseline="adopted", peak=PEAK), Guard.EMPTINESS),
        (50, OperatorState(baseline="adopted", peak=PEAK), None),
        (100, OperatorState(by_hand=LOST, peak=PEAK), Guard.BASELINE),
        (100, OperatorState(by_hand=UNMEASURED), Guard.BASELINE),
        (100, OperatorState(by_hand=DISTRUSTED, peak=PEAK), Guard.BASELINE),
    ],
)
def test_a_full_load_that_needs_nobodys_yes_holds_something_and_not_much_less_than_before(
    holds: int, state: OperatorState, refused_by: Guard | None
) -> None:
    # A header-only export on the first night, or beside a lost ledger: `full load applied: 0 records`.
    refusal = said(full(holds), state, automatic=True)
    assert (refusal.guard if refusal else None) is refused_by


def test_a_full_load_of_evses_that_are_gone_holds_nothing() -> None:
    # The backend says REMOVED of every charger, and the automatic first full load takes them all off the map.
    records = tuple((f"E{number}", f"E{number}", EvseStatus.EVSE_NOT_FOUND) for number in range(9))
    removed = FullLoadPlan(records=records, withdraws=(), leaves_out=())
    for adopt in (None, 9):
        refusal = said(removed, OperatorState(), automatic=True, adopt=adopt)
        assert refusal is not None
        assert refusal.guard is Guard.EMPTINESS
    assert said(removed, OperatorState(), adopt=9, empties=True) is None


@pytest.mark.parametrize(
    ("holds", "state", "adopt", "names"),
    [
        (300, OperatorState(), None, "resync slb --adopt 300"),
        (300, OperatorState(by_hand=LOST, peak=PEAK), None, "resync slb --adopt 300"),
        (300, OperatorState(by_hand=UNMEASURED), None, "Adopting the baseline"),
        (49, OperatorState(peak=PEAK), None, "Emptying the map"),
        (0, OperatorState(), None, "Emptying the map"),
        (300, OperatorState(), 299, "resync slb --adopt 300"),
        (0, OperatorState(), 1000, "Emptying the map"),
        (49, OperatorState(), 100, "Emptying the map"),
        (50, OperatorState(), 100, "resync slb --adopt 50"),
        (49, OperatorState(baseline="adopted", peak=PEAK), 48, "Emptying the map"),
        (0, OperatorState(baseline="adopted"), 0, "Emptying the map"),
    ],
)
def test_no_refusal_prints_the_command_that_would_empty_the_map(
    holds: int, state: OperatorState, adopt: int | None, names: str
) -> None:
    # `--adopt 1000` against an empty export prints `--adopt 0`; whoever copies it deletes a thousand chargers.
    refusal = said(full(holds), state, adopt=adopt)
    assert refusal is not None
    assert names in refusal.hint
    assert ("resync" in refusal.hint) is ("resync" in names)


@pytest.mark.parametrize(
    ("by_hand", "automatic", "names_it"),
    [
        ("", False, True),
        ("", True, False),
        (LOST, False, False),
        (DISTRUSTED, False, False),
        (LOST, True, False),
    ],
)
def test_the_setting_is_named_only_where_it_would_end_the_unknown_baseline(
    by_hand: str, automatic: bool, names_it: bool
) -> None:
    # The ledger is lost; the fix names the setting, and with the setting a person is asked all the same.
    refusal = said(full(300), OperatorState(by_hand=by_hand), automatic=automatic)
    assert (refusal is None) is (automatic and not by_hand)
    assert ("first_full_load" in (refusal.hint if refusal else "")) is names_it


def test_to_adopt_nothing_is_said_twice() -> None:
    # A script computes N from the export, and the export is empty.
    refusal = said(full(0), OperatorState(), adopt=0)
    assert refusal is not None
    assert refusal.guard is Guard.EMPTINESS
    assert said(full(0), OperatorState(), adopt=0, empties=True) is None


# --- counting and forgetting ------------------------------------------------------------------------------


def test_published_counts_what_drivers_may_see() -> None:
    # The measure of every share is wrong.
    gone = row("E9", status=EvseStatus.EVSE_NOT_FOUND)
    absent = row("E8", presence=Presence.ABSENT, status=None)
    assert published([*fleet(3), gone, absent]) == 3


@pytest.mark.parametrize(
    ("more", "forgotten"),
    [
        ({}, True),
        ({"first_missing": None}, False),
        ({"presence": Presence.PRESENT}, False),
        ({"presence": Presence.UNKNOWN}, False),
        ({"in_doubt_since": NOW}, False),
        ({"withdrawn_at": NOW - WEEK + 1}, False),
        ({"withdrawn_at": NOW - WEEK}, True),
    ],
)
def test_a_row_is_forgotten_when_nothing_of_it_matters(more: dict[str, Any], forgotten: bool) -> None:
    # The guard's account loses its entries with the rows; or the ledger grows for ever.
    given = row("E1", **({"presence": Presence.ABSENT, "status": None, "first_missing": NOW} | more))
    assert forgettable(given, now=NOW) is forgotten


def test_on_a_first_run_the_removed_are_compared_with_the_fleet_the_source_has() -> None:
    # A first load of a fleet with a few REMOVED EVSEs is refused, because nothing is published yet.
    unknown = [row(f"E{number}", status=None, presence=Presence.UNKNOWN) for number in range(100)]
    assert guard(10, unknown) is None
    assert guard(11, unknown) is not None


@pytest.mark.parametrize(
    ("gone", "shown", "by_hand", "tried"),
    [
        (10, 10, "", True),
        (11, 10, "", False),
        (1, 0, "", True),
        (2, 0, "", False),
        (10, 90, LOST, True),
        (11, 89, LOST, False),
        (5, 10, LOST, True),
        (6, 10, LOST, False),
        (3, 2, LOST, False),
        (1, 0, LOST, False),
        (11, 89, DISTRUSTED, False),
    ],
)
def test_on_a_first_run_no_more_is_tried_than_there_is_to_show(
    gone: int, shown: int, by_hand: str, tried: bool
) -> None:
    # A lost ledger, and an export that calls nearly every EVSE removed: none of them counts as published. With fifty of
    # a hundred, which the guard would have stopped at ten the day before, all fifty left the map.
    new = {"status": None, "presence": Presence.UNKNOWN}
    rows = {one.key: one for one in (row(f"E{number}", **new) for number in range(gone + shown))}
    for number in range(gone):
        rows[f"E{number}"] = row(f"E{number}", desired=EvseStatus.EVSE_NOT_FOUND, **new)
    plan = make_plan(rows.values(), PlanPolicy(), now=NOW, complete=True)
    state = OperatorState(by_hand=by_hand)
    assert len(untried(plan, rows, state, GuardPolicy())) == (0 if tried else gone)
    refusal = all_called_gone(list(rows.values()))
    assert (refusal is not None) is (shown == 0 and gone > 1)


def test_what_is_called_gone_is_no_part_of_a_first_run() -> None:
    # A hundred REMOVED EVSEs beside sixty with words that no table knows: the wrong vocabulary passes as the minority.
    new = {"status": None, "presence": Presence.ABSENT}
    odd = [row(f"E{number}", cause=Cause.UNMAPPED, **new) for number in range(60)]
    gone = [row(f"G{number}", desired=EvseStatus.EVSE_NOT_FOUND, **new) for number in range(100)]
    refusal = first_run_guard(odd + gone)
    assert refusal is not None
    assert "60 of 60" in refusal.text


def test_one_bad_record_beside_what_is_called_gone_is_no_unreadable_first_run() -> None:
    # A person empties the map on purpose, and is told that 1 of 1 cannot be published.
    new = {"status": None, "presence": Presence.UNKNOWN}
    gone = [row(f"G{number}", desired=EvseStatus.EVSE_NOT_FOUND, **new) for number in range(10)]
    assert first_run_guard(gone, rejected=1) is None
    assert first_run_guard(gone, rejected=11) is not None


def test_what_is_called_gone_makes_the_fleet_no_larger() -> None:
    # Five hundred chargers removed over the years raise the limit to fifty for a fleet of a hundred.
    gone = [
        row(f"G{n}", desired=EvseStatus.EVSE_NOT_FOUND, status=None, presence=Presence.UNKNOWN)
        for n in range(500)
    ]
    assert guard(11, fleet(100) + gone) is not None
