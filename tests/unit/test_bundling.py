"""What shares a request, and how much of it."""

from __future__ import annotations

import pytest

from oicp_adapter.core.bundling import bundle_size, bundles
from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.plan import Change, Kind
from oicp_adapter.core.records import Presence


def change(
    name: str,
    *,
    action: ActionType = ActionType.UPDATE,
    presence: Presence = Presence.PRESENT,
    kind: Kind = Kind.STATUS,
    removal: bool = False,
) -> Change:
    return Change(
        key=name,
        wire_id=name,
        action=action,
        status=EvseStatus.AVAILABLE,
        kind=kind,
        reason="",
        previous=None,
        presence=presence,
        since=None,
        held=True,
        removal=removal,
    )


def new(name: str, presence: Presence) -> Change:
    return change(name, action=ActionType.INSERT, presence=presence, kind=Kind.NEW)


def made(*changes: Change, size: int = 100) -> list[str]:
    return [f"{action.value} {''.join(one.key for one in part)}" for action, part in bundles(changes, size)]


@pytest.mark.parametrize(
    ("backlog", "round_trip", "size"),
    [
        (1, 0.1, 1),
        (50, 0.1, 1),
        (51, 0.1, 2),
        (10_000, 0.1, 200),
        (100_000, 0.1, 1000),
        (100, 0.0, 1),
        (1000, 0.0, 7),
        (0, 0.1, 1),
    ],
)
def test_a_small_backlog_goes_one_by_one_and_a_large_one_drains_within_seconds(
    backlog: int, round_trip: float, size: int
) -> None:
    # Ten thousand changes one by one take a quarter of an hour; or one bad record refuses them all.
    assert bundle_size(backlog, round_trip=round_trip, calls_per_minute=1900) == size


def test_records_of_different_presence_never_share_a_request() -> None:
    # One that may be there refuses all that are not.
    present, absent = change("A"), new("B", Presence.ABSENT)
    unknown, doubtful = new("C", Presence.UNKNOWN), change("D", presence=Presence.UNKNOWN)
    assert sorted(made(present, absent, unknown, doubtful)) == [
        "insert B",
        "insert C",
        "update A",
        "update D",
    ]


def test_quarantined_records_go_last_and_alone() -> None:
    # The one that is known to be bad takes a bundle of good ones down with it.
    bad = [change(name, kind=Kind.QUARANTINE) for name in "AB"]
    assert made(*bad, change("C"), change("D")) == ["update CD", "update A", "update B"]


def test_removals_go_after_what_drivers_see_and_by_themselves() -> None:
    # A removal of what is not there refuses a status change.
    gone = change("A", removal=True)
    assert made(gone, change("B"), new("C", Presence.ABSENT)) == ["update B", "insert C", "update A"]


def test_a_bundle_keeps_the_plan_s_order_and_the_limit() -> None:
    # The oldest change waits longest.
    assert made(*(change(name) for name in "CABED"), size=2) == ["update CA", "update BE", "update D"]


def test_nothing_to_send_makes_no_request() -> None:
    # An empty request is legal for Hubject, and as a full load it deletes the fleet.
    assert made() == []
