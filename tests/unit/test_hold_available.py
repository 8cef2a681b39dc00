"""Hold before Available: a change to Available waits, across restarts; everything else goes at once."""

from __future__ import annotations

import msgspec
import pytest

from oicp_adapter.core.model import ActionType, Desired, EvseStatus
from oicp_adapter.core.plan import Mode, PlanPolicy, make_full_load, make_plan
from oicp_adapter.core.records import EvseRow, Presence, Quarantine
from oicp_adapter.core.transitions import acknowledged, doubted, observed

AVAILABLE, OCCUPIED, UNKNOWN = EvseStatus.AVAILABLE, EvseStatus.OCCUPIED, EvseStatus.UNKNOWN
T0 = 1_800_000_000.0
HOLD = PlanPolicy(hold_available=30.0)
BUSY = EvseRow(
    key="E1",
    wire_id="E1",
    source_id="E1",
    presence=Presence.PRESENT,
    status=OCCUPIED,
    desired=OCCUPIED,
    rule="r",
    value="v",
)


def says(row: EvseRow | None, status: EvseStatus, *, at: float) -> EvseRow:
    desired = Desired(key="E1", wire_id="E1", status=status, rule="r", value="v")
    after = observed(row, desired, now=T0 + at, absent=True)
    assert after is not None
    return after


def sent(row: EvseRow, *, at: float, policy: PlanPolicy = HOLD, mode: Mode = Mode.DELTA) -> list[str]:
    made = make_plan([row], policy, now=T0 + at, complete=True, mode=mode)
    return [f"{change.action.value} {change.status}" for change in made.changes]


def test_a_change_to_available_waits_until_the_source_has_said_so_long_enough() -> None:
    # A charger that flaps sends drivers to a place that is taken again when they arrive.
    row = says(BUSY, AVAILABLE, at=0)
    assert [sent(row, at=at) for at in (0.0, 29.9, 30.0)] == [[], [], ["update Available"]]


def test_the_wait_begins_anew_when_the_source_changes_its_mind() -> None:
    # Without interruption: half a minute free, in pieces of five seconds, is not half a minute.
    row = says(BUSY, AVAILABLE, at=0)
    row = says(row, OCCUPIED, at=20)
    row = says(row, AVAILABLE, at=25)
    assert [sent(row, at=at) for at in (40.0, 54.0, 55.0)] == [[], [], ["update Available"]]


def test_the_wait_goes_on_while_reads_repeat_the_same() -> None:
    # Each read starts the wait anew: the charger is never free again.
    row = says(says(BUSY, AVAILABLE, at=0), AVAILABLE, at=25)
    assert sent(row, at=30.0) == ["update Available"]


def test_a_restart_neither_ends_the_wait_nor_starts_it_anew() -> None:
    # All that the wait depends on must be in the row that the ledger stores.
    row = says(BUSY, AVAILABLE, at=0)
    stored = msgspec.json.decode(msgspec.json.encode(row), type=EvseRow)
    assert (sent(stored, at=29.0), sent(stored, at=31.0)) == ([], ["update Available"])


@pytest.mark.parametrize("status", [OCCUPIED, EvseStatus.OUT_OF_SERVICE, UNKNOWN])
def test_away_from_available_nothing_waits(status: EvseStatus) -> None:
    # A taken or broken charger is shown as free for the length of the hold.
    free = msgspec.structs.replace(BUSY, status=AVAILABLE, desired=AVAILABLE)
    assert sent(says(free, status, at=0), at=0.0) == [f"update {status}"]


def test_an_evse_that_hubject_does_not_have_yet_does_not_wait() -> None:
    # A first load without its free chargers is a fleet without free chargers.
    assert sent(says(None, AVAILABLE, at=0), at=0.0) == ["insert Available"]


def test_by_default_nothing_waits() -> None:
    # P1: one delta interval.
    assert sent(says(BUSY, AVAILABLE, at=0), at=0.0, policy=PlanPolicy()) == ["update Available"]


def test_a_full_load_holds_what_is_held_back_with_its_last_status() -> None:
    # The nightly full load would publish, or withdraw, what waits.
    row = says(BUSY, AVAILABLE, at=0)
    assert make_full_load([row], HOLD, now=T0 + 1).records == (("E1", "E1", OCCUPIED),)


def test_a_doubt_is_resolved_with_the_last_status_while_available_is_held_back() -> None:
    # Hubject may hold either of two statuses for the length of the hold.
    row = says(doubted(BUSY, ActionType.UPDATE, now=T0 - 60, push_id=1), AVAILABLE, at=0)
    assert sent(row, at=1.0) == ["update Occupied"]


def test_a_refused_evse_is_not_pushed_with_an_old_status_while_available_is_held_back() -> None:
    # A push nobody asked for, refused again: one per cycle for as long as the charger flaps.
    refused = Quarantine(
        code="603", text="", process_id=None, since=T0, retry_at=T0, attempts=1, status=AVAILABLE
    )
    row = msgspec.structs.replace(says(BUSY, AVAILABLE, at=0), quarantine=refused)
    assert sent(row, at=1.0, mode=Mode.RECONCILE) == []
    assert sent(row, at=30.0, mode=Mode.RECONCILE) == ["update Available"]


def test_a_wanted_wait_is_no_lag() -> None:
    # P7 is reported as broken, and reconcile claims to have found something, whenever a hold ends.
    row = says(BUSY, AVAILABLE, at=0)
    (change,) = make_plan([row], HOLD, now=T0 + 31, complete=True).changes
    assert change.since == T0 + 30


def test_available_once_published_is_not_held_back_again() -> None:
    # A no-op push, or a pending change that never ends.
    row = acknowledged(
        says(BUSY, AVAILABLE, at=0), AVAILABLE, now=T0 + 30, push_id=1, wire_id="E1", settle=60
    )
    assert sent(says(row, AVAILABLE, at=40), at=40.0) == []
