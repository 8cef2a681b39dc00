"""The mapping and the delivery together: wrong vocabularies, EVSEs that come and go."""

from __future__ import annotations

import msgspec
import pytest

from oicp_adapter.core.guards import Guard
from tests.fakes.operator import Operator

WRONG = ["ocpp1.6", "ocpp2.x", "oicp", "chargefox", "chargefox-connector", "greenflux"]


def vocabulary(operator: Operator, name: str) -> None:
    """The operator's configuration is changed and the daemon restarted."""
    operator.choices = msgspec.structs.replace(operator.choices, vocabulary=name)
    operator.start()


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_vocabulary_changes_nothing_at_hubject_until_it_is_corrected(wrong: str) -> None:
    # One word in the configuration turns a whole fleet to Unknown for every driver, after 15 minutes at the latest.
    operator = Operator()
    # BLOCKED is a word of OCPI only; others differ from those of the wrong vocabulary in case alone, and are read.
    fleet = {f"E{number}": value for number, value in enumerate(["BLOCKED", "BLOCKED", "AVAILABLE"] * 10)}
    operator.published(fleet)
    held = operator.holds()
    vocabulary(operator, wrong)
    for minutes in (0, 1, 20, 600):
        report = operator.delta(after=60.0 * minutes)
        assert [refusal.guard for refusal in report.refusals] == [Guard.MASS_UNKNOWN]
        assert report.exit_code == 3
    assert operator.holds() == held
    assert operator.sent() == []
    vocabulary(operator, "ocpi")
    operator.has(fleet | {"E2": "CHARGING"})
    assert operator.delta().exit_code == 0
    assert operator.sent() == ["update E2=Occupied"]


def test_an_evse_that_is_planned_now_and_then_stays_on_the_map() -> None:
    # A location that is edited in the backend flickers on the drivers' maps.
    operator = Operator()
    fleet = {f"E{number}": "AVAILABLE" for number in range(20)}
    operator.published(fleet)
    for round_ in range(12):
        operator.has(fleet | {"E1": "PLANNED" if round_ % 2 else "AVAILABLE"})
        assert operator.delta(after=10.0).exit_code == 0
    assert operator.sent() == []
    assert operator.holds()["E1"] == "Available"


def test_an_evse_that_goes_back_to_planned_is_withdrawn_comes_back_and_gives_its_share_back() -> None:
    # It stays on the map although nobody can charge there; or its account blocks the withdrawal of real ones.
    operator = Operator()
    fleet = {f"E{number}": "AVAILABLE" for number in range(20)}
    operator.published(fleet)
    for _ in range(10):
        operator.has(fleet | {"E1": "PLANNED"})
        operator.delta(after=10.0)
        assert operator.sent() == []
        assert operator.delta(after=60.0).exit_code == 0
        assert operator.sent() == ["update E1=EvseNotFound"]
        assert operator.delta(after=10.0).exit_code == 0
        assert operator.sent() == []
        operator.has(fleet)
        assert operator.delta(after=10.0).exit_code == 0
        assert operator.sent() == ["update E1=Available"]
    assert operator.row("E1").withdrawn_at is None


def test_an_evse_that_was_never_published_is_not_announced_while_it_is_planned() -> None:
    # Drivers are sent to a building site.
    operator = Operator()
    operator.has({"E1": "AVAILABLE", "E2": "PLANNED"})
    operator.delta()
    operator.delta(after=600.0)
    assert operator.holds() == {"E1": "Available"}
    operator.has({"E1": "AVAILABLE", "E2": "AVAILABLE"})
    operator.delta(after=10.0)
    assert operator.holds() == {"E1": "Available", "E2": "Available"}
