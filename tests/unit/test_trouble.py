"""When Hubject is tried again after it failed as a whole."""

from __future__ import annotations

import pytest

from oicp_adapter.core.records import Trouble
from oicp_adapter.core.trouble import worsened

NOW = 1_800_000_000.0


def fail(before: Trouble | None, *, permanent: bool, chance: float, now: float = NOW) -> Trouble:
    return worsened(before, permanent=permanent, code="", text="", hint="", now=now, chance=chance)


def waits(*, permanent: bool, chance: float, times: int) -> list[float]:
    found, state = [], None
    for _ in range(times):
        state = fail(state, permanent=permanent, chance=chance)
        found.append(state.next_try - NOW)
    return found


def test_passing_trouble_is_retried_at_growing_intervals_within_a_minute() -> None:
    # Hubject is hammered while it recovers; or its recovery is noticed an hour late.
    assert waits(permanent=False, chance=1.0, times=9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_passing_trouble_has_full_jitter() -> None:
    # Two hundred operators come back in the same second.
    assert waits(permanent=False, chance=0.0, times=3) == [0, 0, 0]
    assert waits(permanent=False, chance=0.25, times=3) == [0.25, 0.5, 1]


@pytest.mark.parametrize(("chance", "part"), [(0.0, 0.5), (1.0, 1.0)])
def test_a_rejection_is_probed_slowly_whatever_the_jitter(chance: float, part: float) -> None:
    # A revoked certificate sends a request every few seconds for a weekend.
    expected = [60 * part, 120 * part, 240 * part, 480 * part, 960 * part, 1920 * part, 3600 * part]
    assert waits(permanent=True, chance=chance, times=8) == [*expected, 3600 * part]


def test_months_of_trouble_do_not_overflow() -> None:
    # The daemon dies of an arithmetic error in the third month of an outage.
    old = Trouble(permanent=False, code="", text="", hint="", since=0.0, failures=10**6, next_try=0.0)
    assert fail(old, permanent=False, chance=1.0).next_try == NOW + 60


def test_a_different_kind_of_trouble_starts_its_own_intervals_but_keeps_the_beginning() -> None:
    # After a night of timeouts the first certificate error waits an hour; "since when?" is lost.
    timeouts = fail(fail(None, permanent=False, chance=1.0, now=NOW - 9), permanent=False, chance=1.0)
    rejected = fail(timeouts, permanent=True, chance=1.0)
    assert (rejected.failures, rejected.since, rejected.next_try) == (1, NOW - 9, NOW + 60)
