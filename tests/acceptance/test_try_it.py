"""`simulate` and `demo`: what a newcomer starts first."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House, Verb
from tests.patience import AT_MOST


def _simulate(house: House, *words: str) -> tuple[Verb, str]:
    """Start `simulate`; its base_url."""
    simulating = house.begin("simulate", "--port", "0", *words, config=False)
    line = simulating.says("Hubject simulator: base_url = http")
    assert line == simulating.out.splitlines()[0]
    return simulating, line.split(" = ")[1]


def _look(base_url: str, page: str) -> object:
    address = base_url.removesuffix("/api/oicp") + "/_sim/" + page
    with urllib.request.urlopen(address, timeout=AT_MOST) as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_simulate_serves_and_ends_cleanly(house: House, number: signal.Signals) -> None:
    # In the field: the integration engineer's Hubject, before there is a contract.
    simulating, base_url = _simulate(house, "--operator", "DE*SLB")
    house.exports(fleet(3))
    house.configure(base_url=f'"{base_url}"')
    assert house.call("sync").code == 0
    assert _look(base_url, "statuses") == {"DE*SLB": published(fleet(3))}
    assert _look(base_url, "rules") == []
    ended = simulating.ended(number)
    assert ended.code == 0, ended.err
    assert "3 EVSEs held, 0 rules broken" in ended.err


def test_simulate_holds_what_it_is_given_and_breaks_on_request(house: House, tmp_path: Path) -> None:
    # In the field: rehearsing the cut-over with what Hubject holds today.
    (tmp_path / "held.json").write_text(json.dumps({"DE*SLB": {"DE*SLB*E9*1": "Unknown"}}))
    (tmp_path / "data.txt").write_text("\n".join(list(fleet(3))[:2]) + "\n")
    simulating, base_url = _simulate(house, "--preload", "held.json", "--evse-data", "data.txt")
    house.exports(fleet(3))
    house.configure(base_url=f'"{base_url}"')
    done = house.call("sync")
    assert "1 quarantined" in done.out
    expected = {"DE*SLB*E9*1": "Unknown", "DE*SLB*E0001*1": "Available", "DE*SLB*E0002*1": "Available"}
    assert _look(base_url, "statuses") == {"DE*SLB": expected}
    assert simulating.ends() == 0


def test_simulate_writes_the_certificates_it_accepts(house: House, tmp_path: Path) -> None:
    # In the field: trying mutual TLS before the real certificate has come.
    simulating, base_url = _simulate(house, "--mtls", "tls", "--operator", "DE*SLB")
    assert base_url.startswith("https://")
    house.exports(fleet(3))
    house.configure(
        base_url=f'"{base_url}"',
        hubject__ca_file='"tls/ca.pem"',
        operators__slb__certificate='"tls/client.pem"',
        operators__slb__key='"tls/client.key"',
    )
    done = house.call("sync")
    assert done.code == 0, done.said
    assert (tmp_path / "tls" / "client.key").stat().st_mode & 0o077 == 0
    err = simulating.ended(signal.SIGTERM).err
    # No browser has that certificate: the address alone answers nobody.
    assert f"look: curl --cacert tls/ca.pem --cert tls/client.pem --key tls/client.key {base_url[:-9]}" in err


def test_a_used_port_and_unusable_files_are_told_with_1(house: House) -> None:
    # In the field: a simulator forgotten in another terminal.
    used = house.call("simulate", "--port", str(house.simulator.port), config=False)
    assert used.code == 1
    assert str(house.simulator.port) in used.err
    missing = house.call("simulate", "--port", "0", "--preload", "nowhere.json", config=False)
    assert missing.code == 1
    assert "nowhere.json" in missing.err
    (house.place / "junk.json").write_text('{"DE*SLB": {"DE*SLB*E1": "Free"}}')
    wrong = house.call("simulate", "--port", "0", "--preload", "junk.json", config=False)
    assert wrong.code == 1
    assert "Free" in wrong.err


def test_the_demo_ends_by_itself_with_equal_views_and_no_rule_broken(house: House) -> None:
    # In the field: the first two minutes decide whether anybody reads on.
    told = house.call("demo", "--seconds", "4", config=False)
    assert told.code == 0, told.said
    assert told.err == ""
    assert "200 EVSEs acknowledged" in told.out
    assert "Hubject = backend" in told.out
    assert "0 rules broken" in told.out.splitlines()[-1]
    assert "differ" not in told.out
    assert [line for line in told.out.splitlines() if len(line) > 80] == [], (
        "a terminal of 80 columns breaks words"
    )


def test_ctrl_c_ends_the_demo_cleanly(house: House) -> None:
    # In the field: everybody ends it like this.
    demo = house.begin("demo", config=False)
    demo.says("Hubject = backend")
    ended = demo.ended(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")
    assert "0 rules broken" in ended.out
