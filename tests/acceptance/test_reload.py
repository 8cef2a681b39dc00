"""SIGHUP: source and mapping settings are read again under the running daemon; bad ones change nothing."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House

RULES = '\n[operators.slb.mapping.overrides]\nCHARGING = "OutOfService"\n'
SECRET = "s3cr3t-w0rd"


def test_sighup_takes_new_mapping_and_source_settings_without_a_restart(house: House) -> None:
    # In the field: an override at three in the afternoon, and no push is interrupted for it.
    evses = fleet(6, "CHARGING")
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    file = house.place / "adapter.toml"
    file.write_text(file.read_text() + RULES)
    daemon.tell(signal.SIGHUP)
    assert daemon.waits_for("daemon.reloaded")["operators"] == ["slb"]
    house.comes_to_hold(dict.fromkeys(evses, "OutOfService"))
    assert "override CHARGING" in house.call("explain", "DE*SLB*E0001*1").out

    moved = house.place / "elsewhere.json"
    house.exports(fleet(6))
    house.export.rename(moved)
    file.write_text(file.read_text().replace("fleet.json", "elsewhere.json"))
    daemon.tell(signal.SIGHUP)
    house.comes_to_hold(published(fleet(6)))
    assert daemon.ends() == 0


def test_sighup_takes_every_setting_of_source_and_mapping(house: House) -> None:
    # In the field: the setting that calms flapping chargers is written, told, and does nothing until the next restart.
    evses = fleet(3, "CHARGING")
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    file = house.place / "adapter.toml"
    text = file.read_text().replace('path = "fleet.json"', 'path = "fleet.json", unknown_after = "1s"')
    file.write_text(text + '\n[operators.slb.mapping]\nhold_available = "1h"\n')
    daemon.tell(signal.SIGHUP)
    daemon.waits_for("daemon.reloaded")
    house.exports(fleet(4))
    new = (fleet(4).keys() - evses.keys()).pop()
    house.comes_to_hold({**published(evses), new: "Available"})  # what is new to Hubject does not wait
    house.export.unlink()
    house.comes_to_hold(dict.fromkeys(fleet(4), "Unknown"))


def test_sighup_with_a_bad_configuration_changes_nothing_and_tells_no_secret(house: House) -> None:
    # In the field: a typing error on a Friday; the daemon must neither end nor run on half of it.
    evses = fleet(6)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    file = house.place / "adapter.toml"
    good = file.read_text()
    file.write_text(good.replace("[hubject]", f'[hubject]\nproxy = "{SECRET}"') + RULES.replace("Out", "In"))
    daemon.tell(signal.SIGHUP)
    told = daemon.waits_for("daemon.reload_rejected")
    assert (told["level"], "2 problems" in told["text"], bool(told["fix"])) == ("error", True, True)
    assert SECRET not in str(daemon.lines()) + daemon.err
    file.write_text("[[[")
    daemon.tell(signal.SIGHUP)
    daemon.waits_for("daemon.reload_rejected", after=1)
    file.unlink()
    daemon.tell(signal.SIGHUP)
    daemon.waits_for("daemon.reload_rejected", after=2)
    file.write_text(good + "\n" + ".".join(["mapping"] * 5_000) + " = 1\n")
    daemon.tell(signal.SIGHUP)
    assert "nests too deeply" in daemon.waits_for("daemon.reload_rejected", after=3)["text"]

    file.write_text(good)
    changed = dict.fromkeys(evses, "CHARGING")
    house.exports(changed)
    house.comes_to_hold(published(changed))
    daemon.tell(signal.SIGHUP)
    assert daemon.waits_for("daemon.reloaded")


@pytest.mark.parametrize("what", ["id", "address", "removed"])
def test_sighup_takes_nothing_of_an_operator_that_is_another_one_now(house: House, what: str) -> None:
    # In the field: a new id with its new export: the daemon read the new export and pushed it under the old id.
    evses = fleet(6)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    file = house.place / "adapter.toml"
    text = file.read_text().replace("fleet.json", "other.json") + RULES
    if what == "id":
        text = text.replace('"DE*SLB"', '"DE*NEW"')
    elif what == "address":
        text = text.replace("127.0.0.1", "localhost")
    else:
        text = text.replace("operators.slb", "operators.new").replace('"DE*SLB"', '"DE*NEW"')
    file.write_text(text)
    house.exports(fleet(6, "CHARGING"))
    house.comes_to_hold(published(fleet(6, "CHARGING")))
    (house.place / "other.json").write_text(house.export.read_text().replace("DE*SLB", "DE*NEW"))
    daemon.tell(signal.SIGHUP)
    told = daemon.waits_for("daemon.reload_kept", operator="slb")
    assert ("restart" in told["text"], told["level"]) == (True, "warning")
    assert daemon.waits_for("daemon.reloaded")["operators"] == []
    if what == "removed":
        assert "new in the configuration" in daemon.waits_for("daemon.reload_kept", operator="new")["text"]
    house.exports(evses)
    house.comes_to_hold(published(evses))
    assert house.simulator.statuses("DE*NEW") == {}


def test_sighup_takes_the_new_settings_of_the_other_operators(house: House) -> None:
    # In the field: one operator is renamed, and the mapping of 199 others waits for a restart.
    house.configure_quick()
    file = house.place / "adapter.toml"
    text = file.read_text()
    other = text[text.index("[operators.slb]") :].replace("slb", "two").replace("DE*SLB", "DE*TWO")
    file.write_text(text + "\n" + other.replace("fleet.json", "two.json"))
    evses = fleet(6, "CHARGING")
    house.exports(evses)
    daemon = house.run()
    house.comes_to_hold(published(evses))
    file.write_text(file.read_text().replace("DE*TWO", "DE*OLD") + RULES)
    daemon.tell(signal.SIGHUP)
    assert daemon.waits_for("daemon.reloaded")["operators"] == ["slb"]
    daemon.waits_for("daemon.reload_kept", operator="two")
    house.comes_to_hold(dict.fromkeys(evses, "OutOfService"))


def test_sighup_leaves_alone_what_needs_a_restart(house: House) -> None:
    # In the field: half of a change taken over, such as a new ledger under an old lock.
    evses = fleet(3)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    file = house.place / "adapter.toml"
    file.write_text(
        file.read_text().replace("ledger.db", "other.db").replace('name = "SWLB"', 'name = "Other"')
    )
    daemon.tell(signal.SIGHUP)
    daemon.waits_for("daemon.reloaded")
    house.exports(dict.fromkeys(evses, "CHARGING"))
    house.comes_to_hold(published(dict.fromkeys(evses, "CHARGING")))
    assert not (house.place / "other.db").exists()
    assert {entry.operator_name for entry in house.requests()} == {"SWLB"}
