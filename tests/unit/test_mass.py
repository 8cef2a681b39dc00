"""What no plan may do by accident: take a fleet for dead, or for unreadable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.guards import GuardPolicy, Refusal
from oicp_adapter.core.mass import Steps, is_step, mass_guard
from oicp_adapter.core.model import Cause, EvseStatus
from oicp_adapter.core.records import UNCOUNTED, EvseRow, Presence
from tests.fakes.rows import row

NOW = 1_800_000_000.0
HOUR = 3600.0
POLICY = GuardPolicy()
UNKNOWN = EvseStatus.UNKNOWN


def waiting(
    first: int, count: int, *, cause: Cause = Cause.STALE, ago: float = 0.0, **more: Any
) -> list[EvseRow]:
    """EVSEs from E<first> on whose step waits, since `ago` seconds."""
    step: dict[str, Any] = {"desired": UNKNOWN, "cause": cause, "value": "X", "unread_since": NOW - ago}
    return [row(f"E{number}", **(step | more)) for number in range(first, first + count)]


def turned(first: int, count: int, *, ago: float = 60.0, **more: Any) -> list[EvseRow]:
    """EVSEs that took their step `ago` seconds ago."""
    step: dict[str, Any] = {"status": UNKNOWN, "turned_at": NOW - ago}
    return waiting(first, count, **(step | more))


def rest(first: int, count: int) -> list[EvseRow]:
    return [row(f"E{number}") for number in range(first, first + count)]


def asked(*groups: list[EvseRow], allowed: int | None = None, policy: GuardPolicy = POLICY) -> Steps:
    rows = [one for group in groups for one in group]
    assert len({one.key for one in rows}) == len(rows)
    return mass_guard(rows, policy, now=NOW, allowed=allowed, operator="slb")


def withheld(*groups: list[EvseRow], **more: Any) -> int:
    refusal = asked(*groups, **more).refusal
    return len(refusal.keys) if refusal else 0


@pytest.mark.parametrize(
    ("count", "of", "found"), [(5, 5, 0), (6, 6, 6), (50, 100, 0), (51, 100, 51), (6, 12, 0), (6, 11, 6)]
)
def test_more_than_half_and_more_than_five_are_too_many(count: int, of: int, found: int) -> None:
    # A stopped heartbeat service greys out the whole network.
    assert withheld(waiting(0, count), rest(count, of - count)) == found


@pytest.mark.parametrize("target", [EvseStatus.UNKNOWN, EvseStatus.OUT_OF_SERVICE])
def test_it_counts_what_gave_the_step_not_where_it_leads(target: EvseStatus) -> None:
    # With `offline_out_of_service_after` and heartbeats 5 h off the whole fleet is OutOfService in one cycle.
    assert withheld(waiting(0, 60, desired=target), rest(60, 40)) == 60


@pytest.mark.parametrize(("earlier", "more", "found"), [(40, 10, 0), (40, 11, 11), (50, 1, 1), (0, 50, 0)])
def test_what_turned_within_a_day_counts(earlier: int, more: int, found: int) -> None:
    # An unknown word that comes in row by row passes: 40, 65, 80, 90, 100 of 100.
    others = rest(earlier + more, 100 - earlier - more)
    assert withheld(turned(0, earlier), waiting(earlier, more), others) == found


def test_a_day_later_it_counts_no_longer() -> None:
    # The account is never empty again, and every dead charger needs a person.
    assert withheld(turned(0, 50, ago=24 * HOUR - 1), waiting(50, 10), rest(60, 40)) == 10
    assert withheld(turned(0, 50, ago=24 * HOUR), waiting(50, 10), rest(60, 40)) == 0


def test_what_passed_by_time_or_by_leave_is_not_counted_and_neither_is_what_left_the_map() -> None:
    # A real outage, once believed, makes every further dead charger wait; a removed one holds the others back.
    free = turned(0, 50, ago=NOW, in_doubt_since=NOW)
    assert free[0].turned_at == UNCOUNTED
    assert withheld(free, waiting(50, 10), rest(60, 40)) == 0
    gone = turned(0, 50, status=EvseStatus.EVSE_NOT_FOUND)
    assert withheld(gone, waiting(50, 25), rest(75, 25)) == 0


def test_a_step_whose_answer_was_lost_is_sent_again() -> None:
    # It passed once; refused now, the EVSE would be told Available again by the repair of the doubt.
    lost = waiting(0, 40, turned_at=NOW - 61, in_doubt_since=NOW - 61)
    steps = asked(lost, waiting(40, 20), rest(60, 40))
    assert steps.refusal is not None
    assert set(steps.refusal.keys) == {f"E{number}" for number in range(40, 60)}
    assert "; 40 more did within 24 h: 60 of 100 published" in steps.refusal.text


def test_one_that_passed_by_leave_and_is_in_doubt_stays_uncounted() -> None:
    # The lost answer enters into the account what a person has allowed.
    assert asked(waiting(0, 6, turned_at=UNCOUNTED, in_doubt_since=NOW)).uncounted == {
        f"E{number}" for number in range(6)
    }


def test_what_is_in_doubt_counts_though_its_turn_comes_after_settle() -> None:
    # A wrong vocabulary beside one lost answer: 40 % now and 20 % a minute later pass as less than half each.
    assert withheld(waiting(0, 20, in_doubt_since=NOW), waiting(20, 40), rest(60, 40)) == 60


def test_what_the_words_say_themselves_is_believed() -> None:
    # The backend says the truth, and it is withheld.
    assert withheld(waiting(0, 100, cause=Cause.REPORTED)) == 0
    assert withheld(waiting(0, 100, fallback=UNKNOWN)) == 0


@pytest.mark.parametrize(
    "more",
    [
        {"status": UNKNOWN, "in_doubt_since": NOW - 60},
        {"presence": Presence.ABSENT, "status": None},
        {"status": EvseStatus.EVSE_NOT_FOUND},
        {"first_missing": NOW - 60},
        {"desired": None},
    ],
)
def test_it_is_no_step_where_drivers_lose_nothing_by_it(more: dict[str, Any]) -> None:
    # Re-assertions of dead chargers, or new ones, trip the guard.
    (one,) = waiting(0, 1, **more)
    assert not is_step(one, one.desired)


def test_a_status_by_which_the_source_takes_the_evse_for_alive_is_no_step() -> None:
    # A status that can be read takes a share in the account.
    (one,) = waiting(0, 1, fallback=EvseStatus.OCCUPIED)
    assert (is_step(one, EvseStatus.OCCUPIED), is_step(one, UNKNOWN)) == (False, True)


def test_silence_is_believed_after_fifteen_minutes_each_evse_for_itself() -> None:
    # A real outage is hidden for ever; or who falls silent in its last minute is taken for dead at once.
    assert withheld(waiting(0, 60, ago=899), rest(60, 40)) == 60
    steps = asked(waiting(0, 60, ago=900), rest(60, 40))
    assert (steps.refusal, len(steps.uncounted)) == (None, 60)
    assert withheld(waiting(0, 60, ago=900), waiting(60, 40)) == 0, "those believed are not counted"
    assert withheld(waiting(0, 40, ago=900), waiting(40, 51), rest(91, 9)) == 51


def test_what_nobody_can_read_is_believed_after_half_a_day_with_an_error_if_it_was_withheld() -> None:
    # A dead vocabulary keeps a map frozen for weeks; or a wrong one greys out the fleet after a quarter of an hour.
    unmapped: dict[str, Any] = {"cause": Cause.UNMAPPED, "withheld": "mass_unknown"}
    assert withheld(waiting(0, 60, **unmapped, ago=12 * HOUR - 1), rest(60, 40)) == 60
    steps = asked(waiting(0, 60, **unmapped, ago=12 * HOUR), rest(60, 40))
    assert (steps.refusal, len(steps.uncounted), len(steps.believed)) == (None, 60, 60)
    assert not asked(waiting(0, 6, cause=Cause.UNMAPPED, ago=12 * HOUR)).believed, "it was never withheld"
    never = msgspec.structs.replace(POLICY, unmapped_believed_after=None)
    assert withheld(waiting(0, 60, **unmapped, ago=10**7), rest(60, 40), policy=never) == 60


def test_believed_silence_goes_out_while_unmapped_values_stay_back() -> None:
    # An unknown word holds back every dead charger.
    odd = waiting(60, 21, cause=Cause.UNMAPPED)
    refusal = asked(waiting(0, 60, ago=900), odd, rest(81, 0)).refusal
    assert refusal is None
    refusal = asked(waiting(0, 20, ago=900), waiting(20, 41, cause=Cause.UNMAPPED), rest(61, 20)).refusal
    assert refusal is not None
    assert (len(refusal.keys), "E0" in refusal.keys) == (41, False)


def test_a_person_s_leave_is_good_for_at_most_that_many_and_they_are_not_counted() -> None:
    # `--allow-unknown 60` turns six hundred because the export broke again meanwhile.
    fleet = waiting(0, 60, cause=Cause.UNMAPPED), rest(60, 40)
    assert withheld(*fleet, allowed=59) == 60
    steps = asked(*fleet, allowed=60)
    assert (steps.refusal, len(steps.by_leave), steps.uncounted) == (None, 60, steps.by_leave)
    few = asked(waiting(0, 10), rest(10, 90), allowed=60)
    assert not few.by_leave, "few enough need no leave, and count"


def refused(*groups: list[EvseRow]) -> Refusal:
    refusal = asked(*groups).refusal
    assert refusal is not None
    return refusal


def test_the_refusal_tells_how_many_of_how_many_why_and_what_to_type() -> None:
    # At 03:00 the engineer has to look it up.
    odd = waiting(2, 5, cause=Cause.UNMAPPED, value="Weird")
    refusal = refused(turned(0, 2), odd, waiting(7, 1), rest(8, 7))
    assert refusal.text == (
        "6 EVSEs would turn to Unknown, 1 by missing signs of life and 5 by values no table knows (Weird); "
        "2 more did within 24 h: 8 of 15 published is more than 50%"
    )
    assert "`oicp-adapter plan` names" in refusal.hint
    assert "SIGHUP" in refusal.hint, "the corrected file alone changes nothing in a running daemon"
    assert "15 min" in refusal.hint
    assert refusal.hint.endswith("oicp-adapter resync slb --allow-unknown 6")


def test_while_unmapped_steps_are_withheld_nothing_unmapped_appears() -> None:
    # A wrong vocabulary: what was EvseNotFound, and what was not published, comes to the maps as Unknown.
    new: dict[str, Any] = {"cause": Cause.UNMAPPED, "presence": Presence.ABSENT, "status": None}
    gone: dict[str, Any] = {"cause": Cause.UNMAPPED, "status": EvseStatus.EVSE_NOT_FOUND}
    others = waiting(20, 1, **new) + waiting(21, 1, **gone)
    refusal = refused(waiting(0, 8, cause=Cause.UNMAPPED), others)
    assert {"E20", "E21"} <= set(refusal.keys)
    assert refusal.hint.endswith("--allow-unknown 8"), "those are no loss to drivers"
    assert {"E20", "E21"} & set(refused(waiting(0, 8), others).keys) == set(), "silence is another thing"


def test_a_mass_of_another_kind_is_another_refusal() -> None:
    # Behind the silence that everybody knows of, the words become unreadable, and nobody is told.
    kinds = [
        refused(waiting(0, 60), rest(60, 40)).kind,
        refused(waiting(0, 70), rest(70, 30)).kind,
        refused(waiting(0, 60, cause=Cause.UNMAPPED), rest(60, 40)).kind,
        refused(waiting(0, 60, desired=EvseStatus.OUT_OF_SERVICE), rest(60, 40)).kind,
    ]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3
