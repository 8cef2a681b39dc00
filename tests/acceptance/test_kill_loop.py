"""kill -9 thirty times at random moments, while answers get lost; `scripts/torture --kills` does it 300 times."""

from __future__ import annotations

from pathlib import Path

from tests.torture.kills import kill_loop

KILLS = 30


def test_however_often_it_is_killed_hubject_ends_right_and_nothing_is_pushed_for_no_reason(
    tmp_path: Path,
) -> None:
    # In the field: a node that reboots in a loop. A status lost is a driver sent to a dead charger; pushing everything
    # again at every start is what Hubject's acceptable use policy forbids.
    outcome = kill_loop(tmp_path, kills=KILLS, seed=1)
    assert outcome.mistaken == {}, "what the ledger takes for done is done"
    assert outcome.settled, f"it moves no more: {outcome.waiting}"
    assert outcome.divergent == []
    assert outcome.too_often == {}, "at most two redundant pushes per EVSE and request in doubt"
    assert outcome.known.interrupted >= outcome.kills // 4, (
        "too few kills met a push in flight to prove anything"
    )
    assert outcome.known.full_loads >= 1, "no kill met a full load"
