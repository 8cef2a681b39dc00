"""The demo's fleet and the example file that people start from."""

from pathlib import Path

from oicp_adapter.cli.demo_fleet import OICP, DemoFleet

EXAMPLE = Path(__file__).parents[2] / "config" / "fleet.example.csv"


def test_the_example_fleet_file_is_the_demos_fleet() -> None:
    # Breaks in the field: the documentation shows a fleet that the demo no longer has.
    assert EXAMPLE.read_text(encoding="utf-8") == DemoFleet().text()


def test_a_living_fleet_changes_exactly_what_it_tells() -> None:
    # Breaks in the field: the demo claims changes that the backend never made.
    fleet = DemoFleet()
    before = dict(fleet.states)
    told = fleet.live(3)
    assert {evse_id: (old, new) for evse_id, old, new in told} == {
        evse_id: (before[evse_id], state)
        for evse_id, state in fleet.states.items()
        if state != before[evse_id]
    }
    assert len(told) == 3


def test_every_state_the_fleet_can_reach_has_an_expected_status() -> None:
    # Breaks in the field: the demo dies in the middle of its story.
    fleet = DemoFleet()
    for _ in range(500):
        fleet.live(3)
    assert set(fleet.states.values()) <= set(OICP)
