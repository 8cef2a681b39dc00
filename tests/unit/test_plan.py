"""What is sent for each EVSE, and why; and what is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import (
    Change,
    Kind,
    Missing,
    Mode,
    Plan,
    PlanPolicy,
    make_full_load,
    make_plan,
)
from oicp_adapter.core.records import EvseRow, Presence, Quarantine

NOW = 1_800_000_000.0
AVAILABLE, OCCUPIED = EvseStatus.AVAILABLE, EvseStatus.OCCUPIED
NOT_FOUND = EvseStatus.EVSE_NOT_FOUND
POLICY = PlanPolicy()
GONE = NOW - 60.0


def row(name: str = "E1", **more: Any) -> EvseRow:
    known = EvseRow(
        key=name,
        wire_id=name,
        source_id=name,
        presence=Presence.PRESENT,
        status=AVAILABLE,
        desired=AVAILABLE,
        rule="ocpi X",
    )
    return msgspec.structs.replace(known, **more)


def bad(status: EvseStatus | None = OCCUPIED, *, retry_at: float = NOW + 900) -> Quarantine:
    return Quarantine(
        code="603", text="", process_id=None, since=NOW, retry_at=retry_at, attempts=1, status=status
    )


def plan(
    *rows: EvseRow,
    policy: PlanPolicy = POLICY,
    complete: bool = True,
    mode: Mode = Mode.DELTA,
    rolling_since: float | None = None,
    withheld: dict[str, str] | None = None,
) -> Plan:
    return make_plan(
        rows,
        policy,
        now=NOW,
        complete=complete,
        mode=mode,
        rolling_since=rolling_since,
        withheld=withheld or {},
    )


def only(made: Plan) -> Change:
    (change,) = made.changes
    return change


def sends(made: Plan) -> list[tuple[str, EvseStatus | None]]:
    return [(change.action.value, change.status) for change in made.changes]


@pytest.mark.parametrize(
    ("presence", "action"),
    [(Presence.PRESENT, "update"), (Presence.ABSENT, "insert"), (Presence.UNKNOWN, "insert")],
)
def test_presence_decides_the_action(presence: Presence, action: str) -> None:
    # Hubject refuses an insert of what exists and an update of what does not.
    change = only(plan(row(presence=presence, desired=OCCUPIED)))
    assert (change.action.value, change.status) == (action, OCCUPIED)


def test_what_hubject_holds_already_is_not_sent_again() -> None:
    # Hubject keeps every push as history: millions of no-ops a day.
    assert plan(row()).changes == ()
    assert plan(row()).unchanged == 1


def test_the_same_status_is_sent_where_presence_is_unknown() -> None:
    # After a lost full load the last acknowledged status proves nothing.
    assert sends(plan(row(presence=Presence.UNKNOWN))) == [("insert", AVAILABLE)]


@pytest.mark.parametrize("doubt", [NOW, NOW - 59.9, NOW + 30])
def test_a_record_in_doubt_is_in_no_request_until_settle_is_over(doubt: float) -> None:
    # The older request, applied late, overtakes the newer one: wrong for good. (A clock set back waits longer.)
    made = plan(row(desired=OCCUPIED, in_doubt_since=doubt))
    assert (made.changes, made.waiting) == ((), 1)


def test_after_settle_the_latest_status_goes_out_even_if_it_is_the_acknowledged_one() -> None:
    # The doubtful request may have been applied, and the source has returned to the old value since.
    change = only(plan(row(in_doubt_since=NOW - 60)))
    assert (change.kind, change.action.value, change.status) == (Kind.IN_DOUBT, "update", AVAILABLE)


def test_a_quarantined_record_waits_for_its_time_and_for_a_thorough_cycle() -> None:
    # A bad EVSE costs a request every ten seconds.
    waiting = row(status=None, presence=Presence.ABSENT, desired=OCCUPIED, quarantine=bad())
    due = msgspec.structs.replace(waiting, quarantine=bad(retry_at=NOW))
    assert plan(waiting, mode=Mode.RECONCILE).changes == ()
    assert plan(due).changes == ()
    assert plan(due).quarantined == 1
    assert only(plan(due, mode=Mode.RECONCILE)).kind is Kind.QUARANTINE


def test_a_quarantined_record_is_tried_at_once_when_its_status_changed() -> None:
    # Hubject shows Available for hours although the refusal was about the other value.
    changed = row(status=None, presence=Presence.ABSENT, desired=AVAILABLE, quarantine=bad(OCCUPIED))
    assert only(plan(changed)).kind is Kind.QUARANTINE


def test_a_quarantined_record_stays_alone_when_its_retry_got_no_answer() -> None:
    # After settle the bad one takes a whole bundle down with it.
    doubt = row(desired=OCCUPIED, quarantine=bad(), in_doubt_since=NOW - 60)
    assert only(plan(doubt)).kind is Kind.QUARANTINE


def test_a_re_assertion_is_made_by_a_thorough_cycle_when_it_is_due() -> None:
    # A request applied later than settle is never undone; or every delta pushes no-ops.
    due = row(reassert_at=NOW)
    assert plan(due).changes == ()
    assert only(plan(due, mode=Mode.RECONCILE)).kind is Kind.REASSERT
    assert plan(row(reassert_at=NOW + 1), mode=Mode.RECONCILE).changes == ()


def test_a_rolling_resync_sends_what_is_unchanged_too() -> None:
    # Where full loads are suspended nothing would cure what others changed at Hubject.
    old, new = row("E1", status_at=NOW - 1), row("E2", status_at=NOW)
    assert [(change.key, change.kind) for change in plan(old, new, rolling_since=NOW).changes] == [
        ("E1", Kind.RESYNC)
    ]


# --- missing ----------------------------------------------------------------------------------------------


def test_missing_long_enough_in_a_complete_read_is_withdrawn() -> None:
    # A charger taken away is shown to drivers for ever.
    change = only(plan(row(first_missing=GONE)))
    assert (change.kind, change.action.value, change.status) == (Kind.WITHDRAWAL, "update", NOT_FOUND)
    assert change.withdraws
    assert change.removal


@pytest.mark.parametrize("first_missing", [NOW, NOW - 59.9])
def test_missing_for_a_moment_only_is_left_as_it_is(first_missing: float) -> None:
    # One export cut short takes chargers off the map.
    made = plan(row(first_missing=first_missing))
    assert (made.changes, made.missing) == ((), 1)


def test_one_read_is_never_two_even_if_missing_after_is_nothing() -> None:
    # `missing_after = "0s"` lets a single bad export withdraw.
    assert plan(row(first_missing=NOW), policy=PlanPolicy(missing_after=0.0)).changes == ()


def test_an_incomplete_read_lets_nothing_go() -> None:
    # A file caught half written takes chargers off the map.
    assert plan(row(first_missing=GONE), complete=False).changes == ()


def test_an_incomplete_read_does_not_withdraw_by_saying_removed_either() -> None:
    # Half an export in which the good record of a duplicate is missing leaves only its REMOVED twin.
    removed = row(desired=NOT_FOUND)
    assert plan(removed, complete=False).changes == ()
    assert sends(plan(removed)) == [("update", NOT_FOUND)]


def test_an_incomplete_read_updates_all_the_same() -> None:
    # One bad line stops every status of the fleet.
    assert sends(plan(row(desired=OCCUPIED), complete=False)) == [("update", OCCUPIED)]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (Missing.DELETE, [("delete", None)]),
        (Missing.KEEP, []),
        (Missing.EVSE_NOT_FOUND, [("update", NOT_FOUND)]),
    ],
)
def test_the_operator_decides_what_gone_means(
    missing: Missing, expected: list[tuple[str, EvseStatus | None]]
) -> None:
    # "keep" withdraws, or "delete" leaves a record behind.
    assert sends(plan(row(first_missing=GONE), policy=PlanPolicy(missing=missing))) == expected


def test_what_was_planned_and_is_unpublished_again_goes_the_same_way() -> None:
    # A published EVSE turned PLANNED vanishes at once, or never.
    skipped = row(desired=None, first_missing=GONE)
    assert sends(plan(skipped)) == [("update", NOT_FOUND)]
    assert plan(row(desired=None)).changes == ()


@pytest.mark.parametrize("more", [{}, {"in_doubt_since": NOW - 60}, {"quarantine": bad()}])
def test_what_may_not_be_there_is_never_created_just_to_be_withdrawn(more: dict[str, Any]) -> None:
    # An insert of EvseNotFound is refused because the EVSE is there, and that is read as "not there":
    # drivers see it for ever.
    unsure = row(presence=Presence.UNKNOWN, first_missing=GONE, **more)
    assert only(plan(unsure)).action is ActionType.UPDATE


def test_what_is_known_to_be_absent_needs_no_removal() -> None:
    # Every night the same refused removals.
    assert plan(row(presence=Presence.ABSENT, status=None, first_missing=GONE)).changes == ()


def test_a_withheld_withdrawal_stays_as_last_acknowledged() -> None:
    # The guard says no and the EVSE goes all the same; or it is pushed again and again.
    gone = row(first_missing=GONE)
    made = plan(gone, withheld={"E1": "withdrawal"})
    assert (made.changes, dict(made.withheld)) == ((), {"E1": "withdrawal"})


@pytest.mark.parametrize(
    ("more", "how"),
    [
        ({"desired": NOT_FOUND}, {"withheld": {"E1": "withdrawal"}}),
        ({"first_missing": GONE}, {"withheld": {"E1": "withdrawal"}}),
        ({"desired": EvseStatus.UNKNOWN}, {"withheld": {"E1": "mass_unknown"}}),
        ({"desired": NOT_FOUND}, {"complete": False}),
        ({"first_missing": GONE, "desired": NOT_FOUND}, {"complete": False}),
    ],
)
def test_what_a_lost_answer_may_have_brought_back_is_not_withdrawn_as_last_acknowledged(
    more: dict[str, Any], how: dict[str, Any]
) -> None:
    # EVSEs come back, no answer arrives, the export loses them again: the guard says no, and all of them go.
    perhaps_back = row(status=NOT_FOUND, in_doubt_since=NOW - 60, **more)
    assert plan(perhaps_back, **how).changes == ()


def test_what_came_back_in_doubt_and_misses_one_read_keeps_its_latest_status() -> None:
    # A charger that a reader missed once, at the end of settle, is off the map.
    perhaps_back = row(status=NOT_FOUND, in_doubt_since=NOW - 60, first_missing=NOW - 10)
    assert sends(plan(perhaps_back)) == [("update", AVAILABLE)]


def test_the_oldest_change_goes_first() -> None:
    # Under load the same EVSEs wait for ever.
    rows = [row("E1", desired=OCCUPIED, changed_at=NOW), row("E2", desired=OCCUPIED, changed_at=NOW - 9)]
    assert [change.key for change in plan(*rows).changes] == ["E2", "E1"]


# --- the full load ----------------------------------------------------------------------------------------


def full(
    *rows: EvseRow, withheld: dict[str, str] | None = None, refused: frozenset[str] = frozenset()
) -> tuple[dict[str, EvseStatus], tuple[str, ...]]:
    made = make_full_load(rows, POLICY, now=NOW, withheld=withheld or {}, refused=refused)
    return {wire_id: status for _, wire_id, status in made.records}, made.withdraws


@pytest.mark.parametrize(
    "more", [{"quarantine": bad()}, {"first_missing": NOW}, {"first_missing": NOW, "desired": None}]
)
def test_a_full_load_keeps_what_hubject_holds_and_we_cannot_change_now(more: dict[str, Any]) -> None:
    # One bad value, or one short export, and the nightly full load deletes the EVSE.
    given = {"desired": OCCUPIED} | more
    assert full(row(**given)) == ({"E1": AVAILABLE}, ())


def test_a_full_load_keeps_what_a_guard_withholds() -> None:
    # The mass guard holds 500 chargers back, and the full load turns or deletes them.
    turned = row(desired=EvseStatus.UNKNOWN)
    assert full(turned, withheld={"E1": "mass_unknown"}) == ({"E1": AVAILABLE}, ())


def test_a_full_load_leaves_out_what_is_gone_and_says_so() -> None:
    # The guard would not count it.
    assert full(row(first_missing=GONE)) == ({}, ("E1",))
    assert full(row(first_missing=GONE, status=NOT_FOUND)) == ({}, ())


def test_a_full_load_leaves_out_and_counts_what_the_source_calls_gone() -> None:
    # A source that says REMOVED for a whole region passes the guard inside the full load.
    assert full(row(desired=NOT_FOUND)) == ({}, ("E1",))
    assert full(row(desired=NOT_FOUND, status=NOT_FOUND)) == ({}, ())
    assert full(row(desired=NOT_FOUND, quarantine=bad(NOT_FOUND))) == ({}, ("E1",))


def never_answered(presence: Presence = Presence.UNKNOWN, **more: Any) -> EvseRow:
    return row(presence=presence, status=None, **more)


def test_what_the_source_calls_gone_and_hubject_never_had_is_not_sent_at_all() -> None:
    # OCPI keeps REMOVED for ever: each is inserted, refused for want of EVSE data and put in quarantine, and whoever
    # follows the printed advice puts a stored charger on the map.
    stored = never_answered(Presence.ABSENT, desired=NOT_FOUND)
    for mode in Mode:
        assert (plan(stored, mode=mode).changes, plan(stored, mode=mode).gone) == ((), 1)
    assert full(stored) == ({}, ())


def test_where_it_is_unknown_whether_hubject_has_it_one_removal_is_tried_and_counts_nowhere() -> None:
    # 100 of 200 are REMOVED for ever: a first run is refused as if half of the map would go.
    change = only(plan(never_answered(desired=NOT_FOUND)))
    assert (change.action.value, change.status, change.removal, change.withdraws) == (
        "update",
        NOT_FOUND,
        True,
        False,
    )
    assert full(never_answered(desired=NOT_FOUND)) == ({}, ())


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"first_missing": GONE}, True),
        ({"first_missing": GONE, "quarantine": bad()}, False),
        ({"desired": NOT_FOUND}, False),
        ({"desired": NOT_FOUND, "in_doubt_since": NOW - 61}, True),
    ],
)
def test_of_what_was_never_answered_only_what_went_missing_or_is_in_doubt_is_a_withdrawal(
    more: dict[str, Any], counts: bool
) -> None:
    # An export that loses what Hubject held before us empties the map; or what Hubject refused waits for a person.
    given = never_answered(**more)
    assert only(plan(given, mode=Mode.RECONCILE)).withdraws is counts
    assert full(given) == ({}, ("E1",) if counts else ())


def test_a_full_load_leaves_out_what_hubject_refused_in_it_and_counts_it_if_it_was_shown() -> None:
    # 60 % answered with 603 are deleted unseen.
    assert full(row(), refused=frozenset({"E1"})) == ({}, ("E1",))
    never = row(status=None, presence=Presence.ABSENT)
    assert full(never, refused=frozenset({"E1"})) == ({}, ())


def test_a_full_load_carries_the_source_s_spelling() -> None:
    # A corrected id never takes effect.
    assert full(row(source_id="E-1"))[0] == {"E-1": AVAILABLE}


def test_a_full_load_waits_for_records_in_doubt() -> None:
    # It would contain them before settle is over.
    made = make_full_load([row(in_doubt_since=NOW - 1), row("E2", in_doubt_since=NOW - 60)], POLICY, now=NOW)
    assert made.waiting == 1


@pytest.mark.parametrize(
    ("withheld", "more"),
    [({"E1": "mass_unknown"}, {"desired": EvseStatus.UNKNOWN}), ({}, {"quarantine": bad()})],
    ids=["a guard withholds it", "its retry got no answer"],
)
def test_a_full_load_waits_for_what_is_in_doubt_and_has_no_status_to_keep(
    withheld: dict[str, str], more: dict[str, Any]
) -> None:
    # Its first push got no answer. Left out of the full load, it is deleted, and Hubject may show it since.
    first_push_lost = row(presence=Presence.UNKNOWN, status=None, in_doubt_since=NOW - 61, **more)
    made = make_full_load([first_push_lost], POLICY, now=NOW, withheld=withheld)
    assert (made.records, made.waiting) == ((), 1)


def test_a_full_load_waits_for_what_hubject_may_hold_from_before_us_and_a_guard_withholds() -> None:
    # The words of the export change before the first push of a new charger: the full load takes it off the map.
    from_before = row(presence=Presence.UNKNOWN, status=None, desired=EvseStatus.UNKNOWN)
    assert make_full_load([from_before], POLICY, now=NOW, withheld={"E1": "mass_unknown"}).waiting == 1
    ours_alone = msgspec.structs.replace(from_before, presence=Presence.ABSENT)
    assert make_full_load([ours_alone], POLICY, now=NOW, withheld={"E1": "mass_unknown"}).waiting == 0


def test_a_full_load_does_not_wait_for_what_leaves_anyway() -> None:
    # Else one EVSE that the source has dropped while it was in doubt holds back every full load.
    dropped = row(status=None, desired=OCCUPIED, in_doubt_since=NOW - 61, first_missing=NOW - 120)
    made = make_full_load([dropped], POLICY, now=NOW)
    assert (made.waiting, made.leaves_out, made.withdraws) == (0, ("E1",), ("E1",))


def test_a_removal_that_was_in_doubt_earlier_is_made_once_more() -> None:
    # The insert that got no answer is applied minutes after the removal: drivers see a charger that is gone.
    left = row(presence=Presence.ABSENT, status=None, first_missing=GONE, reassert_at=NOW)
    assert plan(left).changes == ()
    assert (only(plan(left, mode=Mode.RECONCILE)).kind, only(plan(left, mode=Mode.RECONCILE)).removal) == (
        Kind.REASSERT,
        True,
    )
    later = msgspec.structs.replace(left, reassert_at=NOW + 1)
    assert plan(later, mode=Mode.RECONCILE).changes == ()
