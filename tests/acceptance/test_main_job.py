"""The main job with the minimal configuration: a fleet reaches Hubject, its changes do, and nothing else does."""

from __future__ import annotations

from collections import Counter

from tests.acceptance.fleet import city_fleet, fleet, published
from tests.acceptance.house import House

DELTA = 2.0
PUSH_TIME = 1.0
"""Seconds allowed for a push."""


def test_a_fleet_reaches_hubject_its_changes_follow_and_a_restart_pushes_nothing(house: House) -> None:
    # In the field: the first afternoon of the integration engineer.
    evses = city_fleet()
    house.exports(evses)
    house.configure()

    daemon = house.runs()
    assert house.holds() == published(evses)
    assert Counter(house.holds().values()) == {"Available": 226, "Occupied": 40, "OutOfService": 7}
    assert daemon.lines("delta.done")[0]["acked"] == 273

    house.simulator.clear_journal()
    edited = next(evse_id for evse_id, status in evses.items() if status == "AVAILABLE")
    evses[edited] = "CHARGING"
    house.exports(evses)
    house.comes_to_hold(published(evses), within=DELTA + PUSH_TIME)
    [request] = house.requests()
    assert (request.action, request.records) == ("update", ((edited, "Occupied"),))
    told = daemon.waits_for("evse.changed")
    assert (told["evse_id"], told["before"], told["after"]) == (edited, "Available", "Occupied")

    assert daemon.ends() == 0
    house.simulator.clear_journal()
    again = house.runs()
    again.works()
    assert house.requests() == []
    assert {line["read"] for line in again.lines("delta.done")} == {273}


def test_sync_alone_does_the_same_job_once(house: House) -> None:
    # In the field: operators that run it from cron instead of as a daemon.
    evses = fleet(20)
    house.exports(evses)
    house.configure()
    first = house.call("sync")
    assert (first.code, house.holds()) == (0, published(evses))
    assert "20 of 20 changes acknowledged" in first.out

    house.simulator.clear_journal()
    second = house.call("sync")
    assert (second.code, house.requests()) == (0, [])
    assert "0 of 0 changes acknowledged" in second.out
