"""Mutual TLS from file to Hubject: the operator's certificate opens the door, every other one is explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oicp_adapter.simulator import SimulatorOptions
from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import OPERATOR_ID, Ended, House, opened

SECRET = "sesame-4711"
FILES = {
    "hubject__ca_file": '"tls/ca.pem"',
    "operators__slb__certificate": '"tls/client.pem"',
    "operators__slb__key": '"tls/client.key"',
    "hubject__retry_attempts": "1",
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, SimulatorOptions(operators=[OPERATOR_ID], mutual_tls=True)) as house:
        house.exports(fleet(5))
        house.configure_quick(**FILES)
        yield house


def _certificate(house: House, operator: str = OPERATOR_ID, **spoiled: bool) -> None:
    house.simulator.certificates.write(house.place / "tls", operator, **spoiled)  # type: ignore[arg-type]


def _says(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.said
    assert all(word in ended.err for word in (*words, "fix:")), ended.err
    assert SECRET not in ended.said
    assert "PRIVATE KEY" not in ended.said.replace("-----BEGIN PRIVATE KEY-----", "")


def test_the_right_certificate_publishes_the_fleet(house: House) -> None:
    # In the field: the whole point; with a key password, as Hubject's portal issues them.
    house.simulator.certificates.write(house.place / "tls", OPERATOR_ID, password=SECRET, days=20)
    house.configure_quick(**FILES, operators__slb__key_password_file='"tls/client.password"')
    daemon = house.runs()
    assert house.holds() == published(fleet(5))
    expires = daemon.waits_for("certificate.expires")
    assert expires["days_left"] in (19, 20)
    assert house.call("status", "--json").data["slb"]["certificate_days_left"] in (19, 20)
    assert daemon.ends() == 0
    assert "certificate.expires" in house.call("sync").err, "who runs it from cron is warned, too"


def test_files_that_cannot_work_stop_it_before_anything_is_sent(house: House) -> None:
    # In the field: found at 03:00 by Hubject's answers instead of at the deployment by a sentence.
    _says(house.call("sync"), 2, "tls/ca.pem", "No such file")
    _certificate(house, expired=True)
    _says(house.call("sync"), 2, "tls/client.pem", "expired on")
    _says(house.call("run"), 2, "tls/client.pem", "expired on")
    _certificate(house, wrong_key=True)
    _says(house.call("sync"), 2, "tls/client.key", "does not belong to the certificate")
    house.simulator.certificates.write(house.place / "tls", OPERATOR_ID, password=SECRET)
    _says(house.call("sync"), 2, "tls/client.key", "encrypted")
    assert house.requests() == []


def test_what_only_hubject_can_see_exits_4_with_the_cause(house: House) -> None:
    # In the field: the certificate of the sister company, or of the test system.
    _certificate(house, operator="DE*ABC")
    _says(house.call("sync"), 4, "017", "OperatorID does not belong to the client certificate")
    _certificate(house, wrong_ca=True)
    _says(house.call("sync", "--now"), 4, "our client certificate is not accepted")
    _certificate(house, distrust_server=True)
    _says(house.call("sync", "--now"), 4, "server certificate is not accepted", "CA bundle")
    shown = house.call("status")
    assert shown.code == 0
    assert "CA bundle" in shown.out
    assert house.holds() == {}
    _certificate(house)
    assert house.call("sync", "--now").code == 0
    assert house.holds() == published(fleet(5))


def test_cron_does_not_hammer_a_hubject_that_refuses_us_as_a_whole(house: House) -> None:
    # In the field: a certificate that Hubject does not know, and every minute of the weekend another call.
    _certificate(house, operator="DE*ABC")
    assert house.call("sync").code == 4
    calls = len(house.requests())
    _says(house.call("sync"), 4, "017", "not tried again before", "sync --now")
    assert len(house.requests()) == calls
    _certificate(house)
    assert house.call("sync", "--now").code == 0


def test_status_says_of_a_certificate_that_it_has_expired(house: House) -> None:
    # In the field: "-1 days left" at 03:00, among lines that are all well.
    _certificate(house)
    assert house.call("sync").code == 0
    _certificate(house, expired=True)
    told = house.call("status").out
    assert re.search(r"certificate +expired [0-9]+ days ago$", told, re.MULTILINE), told


def test_status_works_without_the_certificate(house: House) -> None:
    # In the field: `status` is needed most when something is wrong.
    _certificate(house)
    assert house.call("sync").code == 0
    (house.place / "tls" / "client.pem").unlink()
    shown = house.call("status")
    assert shown.code == 0
    assert "Available 5" in shown.out
    assert "tls/client.pem" in shown.err
