"""When a standing condition is worth a log line."""

from __future__ import annotations

from oicp_adapter.core.notices import DAY, HOUR, cleared, growing, noticed
from oicp_adapter.core.records import OperatorState

NOW = 1_800_000_000.0


def logged(*looks: tuple[float, str], every: float = HOUR) -> list[bool]:
    state, found = OperatorState(), []
    for after, signature in looks:
        state, due = noticed(state, "guard", signature, now=NOW + after, every=every)
        found.append(due)
    return found


def test_a_condition_is_told_when_it_begins_and_then_hourly() -> None:
    # An ERROR every ten seconds is switched off; one that sounds once is missed.
    looks = [(0.0, "A"), (10.0, "A"), (3599.0, "A"), (3600.0, "A"), (3610.0, "A"), (7200.0, "A")]
    assert logged(*looks) == [True, False, False, True, False, True]


def test_a_changed_condition_is_told_at_once() -> None:
    # Fifty more EVSEs are withheld and nobody hears of it for an hour.
    assert logged((0, "A"), (10, "B"), (20, "B"), (30, "A")) == [True, True, False, True]


def test_a_daily_condition_is_told_daily() -> None:
    # The unknown baseline fills the log.
    assert logged((0, ""), (HOUR, ""), (DAY - 1, ""), (DAY, ""), every=DAY) == [True, False, False, True]


def test_a_clock_set_back_does_not_silence_an_alarm() -> None:
    # After a wrong clock of a year ahead nothing is said for a year.
    assert logged((0, "A"), (-86_400, "A"), (-86_390, "A")) == [True, True, False]


def test_a_change_keeps_the_beginning() -> None:
    # "Since when?" is answered with the last change.
    state, _ = noticed(OperatorState(), "guard", "A", now=NOW)
    state, _ = noticed(state, "guard", "B", now=NOW + 60)
    assert (state.notices["guard"].since, state.notices["guard"].logged_at) == (NOW, NOW + 60)


def test_a_condition_that_ends_is_told_once_and_the_others_stand() -> None:
    # "cleared" every ten seconds, or another guard's alarm starts anew.
    state, _ = noticed(OperatorState(), "guard", "A", now=NOW)
    state, _ = noticed(state, "other", "A", now=NOW)
    state, was = cleared(state, "guard")
    again, was_again = cleared(state, "guard")
    assert (was, was_again, set(again.notices)) == (True, False, {"other"})
    assert again is state


def test_what_grows_is_told_anew_when_it_has_doubled_or_is_of_another_kind() -> None:
    # A fleet that falls silent charger by charger is an ERROR per cycle; or one, and nobody hears of the rest.
    state, found = OperatorState(), []
    for after, (kind, count) in enumerate([("A", 6), ("A", 11), ("A", 7), ("A", 12), ("A", 23), ("B", 23)]):
        state, due = noticed(
            state, "guard", growing(state.notices.get("guard"), kind, count), now=NOW + 10 * after
        )
        found.append(due)
    assert found == [True, False, False, True, False, True]
