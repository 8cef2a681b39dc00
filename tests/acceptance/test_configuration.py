"""Where the configuration comes from, and that what it says is what Hubject gets."""

from __future__ import annotations

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House


@pytest.mark.parametrize(
    ("words", "variable"),
    [
        (("--config", "adapter.toml", "sync"), ""),
        (("sync", "--config", "adapter.toml"), ""),
        (("--config", "nowhere.toml", "sync", "--config", "adapter.toml"), ""),
        (("sync",), "adapter.toml"),
        (("sync", "--config", "adapter.toml"), "nowhere.toml"),
        (("sync",), ""),
    ],
    ids=["before", "after", "after wins", "variable", "option over variable", "default"],
)
def test_the_file_is_found_wherever_it_is_named(house: House, words: tuple[str, ...], variable: str) -> None:
    # In the field: every deployment names it in another way; a wrong choice publishes with another operator's id.
    evses = fleet(3)
    house.exports(evses)
    house.configure()
    if not variable and "--config" not in words:
        (house.place / "config").mkdir()
        (house.place / "adapter.toml").rename(house.place / "config" / "adapter.toml")
    done = house.call(*words, config=False, env={"OICP_ADAPTER_CONFIG": variable} if variable else None)
    assert done.code == 0, done.said
    assert house.holds() == published(evses)
    assert house.ledger.exists()


def test_the_environment_overrides_the_file_all_the_way_to_hubject(house: House) -> None:
    # In the field: one image for 200 operators, each with its own environment.
    house.exports(fleet(3, operator="DE*ENV"))
    house.configure(evse_id_prefixes='["DE*ENV"]', name='"${CPO_NAME}"')
    environment = {
        "OICP_ADAPTER__OPERATORS__SLB__NAME": "Stadtwerke Überall",
        "OICP_ADAPTER__OPERATORS__SLB__ID": "DE*SLB",
        "OICP_ADAPTER__OPERATORS__SLB__EVSE_ID_PREFIXES": "DE*SLB, DE*ENV",
        "CPO_NAME": "overridden",
    }
    done = house.call("plan", env=environment)
    assert done.code == 0, done.said
    assert "3 to send" in done.out
    misspelt = house.call("plan", env=environment | {"OICP_ADAPTER__OPERATORS__SLB__NMAE": "x"})
    assert misspelt.code == 2
    assert "OICP_ADAPTER__OPERATORS__SLB__NAME?" in misspelt.err
    missing = house.call("plan", env={"PATH": "/usr/bin:/bin"})
    assert missing.code == 2
    assert "CPO_NAME" in missing.err


def test_the_name_of_the_environment_is_the_operator_name_of_every_push(house: House) -> None:
    # In the field: Hubject shows this name to its support.
    house.exports(fleet(1))
    house.configure()
    done = house.call("sync", env={"OICP_ADAPTER__OPERATORS__SLB__NAME": "Stadtwerke Überall"})
    assert done.code == 0
    assert [entry.operator_name for entry in house.requests()] == ["Stadtwerke Überall"]
