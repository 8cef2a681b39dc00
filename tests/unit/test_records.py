"""The few ways our knowledge about Hubject may change."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.model import ActionType, Desired, EvseStatus
from oicp_adapter.core.records import EvseRow, OpenPush, OperatorState, Picture, Presence
from oicp_adapter.core.transitions import (
    absent,
    acknowledged,
    distrusted,
    doubted,
    full_load_applied,
    full_load_doubted,
    missed,
    observed,
    quarantined,
    recovered,
)

NOW = 1_800_000_000.0
AVAILABLE, OCCUPIED = EvseStatus.AVAILABLE, EvseStatus.OCCUPIED
NOT_FOUND = EvseStatus.EVSE_NOT_FOUND


def row(**more: object) -> EvseRow:
    known = EvseRow(
        key="DEABCE1",
        wire_id="DE*ABC*E1",
        source_id="DE*ABC*E1",
        presence=Presence.PRESENT,
        status=AVAILABLE,
        desired=AVAILABLE,
    )
    return msgspec.structs.replace(known, **more)


def acked(before: EvseRow, status: EvseStatus | None, *, now: float = NOW) -> EvseRow:
    return acknowledged(before, status, now=now, push_id=7, wire_id=before.wire_id, settle=60.0)


def refused(before: EvseRow, status: EvseStatus | None = OCCUPIED, *, now: float = NOW) -> EvseRow:
    return quarantined(
        before,
        status,
        code="603",
        text="no data",
        process_id=None,
        now=now,
        first_retry=900.0,
        longest_retry=86_400.0,
        settle=60.0,
    )


def desired(status: EvseStatus | None = AVAILABLE, wire_id: str = "DE*ABC*E1") -> Desired:
    return Desired(key="DEABCE1", wire_id=wire_id, status=status, rule="ocpi X", value="X")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (row(), True),
        (row(status=NOT_FOUND), False),
        (row(presence=Presence.ABSENT, status=None), False),
        (row(presence=Presence.UNKNOWN, status=None), False),
        (row(presence=Presence.UNKNOWN, status=None, in_doubt_since=NOW), True),
        (row(presence=Presence.UNKNOWN), True),
    ],
)
def test_what_may_be_on_drivers_maps_counts_as_held(given: EvseRow, shown: bool) -> None:
    # An EVSE that a lost answer may have put on the map is withdrawn without the guard counting it.
    assert given.held is shown


def test_an_acknowledgement_settles_the_doubt_and_asks_for_one_more_push_later() -> None:
    # A request applied even later than settle overwrites the healed status for good.
    after = acked(row(in_doubt_since=NOW - 60), OCCUPIED)
    assert (after.status, after.in_doubt_since, after.reassert_at) == (OCCUPIED, None, NOW - 60 + 600)


def test_a_second_doubt_moves_the_later_push_back_never_forward() -> None:
    # The re-assertion comes before the last doubtful request can be ruled out.
    assert acked(row(in_doubt_since=NOW - 300, reassert_at=NOW + 500), OCCUPIED).reassert_at == NOW + 500
    assert acked(row(in_doubt_since=NOW, reassert_at=NOW + 500), OCCUPIED).reassert_at == NOW + 600


def test_any_acknowledgement_past_the_time_is_the_re_assertion() -> None:
    # Each later change is pushed twice, or the re-assertion never ends.
    assert acked(row(reassert_at=NOW), OCCUPIED).reassert_at is None
    assert acked(row(reassert_at=NOW + 1), OCCUPIED).reassert_at == NOW + 1


def test_a_change_waits_until_the_source_s_own_word_is_acknowledged() -> None:
    # Lag and backlog look healthy while Hubject holds an older status.
    waiting = row(desired=OCCUPIED, changed_at=NOW - 9)
    assert acked(waiting, AVAILABLE).changed_at == NOW - 9
    assert acked(waiting, OCCUPIED).changed_at is None


def test_a_returning_evse_gives_its_share_of_the_guard_s_account_back() -> None:
    # A night of maintenance uses up the week's withdrawals, and the next real one is refused.
    gone = row(status=NOT_FOUND, withdrawn_at=NOW - 100)
    assert acked(gone, AVAILABLE).withdrawn_at is None
    assert acked(gone, NOT_FOUND).withdrawn_at == NOW - 100
    assert acked(gone, None).withdrawn_at == NOW - 100


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (Presence.PRESENT, ActionType.UPDATE, Presence.PRESENT),
        (Presence.UNKNOWN, ActionType.UPDATE, Presence.UNKNOWN),
        (Presence.ABSENT, ActionType.INSERT, Presence.UNKNOWN),
        (Presence.PRESENT, ActionType.DELETE, Presence.UNKNOWN),
        (Presence.PRESENT, ActionType.FULL_LOAD, Presence.UNKNOWN),
    ],
)
def test_only_an_update_in_doubt_leaves_presence_known(
    before: Presence, action: ActionType, after: Presence
) -> None:
    # The EVSE is updated where it is not, or inserted where it is: refused every time.
    doubt = doubted(row(presence=before), action, now=NOW, push_id=9)
    assert (doubt.presence, doubt.in_doubt_since, doubt.status) == (after, NOW, AVAILABLE)


@pytest.mark.parametrize(
    ("more", "after"),
    [
        ({"presence": Presence.ABSENT, "status": None, "first_missing": NOW - 90}, Presence.ABSENT),
        ({"status": EvseStatus.EVSE_NOT_FOUND, "first_missing": NOW - 90}, Presence.ABSENT),
        ({"status": EvseStatus.EVSE_NOT_FOUND, "desired": EvseStatus.EVSE_NOT_FOUND}, Presence.ABSENT),
        ({"status": EvseStatus.EVSE_NOT_FOUND, "desired": AVAILABLE}, Presence.UNKNOWN),
        ({"presence": Presence.ABSENT, "status": None, "desired": AVAILABLE}, Presence.UNKNOWN),
        ({"first_missing": NOW - 90}, Presence.UNKNOWN),
        ({"presence": Presence.UNKNOWN, "status": None, "first_missing": NOW - 90}, Presence.UNKNOWN),
    ],
)
@pytest.mark.parametrize("action", [ActionType.FULL_LOAD, ActionType.DELETE])
def test_no_request_in_doubt_shows_who_was_not_shown_and_is_not_wanted(
    more: dict[str, Any], after: Presence, action: ActionType
) -> None:
    # What left the map with a person's leave counts as leaving it again, and waits for a person again.
    before = row(**more)
    doubt = doubted(before, action, now=NOW, push_id=9)
    untouched = action is ActionType.FULL_LOAD and before.presence is Presence.ABSENT and not before.wanted
    assert (doubt.presence, doubt.in_doubt_since) == (after, None if untouched else NOW)
    assert doubt.may_be_shown is (after is Presence.UNKNOWN)


def test_an_update_in_doubt_does_not_bring_back_who_stays_removed() -> None:
    # A rolling resync says EvseNotFound again, its answer is lost, and that counts as a withdrawal.
    removed = {"status": EvseStatus.EVSE_NOT_FOUND, "desired": EvseStatus.EVSE_NOT_FOUND}
    assert not doubted(row(**removed), ActionType.UPDATE, now=NOW, push_id=9).may_be_shown
    returned = removed | {"desired": AVAILABLE}
    assert doubted(row(**returned), ActionType.UPDATE, now=NOW, push_id=9).may_be_shown


def test_a_distrusted_ledger_does_not_make_absent_what_hubject_may_hold_from_before_us() -> None:
    # Nobody ever had an answer about it: once absent, it is inserted where it is, or never removed.
    before = row(presence=Presence.UNKNOWN, status=None, first_missing=NOW - 90)
    assert distrusted(before, now=NOW).may_be_shown
    assert not distrusted(row(status=NOT_FOUND, first_missing=NOW - 90), now=NOW).may_be_shown


def test_a_full_load_in_doubt_counts_and_an_applied_one_forgets_the_count() -> None:
    # Two in a row suspend full loads: a success in between must not be lost, a doubt not be repeated.
    doubt = full_load_doubted(full_load_doubted(OperatorState(full_wanted="night"), now=NOW), now=NOW)
    assert (doubt.full_doubts, doubt.full_wanted) == (2, "")
    known = full_load_applied(doubt, how="adopted", now=NOW)
    assert (known.full_doubts, known.baseline, known.baseline_at) == (0, "adopted", NOW)
    again = full_load_applied(known, how="automatic", now=NOW + 5)
    assert (again.baseline, again.baseline_at, again.last_full_at) == ("adopted", NOW, NOW + 5)


def test_quarantine_is_retried_at_growing_intervals_up_to_a_day() -> None:
    # A bad EVSE is hammered for months, or never tried again after its data was uploaded.
    waits, bad = [], row()
    for _ in range(20):
        bad = refused(bad)
        assert bad.quarantine is not None
        waits.append(bad.quarantine.retry_at - NOW)
    assert waits[:8] == [900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400]
    assert set(waits[8:]) == {86_400}


def test_quarantine_remembers_since_when() -> None:
    # "Since when?" is answered with the last retry.
    again = refused(refused(row(), now=NOW - 900)).quarantine
    assert again is not None
    assert (again.since, again.attempts, again.status) == (NOW - 900, 2, OCCUPIED)


def test_left_out_of_an_applied_full_load_means_not_there_and_nothing_in_doubt() -> None:
    # The next change is sent as an update of what no longer exists.
    left = absent(row(in_doubt_since=NOW, first_missing=NOW - 60), now=NOW, push_id=4, settle=60.0)
    assert (left.presence, left.status, left.in_doubt_since, left.push_id) == (Presence.ABSENT, None, None, 4)


def picture(*rows: EvseRow, pushes: tuple[OpenPush, ...] = ()) -> Picture:
    return Picture(rows={one.key: one for one in rows}, state=OperatorState(), open_pushes=pushes)


def test_what_was_in_flight_at_a_crash_is_in_doubt_and_the_rest_is_not() -> None:
    # The source returns to the acknowledged value before the restart, and Hubject keeps the other one.
    other = row(key="DEABCE2")
    push = OpenPush(push_id=3, action=ActionType.UPDATE, keys=("DEABCE1", "long forgotten"))
    changed = recovered(picture(row(), other, pushes=(push,)), now=NOW, restarted=True)
    assert [(one.key, one.in_doubt_since) for one in changed] == [("DEABCE1", NOW)]


def test_a_full_load_in_flight_at_a_crash_puts_every_evse_in_doubt() -> None:
    # A full load names nobody in its intent, so nobody would be in doubt.
    push = OpenPush(push_id=3, action=ActionType.FULL_LOAD, keys=())
    changed = recovered(picture(row(), row(key="DEABCE2"), pushes=(push,)), now=NOW, restarted=True)
    assert [(one.presence, one.in_doubt_since) for one in changed] == [(Presence.UNKNOWN, NOW)] * 2


def test_a_restart_waits_for_settle_anew_and_an_ordinary_cycle_does_not() -> None:
    # After a clock jump or a failover the rest of an old settle may be no wait at all.
    waiting = row(in_doubt_since=NOW - 59)
    assert [one.in_doubt_since for one in recovered(picture(waiting), now=NOW, restarted=True)] == [NOW]
    assert recovered(picture(waiting), now=NOW, restarted=False) == []


def test_an_unchanged_evse_costs_no_write() -> None:
    # A million rows are rewritten every ten seconds.
    first = observed(None, desired(), now=NOW, absent=True)
    assert first is not None
    assert observed(first, desired(), now=NOW + 10, absent=True) is first


def test_an_evse_first_seen_unpublished_is_not_remembered() -> None:
    # Planned EVSEs fill the ledger, then "go missing".
    assert observed(None, desired(None), now=NOW, absent=True) is None


@pytest.mark.parametrize(("baseline", "presence"), [(True, Presence.ABSENT), (False, Presence.UNKNOWN)])
def test_a_new_evse_is_absent_only_if_we_know_what_hubject_holds(baseline: bool, presence: Presence) -> None:
    # A first run takes what others pushed before for "not there" and quarantines it.
    new = observed(None, desired(), now=NOW, absent=baseline)
    assert new is not None
    assert (new.presence, new.changed_at) == (presence, NOW)


def test_a_change_is_dated_from_its_first_sight() -> None:
    # Lag starts anew with every read, so it looks short however long Hubject is behind.
    first = observed(row(), desired(OCCUPIED), now=NOW, absent=True)
    assert first is not None
    rephrased = msgspec.structs.replace(desired(OCCUPIED), value="Y")
    second = observed(first, rephrased, now=NOW + 10, absent=True)
    assert second is not None
    assert second.changed_at == NOW


def test_a_source_that_returns_to_the_acknowledged_value_waits_for_nothing() -> None:
    # A flapping charger stays in the backlog for ever.
    flapped = observed(row(desired=OCCUPIED, changed_at=NOW - 10), desired(AVAILABLE), now=NOW, absent=True)
    assert flapped is not None
    assert flapped.changed_at is None


def test_a_returned_evse_is_missing_no_more() -> None:
    # It is withdrawn although it is back.
    back = observed(missed(row(), now=NOW, last_seen=NOW - 10), desired(), now=NOW + 10, absent=True)
    assert back is not None
    assert (back.first_missing, back.last_seen) == (None, None)


def test_the_first_miss_counts_and_later_ones_do_not_move_it() -> None:
    # missing_after never passes.
    first = missed(row(), now=NOW, last_seen=NOW - 10)
    assert (first.first_missing, first.last_seen) == (NOW, NOW - 10)
    assert missed(first, now=NOW + 10, last_seen=NOW) is first


def test_another_spelling_is_noted_but_what_hubject_acknowledged_is_sent() -> None:
    # Hubject is asked to update an id it may not know in this spelling.
    renamed = observed(row(), desired(wire_id="DEABCE1"), now=NOW, absent=True)
    assert renamed is not None
    assert (renamed.wire_id, renamed.source_id) == ("DE*ABC*E1", "DEABCE1")
    unpublished = row(status=None, presence=Presence.ABSENT)
    fresh = observed(unpublished, desired(wire_id="DEABCE1"), now=NOW, absent=True)
    assert fresh is not None
    assert fresh.wire_id == "DEABCE1"


def test_a_refusal_does_not_forget_that_the_record_was_in_doubt() -> None:
    # The request that got no answer is applied minutes later, and nobody pushes the right status after it.
    doubtful = refused(row(in_doubt_since=NOW - 60))
    assert (doubtful.in_doubt_since, doubtful.reassert_at) == (None, NOW - 60 + 600)
    assert refused(row(reassert_at=NOW - 1)).reassert_at == NOW - 1
