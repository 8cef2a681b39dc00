"""`explain`: one driver, one charger, one command."""

from __future__ import annotations

import sqlite3

from tests.acceptance.fleet import fleet
from tests.acceptance.house import House

FIRST = "DE*SLB*E0001*1"


def test_explain_finds_an_evse_wherever_it_is(house: House) -> None:
    # In the field: 03:00, one driver, one charger; every answer but a shrug helps.
    evses = fleet(4)
    house.simulator.set_evse_data(list(evses)[1:])
    house.configure()
    house.exports(evses | {"DE*XYZ*E1": "AVAILABLE"})
    assert house.call("sync").code == 0

    fine = house.call("explain", "deslbe00021")
    assert fine.code == 0
    for words in (
        "DE*SLB*E0002*1 (slb)",
        "AVAILABLE → Available",
        "ocpi AVAILABLE",
        "Available (present)",
        "Process-ID",
    ):
        assert words in fine.out
    refused = house.call("explain", FIRST)
    assert refused.code == 0
    for words in ("603", "tried again alone at", "nothing acknowledged", "answer: ", "fix: upload"):
        assert words in refused.out
    foreign = house.call("explain", "DE*XYZ*E1")
    assert (foreign.code, "not publishable since" in foreign.err, "prefixes" in foreign.err) == (
        0,
        True,
        True,
    )
    unknown = house.call("explain", "DE*SLB*E9999*1")
    assert (unknown.code, "nothing is known about" in unknown.err, "fix:" in unknown.err) == (1, True, True)
    assert unknown.out == ""
    no_id = house.call("explain", "charger 7")
    assert (no_id.code, "not an EvseID" in no_id.err) == (2, True)


def test_nothing_is_promised_while_the_source_is_unreadable(house: House) -> None:
    # In the field: "with the next delta" for six hours, because the export was gone.
    evses = fleet(2)
    house.configure()
    house.published(evses)
    house.export.unlink()
    assert house.call("sync").code == 5
    told = house.call("explain", FIRST).out
    assert "nothing for now: the source is unreadable since" in told
    assert "cannot be read" in house.call("status").out


def test_explain_for_machines_has_the_whole_story(house: House) -> None:
    # In the field: a support tool that shows Hubject's answer beside the charger.
    evses = fleet(2)
    house.configure()
    house.published(evses)
    house.exports(dict.fromkeys(evses, "CHARGING"))
    assert house.call("sync").code == 0
    (facts,) = house.call("explain", FIRST, "--json").data["evses"]
    assert [(push["action"], push["status"], push["outcome"]) for push in facts["history"]] == [
        ("update", "Occupied", "applied"),
        ("insert", "Available", "applied"),
    ]
    connection = sqlite3.connect(house.ledger)
    ids = {row[0] for row in connection.execute("SELECT process_id FROM push")}
    connection.close()
    assert {push["process_id"] for push in facts["history"]} <= ids
    assert facts["hubject_holds"] == "Occupied"
    unknown = house.call("explain", "DE*SLB*E9999*1", "--json")
    assert (unknown.code, unknown.data) == (1, {"evses": [], "rejected": []})


def test_explain_for_machines_says_why_a_record_cannot_be_published(house: House) -> None:
    # In the field: an empty list and exit 0, while the reason is on record.
    house.configure()
    house.exports({"Depot gate": "AVAILABLE", **fleet(1)})
    assert house.call("sync").code == 0
    told = house.call("explain", "Depot gate", "--json")
    ((rejected,), evses) = told.data["rejected"], told.data["evses"]
    assert (told.code, evses, rejected["operator"]) == (0, [], "slb")
    assert (rejected["evse_id"], "EvseID" in rejected["reason"]) == ("Depot gate", True)
