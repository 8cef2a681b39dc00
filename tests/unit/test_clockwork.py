"""What a wrong or corrected wall clock must not do: wait for hours, or not wait at all."""

from __future__ import annotations

import msgspec
import pytest

from oicp_adapter.core.clockwork import JUMP, jumped, pulled_back, pulled_back_state
from oicp_adapter.core.model import EvseStatus
from oicp_adapter.core.records import EvseRow, OperatorState, Presence, Quarantine, Trouble
from tests.fakes.answers import IN_DOUBT, STOPPED, refused
from tests.fakes.operator import Operator

NOW, DAY = 1_700_000_000.0, 86_400.0
FLEET = {"E1": "AVAILABLE", "E2": "AVAILABLE"}


def row(**changes: float | Quarantine | None) -> EvseRow:
    made = EvseRow(
        key="E1", wire_id="E1", source_id="E1", presence=Presence.PRESENT, status=EvseStatus.AVAILABLE
    )
    return msgspec.structs.replace(made, **changes)


def quarantine(retry_at: float) -> Quarantine:
    return Quarantine(
        code="022", text="", process_id=None, since=NOW, retry_at=retry_at, attempts=1, status=None
    )


@pytest.mark.parametrize(
    ("wall", "monotonic", "expected"),
    [
        (10.0, 10.0, False),
        (10.0 + JUMP, 10.0, False),
        (10.1 + JUMP, 10.0, True),
        (9.9 - JUMP, 10.0, True),
        (3610.0, 10.0, True),
        (-3590.0, 10.0, True),
        (3600.0, 3600.0, False),
    ],
)
def test_the_clock_has_jumped_when_it_moved_by_another_amount_than_time(
    wall: float, monotonic: float, expected: bool
) -> None:
    # A slow cycle is taken for a jump, and every wait begins anew; or NTP's correction of an hour goes unnoticed.
    assert jumped(wall=wall, monotonic=monotonic) is expected


@pytest.mark.parametrize(
    "field", ["in_doubt_since", "withdrawn_at", "changed_at", "first_missing", "last_seen"]
)
def test_what_has_happened_cannot_lie_in_the_future(field: str) -> None:
    # Written while the clock was a day ahead: the EVSE is in doubt, or not yet missing for long, for a day and more.
    ahead = pulled_back(row(**{field: NOW + DAY}), now=NOW, longest_wait=DAY)
    assert getattr(ahead, field) == NOW
    past = row(**{field: NOW - 5.0})
    assert pulled_back(past, now=NOW, longest_wait=DAY) is past


def test_what_is_still_to_come_may_lie_ahead_but_not_beyond_the_longest_wait() -> None:
    # A retry written in 2099 never comes; one that is due in an hour must not be hurried.
    kept = row(reassert_at=NOW + 600, quarantine=quarantine(NOW + DAY))
    assert pulled_back(kept, now=NOW, longest_wait=DAY) is kept
    lost = pulled_back(
        row(reassert_at=NOW + 2 * DAY, quarantine=quarantine(NOW + 2 * DAY)), now=NOW, longest_wait=DAY
    )
    assert lost.reassert_at == NOW + DAY
    assert lost.quarantine == quarantine(NOW)


def test_nobody_waits_for_a_time_that_may_never_come() -> None:
    # Hubject is given a rest until 2099.
    later = NOW + 2 * DAY
    trouble = Trouble(
        permanent=True,
        code="017",
        text="",
        hint="",
        since=NOW + DAY,
        failures=3,
        next_try=later,
        not_before=later,
    )
    state = OperatorState(
        trouble=trouble,
        full_doubt_since=NOW + 1,
        mass_since=NOW + 2,
        rolling_since=NOW + 3,
        last_read_at=NOW + 4,
        last_complete_at=NOW + 5,
        source_failing_since=NOW + 6,
        unusable_since=NOW + 7,
    )
    after = pulled_back_state(state, now=NOW, longest_wait=DAY)
    assert after.trouble == msgspec.structs.replace(trouble, since=NOW, next_try=NOW, not_before=0.0)
    assert {
        after.full_doubt_since,
        after.mass_since,
        after.rolling_since,
        after.last_read_at,
        after.last_complete_at,
        after.source_failing_since,
        after.unusable_since,
    } == {NOW}
    assert pulled_back_state(after, now=NOW, longest_wait=DAY) == after


# --- in service: the wall clock is stepped between two cycles -----------------------------------------------


def stepped(operator: Operator, seconds: float) -> None:
    """Somebody sets the wall clock; time itself goes on."""
    operator.clock.wall += seconds


def doubted() -> Operator:
    """E1 became Occupied, and Hubject did not answer."""
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [IN_DOUBT]
    operator.delta(after=10)
    operator.forget()
    return operator


def test_a_clock_set_forward_does_not_end_settle_early() -> None:
    # The old request is still on its way, and overtakes the new one.
    operator = doubted()
    stepped(operator, 3600)
    operator.delta(after=10)
    (line,) = operator.lines.of("daemon.clock_jumped")
    assert line["by"] == pytest.approx(3600)
    operator.delta(after=50)
    assert operator.sent() == []
    operator.delta(after=10)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_clock_set_forward_does_not_let_a_lost_full_load_delete_what_is_new() -> None:
    # It is inserted at once, the full load arrives after it, and the ledger is sure of a charger nobody can see.
    operator = Operator()
    operator.published(FLEET)
    operator.hub.script = [IN_DOUBT]
    operator.full(after=10)
    (lost,) = operator.hub.requests
    stepped(operator, 3600)
    operator.has({**FLEET, "E3": "AVAILABLE"})
    operator.delta(after=10)
    operator.hub.push(lost)
    operator.delta(after=61)
    assert operator.holds() == {"E1": "Available", "E2": "Available", "E3": "Available"}


def test_a_clock_set_back_does_not_prolong_settle_by_the_step() -> None:
    # An EVSE in doubt stays in doubt for an hour and a minute.
    operator = doubted()
    stepped(operator, -3600)
    operator.delta(after=10)
    operator.delta(after=50)
    assert operator.sent() == []
    operator.delta(after=10)
    assert operator.sent() == ["update E1=Occupied"]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_stepped_clock_alone_sends_nothing(step: float) -> None:
    # Twice a year, or at the first NTP answer after a start, the whole fleet is pushed.
    operator = Operator()
    operator.published(FLEET)
    stepped(operator, step)
    for _ in range(3):
        assert operator.reconcile(after=60).exit_code == 0
    assert operator.sent() == []
    assert len(operator.lines.of("daemon.clock_jumped")) == 1


def test_a_clock_set_back_makes_no_quarantine_wait_longer_than_a_day() -> None:
    # The clock was a year ahead when the EVSE was refused: nobody tries it again for a year.
    operator = Operator()
    operator.published(FLEET)
    stepped(operator, 365 * DAY)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [refused("018")]
    operator.delta(after=10)
    operator.forget()
    stepped(operator, -365 * DAY)
    operator.reconcile(after=10)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_clock_set_back_does_not_keep_hubject_at_rest() -> None:
    # The certificate is renewed, and the next probe is a year away.
    operator = Operator()
    operator.published(FLEET)
    stepped(operator, 365 * DAY)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [STOPPED]
    operator.delta(after=10)
    operator.forget()
    stepped(operator, -365 * DAY)
    operator.delta(after=10)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_clock_set_forward_lets_no_evse_go_early() -> None:
    # One read misses an EVSE, the clock is set by an hour, and the next read finds it gone for an hour.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E2": "AVAILABLE"})
    operator.delta(after=10)
    stepped(operator, 3600)
    operator.delta(after=10)
    assert operator.sent() == []
    operator.delta(after=60)
    assert operator.sent() == ["update E1=EvseNotFound"]


def test_a_clock_set_back_still_lets_go_what_is_gone() -> None:
    # What has gone stays on the drivers' maps for as long as the step was.
    operator = Operator()
    operator.published(FLEET)
    operator.has({"E2": "AVAILABLE"})
    operator.delta(after=10)
    stepped(operator, -3600)
    operator.delta(after=10)
    operator.delta(after=60)
    assert operator.sent() == ["update E1=EvseNotFound"]
