"""What a wrong or corrected wall clock must not do: wait for hours, or not wait at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oicp_adapter.core.clockwork import JUMP, jumped, pulled_back, pulled_back_state
from oicp_adapter.core.model import EvseStatus, SourceRead
from oicp_adapter.core.records import EvseRow, Notice, OperatorState, Presence, Quarantine, Trouble
from oicp_adapter.oicp.answers import Answer
from tests.fakes.answers import IN_DOUBT, STOPPED, THROTTLED, TRANSIENT, UNREACHABLE, refused
from tests.fakes.operator import Choices, Operator

NOW, DAY = 1_700_000_000.0, 86_400.0
FLEET = {"E1": "AVAILABLE", "E2": "AVAILABLE"}


def row(**changes: Any) -> EvseRow:
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


WAITS = {"reassert_at": 600.0}
"""Of an EVSE, what is still to come, and the seconds it may lie ahead."""
SOURCES_OWN = {"source_time"}


def pulled(before: EvseRow) -> EvseRow:
    return pulled_back(before, now=NOW, settle=60.0, first_retry=900.0, longest_retry=DAY)


def times_of(kind: type[msgspec.Struct]) -> set[str]:
    """Every member that is a time: a number with a fraction."""
    return {field.name for field in msgspec.structs.fields(kind) if field.type in (float, float | None)}


@pytest.mark.parametrize("field", sorted(times_of(EvseRow) - SOURCES_OWN))
def test_no_time_of_an_evse_lies_in_the_future_but_by_its_own_wait(field: str) -> None:
    # Written while the clock was a day ahead: the EVSE is in doubt, or not yet missing for long, for a day and more.
    latest = NOW + WAITS.get(field, 0.0)
    assert getattr(pulled(row(**{field: NOW + DAY})), field) == latest
    kept = row(**{field: latest - 5.0})
    assert pulled(kept) is kept


@pytest.mark.parametrize(("attempts", "wait"), [(0, 900.0), (1, 900.0), (3, 3600.0), (60, DAY)])
def test_a_refused_evse_is_tried_again_after_its_own_wait_at_the_latest(attempts: int, wait: float) -> None:
    # The clock is put back by an hour, and what is due in a quarter of an hour comes in five; or it is hurried.
    entry = msgspec.structs.replace(quarantine(NOW + wait), attempts=attempts)
    kept = row(quarantine=entry)
    assert pulled(kept) is kept
    late = msgspec.structs.replace(entry, retry_at=NOW + wait + 3600, since=NOW + 3600)
    assert pulled(row(quarantine=late)).quarantine == entry


def state(field: str, time: float) -> OperatorState:
    return msgspec.structs.replace(OperatorState(), **{field: time})


def test_no_time_of_an_operator_lies_in_the_future() -> None:
    # A rolling resync, an outage or a full load that begins only next year.
    for field in times_of(OperatorState):
        after = pulled_back_state(state(field, NOW + DAY), now=NOW)
        assert getattr(after, field) == NOW, field
        before = state(field, NOW - 5.0)
        assert pulled_back_state(before, now=NOW) == before, field


def test_no_time_of_a_notice_lies_in_the_future() -> None:
    # The hourly reminder of a guard, and since when `status` says it stands.
    told = Notice(signature="x", since=NOW + DAY, logged_at=NOW + DAY)
    after = pulled_back_state(OperatorState(notices={"guard": told}), now=NOW).notices["guard"]
    assert {field: getattr(after, field) for field in times_of(Notice)} == {"since": NOW, "logged_at": NOW}


def trouble(*, tried_at: float, next_try: float, permanent: bool = True, not_before: float = 0.0) -> Trouble:
    return Trouble(
        permanent=permanent,
        code="017",
        text="",
        hint="",
        since=tried_at,
        failures=3,
        tried_at=tried_at,
        next_try=next_try,
        not_before=not_before,
    )


@pytest.mark.parametrize("ahead", [3600.0, 365 * DAY])
def test_hubject_is_tried_again_after_its_own_rest_at_the_latest(ahead: float) -> None:
    # The certificate is renewed, and the next probe is a year away; or an hour, after an outage of a minute.
    tried = NOW + ahead
    before = trouble(tried_at=tried, next_try=tried + 900, not_before=tried + 120)
    after = pulled_back_state(OperatorState(trouble=before), now=NOW).trouble
    assert after == trouble(tried_at=NOW, next_try=NOW + 900, not_before=NOW + 120)
    assert after is not None
    assert pulled_back_state(OperatorState(trouble=after), now=NOW + 5).trouble == after


@pytest.mark.parametrize(("permanent", "longest"), [(False, 60.0), (True, 3600.0)])
def test_no_rest_is_longer_than_its_kind(permanent: bool, longest: float) -> None:
    # The clock was put back while the request was on its way: tried at the old time, to be tried again by the new one.
    before = trouble(tried_at=NOW - 7200, next_try=NOW + 7200, permanent=permanent)
    after = pulled_back_state(OperatorState(trouble=before), now=NOW).trouble
    assert after is not None
    assert after.next_try <= NOW + longest


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


@pytest.mark.parametrize("step", [3600.0, 365 * DAY])
def test_a_clock_set_back_makes_no_quarantine_wait_longer(step: float) -> None:
    # The clock was a year ahead when the EVSE was refused: nobody tries it again for a year.
    operator = Operator()
    operator.published(FLEET)
    stepped(operator, step)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [refused("018")]
    operator.delta(after=10)
    operator.forget()
    stepped(operator, -step)
    operator.reconcile(after=10)
    assert operator.sent() == []
    operator.reconcile(after=900)
    assert operator.sent() == ["update E1=Occupied"]


@pytest.mark.parametrize("step", [3600.0, 365 * DAY])
@pytest.mark.parametrize(
    "outage", [UNREACHABLE, TRANSIENT, STOPPED, THROTTLED], ids=lambda answer: str(answer.reaction)
)
@pytest.mark.parametrize("restart", [False, True], ids=["in service", "at a restart"])
def test_a_clock_set_back_during_an_outage_delays_no_push_by_the_step(
    outage: Answer, step: float, restart: bool
) -> None:
    # The first push after the outage comes an hour late; a renewed certificate is tried in a year.
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [outage]
    operator.delta(after=10)
    operator.forget()
    stepped(operator, -step)
    if restart:
        operator.start()
    operator.delta(after=1)
    operator.delta(after=outage.retry_after or 60)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_rest_that_was_shortened_is_kept_by_a_cycle_that_fails_afterwards() -> None:
    # The ledger is full in the cycle that notices the jump: from the next one on nobody remembers that there was one.
    operator = Operator()
    operator.published(FLEET)
    operator.has({**FLEET, "E1": "CHARGING"})
    operator.hub.script = [STOPPED, STOPPED]
    operator.delta(after=10)
    operator.delta(after=7200)
    operator.forget()
    stepped(operator, -3600)
    read, operator.source.read = operator.source.read, _breaks  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        operator.delta(after=10)
    operator.source.read = read  # type: ignore[method-assign]
    operator.delta(after=120)
    assert operator.sent() == ["update E1=Occupied"]


def _breaks(now: float) -> SourceRead:
    raise RuntimeError("boom")


def test_a_clock_set_back_brings_what_was_in_doubt_once_more_in_its_time() -> None:
    # The re-assertion against a late apply comes an hour and ten minutes after the doubt.
    operator = doubted()
    operator.delta(after=61)
    assert operator.sent() == ["update E1=Occupied"]
    stepped(operator, -3600)
    for _ in range(11):
        operator.reconcile(after=60)
    assert operator.sent() == ["update E1=Occupied"]


def test_a_clock_set_back_does_not_keep_a_rolling_resync_from_anybody() -> None:
    # It pushes what was acknowledged before it began: after the step that would be nobody for an hour.
    operator = Operator(Choices(full_limit=1))
    operator.published(FLEET)
    stepped(operator, -3600)
    operator.delta(after=10)
    operator.full(after=10)
    operator.delta(after=10)
    assert sum("E1=Available" in request for request in operator.sent()) == 1


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
