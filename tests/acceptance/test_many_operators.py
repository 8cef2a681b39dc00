"""Several operators in one file: the trouble of one is nobody else's, and is not overlooked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oicp_adapter.simulator import SimulatorOptions
from tests.acceptance.fleet import fleet, published, write_locations
from tests.acceptance.house import House, opened, wait_until

ODD = fleet(4, operator="DE*ODD")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two operators with certificates of their own; that of `odd` has expired."""
    options = SimulatorOptions(operators=["DE*SLB", "DE*ODD"], mutual_tls=True)
    with opened(tmp_path, options) as house:
        house.configure_quick(hubject__ca_file='"slb/ca.pem"', hubject__retry_attempts="1")
        file = house.place / "adapter.toml"
        text = file.read_text().replace(
            "[operators.slb]\n", '[operators.slb]\ncertificate = "slb/client.pem"\nkey = "slb/client.key"\n'
        )
        other = text[text.index("[operators.slb]") :].split("\n[hubject]")[0]
        odd = (
            other.replace("slb/", "odd/")
            .replace("slb", "odd")
            .replace("DE*SLB", "DE*ODD")
            .replace("fleet.", "odd.")
        )
        head, tail = text[: text.index("[operators.slb]")], text[text.index("[operators.slb]") :]
        file.write_text(head + odd + "\n" + tail)  # the broken one comes first
        house.simulator.certificates.write(house.place / "slb", "DE*SLB")
        house.simulator.certificates.write(house.place / "odd", "DE*ODD", expired=True)
        house.exports(fleet(5))
        write_locations(house.place / "odd.json", ODD)
        yield house


def test_one_bad_certificate_keeps_no_other_operator_down(house: House) -> None:
    # In the field: 199 operators stand still, because the two hundredth forgot to renew.
    daemon = house.run()
    told = daemon.waits_for("certificate.unusable", operator="odd")
    assert (told["level"], "expired on" in told["text"], told["fix"]) == (
        "error",
        True,
        "request a new one from Hubject",
    )
    house.comes_to_hold(published(fleet(5)))
    stopped = daemon.waits_for("hub.stopped", operator="odd")
    assert "expired on" in stopped["text"]
    assert daemon.lines("certificate.unusable") == [told], "the other one is well"
    shown = house.call("status", "odd").out
    assert "expired on" in shown
    health = house.call("health")
    assert health.code == 0
    assert [line.split(";")[0] for line in health.out.splitlines()] == ["odd: healthy", "slb: healthy"]
    assert "nothing can be pushed" in health.out.splitlines()[0]
    check = house.call("check")
    assert check.code == 2
    assert "odd certificate: the client certificate" in check.out


def test_the_right_files_cure_it(house: House) -> None:
    # In the field: the new certificate comes; a restart is the quick way, and a resync by hand tries at once, too.
    daemon = house.run()
    daemon.waits_for("hub.stopped", operator="odd")
    shutil.rmtree(house.place / "odd")
    house.simulator.certificates.write(house.place / "odd", "DE*ODD")
    assert house.call("resync", "odd", "--adopt", "4").code == 0
    assert house.simulator.statuses("DE*ODD") == published(ODD)
    assert daemon.waits_for("hub.recovered", operator="odd")


def test_no_usable_certificate_at_all_ends_it_with_2(house: House) -> None:
    # In the field: the supervisor must see that starting again does not help.
    house.simulator.certificates.write(house.place / "slb", "DE*SLB", wrong_key=True)
    ended = house.call("run")
    assert ended.code == 2
    assert "odd/client.pem expired on" in ended.err
    assert "fix: request a new one" in ended.err
    assert house.requests() == []


def test_a_single_verb_goes_on_with_the_next_operator(house: House) -> None:
    # In the field: cron runs `sync` for all; one of them is never reached.
    (house.place / "odd.json").unlink()
    planned = house.call("plan")
    assert planned.code == 5
    assert "oicp-adapter: odd: " in planned.err
    assert "slb: 5 records read" in planned.out
    synced = house.call("sync")
    assert synced.code == 2, "2 before 5"
    assert "oicp-adapter: odd: the client certificate" in synced.err
    assert "slb: read 5 records, 5 of 5 changes acknowledged" in synced.out
    assert house.holds() == published(fleet(5))
    adopted = house.call("resync", "slb", "--adopt", "5")
    assert adopted.code == 0, adopted.said
    both = house.call("resync")
    assert both.code == 2
    assert "slb: full load applied: 5 records" in both.out


def test_what_concerns_all_of_them_is_told_once(house: House) -> None:
    # In the field: two hundred times the same sentence about one ledger.
    house.ledger.write_bytes(b"not a ledger\n" * 400)
    wait_until(house.ledger.exists, "the ledger is there")
    ended = house.call("plan")
    assert ended.code == 1
    assert ended.err.count("oicp-adapter: ") == 1
