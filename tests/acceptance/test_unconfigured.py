"""An operator that is not in the configuration any more: Hubject goes on showing its EVSEs, and somebody must know."""

from __future__ import annotations

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House, wait_until

SECTION = "An operator that is not in the configuration any more"


def _renamed(house: House) -> None:
    """DE*SLB had ten EVSEs at Hubject; the configuration has DE*NEW now, with an export of its own."""
    house.configure_quick()
    house.published(fleet(10), adopt=True)
    text = (house.place / "adapter.toml").read_text()
    (house.place / "adapter.toml").write_text(
        text.replace('"DE*SLB"', '"DE*NEW"').replace("fleet.json", "new.json")
    )
    (house.place / "new.json").write_text(house.export.read_text().replace("DE*SLB", "DE*NEW"))


def test_what_hubject_still_shows_of_a_renamed_operator_is_told(house: House) -> None:
    # In the field: an id changed in the file; for months drivers see the last statuses of the old one.
    _renamed(house)
    daemon = house.run()
    told = daemon.waits_for("operator.unconfigured")
    assert (told["level"], told["operator_id"], told["evses"]) == ("warning", "DESLB", 10)
    assert daemon.ends() == 0
    looked = house.call("status")
    assert looked.code == 0
    assert "Hubject shows 10 EVSEs of DESLB" in looked.err
    assert SECTION in looked.err
    assert "10 EVSEs of DESLB" in house.call("status", "--json").err
    checked = [one for one in house.call("check", "--json").data if one["operator"] == "DESLB"]
    assert [(one["what"], one["verdict"], SECTION in one["fix"]) for one in checked] == [
        ("ledger", "warning", True)
    ]
    assert "DESLB" not in house.call("check", "slb").said, "who asks for one operator is told of that one"


def test_an_operator_under_another_key_is_the_same_one(house: House) -> None:
    # In the field: a table is renamed, and ten EVSEs seem to be nobody's.
    house.configure_quick()
    house.published(fleet(10))
    text = (house.place / "adapter.toml").read_text()
    (house.place / "adapter.toml").write_text(text.replace("operators.slb", "operators.swlb"))
    assert "not in the configuration" not in house.call("status").said
    assert "not in the configuration" not in house.call("check").said


def test_an_operator_that_is_put_back_with_an_empty_source_can_be_withdrawn(house: House) -> None:
    # In the field: the way out that the page describes, step by step.
    _renamed(house)
    page = (house.place / "adapter.toml").read_text()
    leaves = """
[operators.leaving]
id = "DE*SLB"
name = "leaves"
source = { type = "file", path = "nobody.json", format = "json", vocabulary = "oicp" }
"""
    (house.place / "nobody.json").write_text("[]")
    (house.place / "adapter.toml").write_text(
        page.replace("[delivery]", '[delivery]\nmissing_after = "1s"') + leaves
    )
    assert "not in the configuration" not in house.call("status", "leaving").said

    def refused() -> bool:
        (house.place / "nobody.json").write_text("[]")  # written anew: one writing is not read twice
        return house.call("sync", "leaving").code == 3

    wait_until(refused, "the guard says no")
    assert house.holds() == published(fleet(10)), "nothing leaves without a person"
    done = house.call("resync", "leaving", "--allow-withdrawal", "10", "--empties-the-map")
    assert set(house.holds().values()) <= {"EvseNotFound"}, done.said
    (house.place / "adapter.toml").write_text(page)
    assert "not in the configuration" not in house.call("status").said


@pytest.mark.parametrize("spelling", ["DE*SLB", "deslb"])
def test_an_operator_that_somebody_else_looks_after_can_be_forgotten(house: House, spelling: str) -> None:
    # In the field: the chargers were sold; a daily warning about them for ever is one that nobody reads.
    _renamed(house)
    assert house.call("ledger", "forget", "DE*NEW").code == 2, "that one is looked after"
    assert house.call("ledger", "forget", "DE*ODD").code == 2, "nobody knows it"
    assert house.call("ledger", "forget", "odd").code == 2
    done = house.call("ledger", "forget", spelling)
    assert (done.code, "10 EVSEs are forgotten" in done.out) == (0, True), done.said
    assert "not in the configuration" not in house.call("status").said
    assert house.holds() == published(fleet(10))
    assert house.requests() == []

    text = (house.place / "adapter.toml").read_text()
    (house.place / "adapter.toml").write_text(
        text.replace('"DE*NEW"', '"DE*SLB"').replace("new.json", "fleet.json")
    )
    house.call("sync")
    back = house.call("status").out
    assert "baseline        unknown" in back
    assert f"forgot the operator {spelling.upper()}" in back
    assert house.holds() == published(fleet(10))


def test_an_operator_that_is_being_pushed_is_not_forgotten(house: House) -> None:
    # In the field: a second configuration beside the one that runs, on the same ledger.
    house.configure_quick()
    house.published(fleet(10))
    daemon = house.runs()
    text = (house.place / "adapter.toml").read_text().replace('"DE*SLB"', '"DE*NEW"')
    (house.place / "second.toml").write_text(text)
    refused = house.call("ledger", "forget", "DE*SLB", "--config", "second.toml", config=False)
    assert (refused.code, f"(process {daemon.pid} on" in refused.err) == (1, True), refused.said
