"""The source's word into the ledger's rows: only complete reads let an EVSE go."""

from __future__ import annotations

from typing import Any

import msgspec

from oicp_adapter.core.model import Cause, Desired, EvseStatus, MappedFleet
from oicp_adapter.core.records import EvseRow, Presence
from oicp_adapter.sync.observe import Observation, observe, unreadable

NOW = 1_800_000_000.0


def row(name: str, /, **more: Any) -> EvseRow:
    known = EvseRow(
        key=name,
        wire_id=name,
        source_id=name,
        presence=Presence.PRESENT,
        status=EvseStatus.AVAILABLE,
        desired=EvseStatus.AVAILABLE,
        rule="r",
        value="v",
    )
    return msgspec.structs.replace(known, **more)


def says(name: str, status: EvseStatus | None = EvseStatus.AVAILABLE, *, wire: str = "") -> Desired:
    return Desired(key=name, wire_id=wire or name, status=status, rule="r", value="v")


def see(
    *desired: Desired, rows: list[EvseRow] | None = None, complete: bool = True, baseline: bool = True
) -> Observation:
    return observe(
        MappedFleet(desired={one.key: one for one in desired}),
        {one.key: one for one in rows or []},
        complete=complete,
        baseline_known=baseline,
        last_complete_at=NOW - 10,
        now=NOW,
    )


def test_an_unchanged_fleet_writes_nothing() -> None:
    # A million rows are rewritten every ten seconds.
    seen = see(says("A"), rows=[row("A")])
    assert (seen.changed, seen.forgotten, seen.respelled) == ([], [], [])


def test_a_complete_read_marks_what_it_does_not_have() -> None:
    # Chargers taken away stay on the map.
    seen = see(rows=[row("A")])
    assert (seen.rows["A"].first_missing, seen.rows["A"].last_seen) == (NOW, NOW - 10)
    assert seen.changed == [seen.rows["A"]]


def test_an_incomplete_read_marks_nothing_as_missing() -> None:
    # Two exports caught half written, a minute apart, take chargers off the map.
    seen = see(says("B"), rows=[row("A"), row("B")], complete=False)
    assert (seen.rows["A"].first_missing, seen.changed) == (None, [])


def test_what_is_unpublished_now_is_missing_from_now_on() -> None:
    # PLANNED again: it vanishes at once, or stays for ever.
    assert see(says("A", None), rows=[row("A")]).rows["A"].first_missing == NOW
    assert see(says("A", None), rows=[row("A")], complete=False).rows["A"].first_missing is None


def test_unpublished_then_missing_is_one_absence() -> None:
    # A charger that is first announced as planned and then dropped waits twice.
    first = see(says("A", None), rows=[row("A", first_missing=NOW - 50, desired=None)])
    assert first.rows["A"].first_missing == NOW - 50
    assert see(rows=list(first.rows.values())).rows["A"].first_missing == NOW - 50


def test_an_incomplete_read_that_has_it_ends_the_absence() -> None:
    # It is in front of us, and withdrawn with the next complete read.
    back = see(says("A"), rows=[row("A", first_missing=NOW - 50)], complete=False)
    assert back.rows["A"].first_missing is None


def test_a_row_of_which_nothing_matters_is_forgotten_by_a_complete_read_only() -> None:
    # The ledger grows for ever; or half a file forgets what was quarantined.
    never = row("A", presence=Presence.ABSENT, status=None)
    assert see(rows=[never]).forgotten == ["A"]
    assert "A" not in see(rows=[never]).rows
    gone = row("A", presence=Presence.ABSENT, status=None, first_missing=NOW - 60)
    assert see(rows=[gone], complete=False).forgotten == []


def test_another_spelling_is_told_once() -> None:
    # A WARNING every ten seconds, or none.
    first = see(says("A", wire="a*1"), rows=[row("A")])
    assert [(one.wire_id, one.source_id) for one in first.respelled] == [("A", "a*1")]
    assert see(says("A", wire="a*1"), rows=list(first.rows.values())).respelled == []


def test_a_new_evse_is_no_respelling() -> None:
    # The first run warns of every EVSE.
    assert see(says("A")).respelled == []


def test_an_unreadable_source_turns_what_is_published_to_unknown() -> None:
    # Missing, unpublished, removed and unknown EVSEs are pushed too: chargers that were taken away years ago are back
    # on the maps, and too many to leave them again. Or the mass guard waits another quarter of an hour.
    rows = [
        row("A", cause=Cause.STALE),
        row("B", desired=EvseStatus.UNKNOWN),
        row("C", desired=None),
        row("D", first_missing=NOW - 5),
        row("E", changed_at=NOW - 30),
        row("F", desired=EvseStatus.EVSE_NOT_FOUND),
    ]
    turned = unreadable({one.key: one for one in rows}, now=NOW)
    assert [(one.key, one.desired, one.cause, one.changed_at) for one in turned] == [
        ("A", EvseStatus.UNKNOWN, Cause.REPORTED, NOW),
        ("E", EvseStatus.UNKNOWN, Cause.REPORTED, NOW - 30),
    ]
