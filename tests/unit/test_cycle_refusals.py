"""Full loads, what Hubject refuses and what the source calls gone, over many cycles."""

from __future__ import annotations

import pytest

from oicp_adapter.core.model import SourceRecord
from tests.fakes.answers import refused
from tests.fakes.operator import Choices, Operator, wire


def names(first: int, last: int) -> list[str]:
    return [f"E{number}" for number in range(first, last + 1)]


def fleet(first: int, last: int, value: str = "AVAILABLE") -> dict[str, str]:
    return dict.fromkeys(names(first, last), value)


def shown(operator: Operator) -> int:
    return sum(1 for status in operator.holds().values() if status != "EvseNotFound")


@pytest.mark.parametrize("adopt", [None, 80])
def test_a_full_load_by_a_person_asks_the_withdrawal_guard(adopt: int | None) -> None:
    # Whoever wants certainty, or confirms a number, does not mean that a fifth of the map may go.
    operator = Operator()
    operator.published(fleet(1, 100))
    operator.has(fleet(1, 80))
    operator.delta(after=10)
    report = operator.full(after=61, adopt=adopt, force=True)
    assert (report.full_load, [refusal.guard.value for refusal in report.refusals]) == (
        "refused",
        ["withdrawal"],
    )
    assert shown(operator) == 100


TWINS = ("+49*123*4*56", "+49*123*45*6")
"""Without separators they read alike."""


def test_a_name_that_fits_two_evses_takes_neither_out_of_a_full_load() -> None:
    # The one without EVSE data is named; the other, which is well, is deleted with it.
    operator = Operator(Choices(prefixes=("+49*123",)))
    operator.source.records = [SourceRecord(evse_id=evse_id, status="AVAILABLE") for evse_id in TWINS]
    operator.delta()
    operator.hub.script = [refused("603", "49123456")]
    assert operator.full(after=10).full_load == "rolling"
    assert set(operator.hub.held) == set(TWINS)
    assert not any(row.quarantine for row in operator.ledger.load().rows.values())


def test_the_first_automatic_full_load_is_not_refused_for_what_was_never_published() -> None:
    # A quarter of the fleet has no EVSE data yet, and the baseline waits for it for weeks.
    operator = Operator(Choices(baseline="", first_full_load="automatic"))
    operator.has({**fleet(1, 60), **fleet(61, 80), **fleet(81, 140, "REMOVED")})
    operator.hub.no_data = {wire(name) for name in names(61, 140)}
    operator.delta()
    report = operator.full(after=10)
    assert (report.full_load, report.full_records, report.refusals) == ("applied", 60, [])


def test_after_a_distrusted_ledger_the_printed_command_adopts_beside_what_is_gone_for_ever() -> None:
    # Each REMOVED EVSE counts as one that leaves, and the number that is asked for never fits.
    operator = Operator()
    operator.published({**fleet(1, 100), **fleet(101, 200, "REMOVED")})
    operator.sync.distrust("test")
    assert operator.delta(after=61).exit_code == 0
    assert operator.full(after=10, adopt=100).full_load == "applied"
    assert operator.holds() == fleet(1, 100, "Available")
