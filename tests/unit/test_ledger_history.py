"""What of the past may be forgotten, and how a migration script is cut into statements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.ledger.history import DAY, LIMITS, Kept, Limits, expired
from oicp_adapter.ledger.schema import statements

NOW = 1_800_000_000.0


def finished(push_id: int, *, days: float, records: int = 1) -> Kept:
    return Kept(push_id=push_id, started_at=NOW - days * DAY, records=records)


def test_the_oldest_go_first() -> None:
    # Interrupted halfway, what is left must still be the newest.
    newest_first = [finished(3, days=1), finished(2, days=31), finished(1, days=32)]
    assert expired(newest_first, (), now=NOW, limits=LIMITS) == [1, 2]


def test_the_last_push_of_an_evse_stays_whatever_its_age() -> None:
    # A charger that has not changed for a quarter still needs its Process-ID when Hubject's support asks (P8).
    newest_first = [finished(2, days=90), finished(1, days=91)]
    assert expired(newest_first, {2, None}, now=NOW, limits=LIMITS) == [1]


@given(
    ages=st.lists(st.floats(0, 60 * DAY), max_size=30),
    last=st.sets(st.integers(1, 30)),
    limits=st.builds(Limits, pushes=st.integers(0, 40), records=st.integers(0, 60)),
)
def test_the_recent_and_the_last_are_never_forgotten_and_the_bounds_hold_for_the_rest(
    ages: list[float], last: set[int], limits: Limits
) -> None:
    # A rate window that was pruned exceeds Hubject's limit after a restart (P6).
    newest_first = [
        Kept(push_id=len(ages) - index, started_at=NOW - age, records=2)
        for index, age in enumerate(sorted(ages))
    ]
    forgotten = set(expired(newest_first, last, now=NOW, limits=limits))
    left = [push for push in newest_first if push.push_id not in forgotten]
    safe = [push for push in left if push.push_id in last or push.started_at > NOW - limits.recent]
    assert not forgotten & last
    assert all(push.started_at <= NOW - limits.recent for push in newest_first if push.push_id in forgotten)
    others = [push for push in left if push not in safe]
    assert len(others) <= limits.pushes
    assert sum(push.records for push in others) <= limits.records
    assert all(push.started_at >= NOW - limits.age for push in others)


def test_a_script_is_cut_only_where_a_statement_ends() -> None:
    # A migration cut inside a text or a trigger fails on the customer's file, not on ours.
    script = """-- a; comment
CREATE TABLE a (x TEXT DEFAULT ';'); -- done
CREATE TRIGGER t AFTER INSERT ON a BEGIN
    UPDATE a SET x = 1;
    UPDATE a SET x = 2;
END;
DROP TABLE a
"""
    parts = list(statements(script))
    assert [part.split()[0] for part in parts] == ["--", "CREATE", "DROP"]
    assert "".join(parts) == script
    assert parts[1].rstrip().endswith("END;")
