"""`health`: whether a restart would help.

A check that cannot fail is none, and one that asks whether Hubject is up restarts for ever.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oicp_adapter.simulator import Fault, SimulatorOptions
from tests.acceptance.fleet import fleet
from tests.acceptance.house import OPERATOR_ID, Daemon, House, opened, wait_until
from tests.patience import AT_MOST

AGES = 3600.0
"""Seconds; longer than any job may take."""


@pytest.fixture
def tls_house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, SimulatorOptions(operators=[OPERATOR_ID], mutual_tls=True)) as house:
        yield house


def _health(house: House) -> tuple[int, str]:
    ended = house.call("health")
    assert ended.err == ""
    return ended.code, ended.out.strip()


def test_it_is_1_while_the_daemon_does_not_run_and_0_while_it_does(house: House) -> None:
    # In the field: Docker and Kubernetes ask nothing else.
    house.configure_quick()
    house.exports(fleet(3))
    assert _health(house) == (1, "slb: the daemon does not run")
    daemon = house.runs()
    assert _health(house) == (0, "slb: healthy")
    assert house.call("health", "--json").data == {"slb": {"healthy": True, "why": None, "note": None}}
    assert daemon.ends() == 0
    assert _health(house) == (1, "slb: the daemon does not run")
    daemon = house.runs()
    daemon.dies()
    assert _health(house) == (1, "slb: the daemon does not run"), "the kernel has freed its lock"


def test_a_sync_at_work_is_not_the_daemon(house: House) -> None:
    # In the field: a daemon that is gone, and a cron job that makes it look alive.
    house.configure()
    house.exports(fleet(3))
    house.simulator.faults.add(Fault(kind="hang", seconds=60, count=1))
    syncing = house.begin("sync")
    wait_until(lambda: house.simulator.faults.hits["hang", "insert"], "the sync pushes")
    assert _health(house) == (1, "slb: the daemon does not run")
    syncing.dies()


@pytest.mark.parametrize("trouble", ["rejected", "gone", "no source"])
def test_it_stays_0_when_a_restart_would_not_help(house: House, trouble: str) -> None:
    # In the field: Hubject is down for an hour, and every daemon of the platform is restarted a hundred times.
    house.configure_quick(hubject__retry_attempts="1")
    house.exports(fleet(3))
    if trouble == "gone":
        house.simulator.stop()
    elif trouble == "no source":
        house.export.unlink()
    else:
        house.simulator.faults.add(Fault(kind="no_subscription"))
    daemon = house.runs()
    daemon.works(2)
    assert _health(house) == (0, "slb: healthy")
    if trouble == "gone":
        house.simulator.start()


def _freeze(house: House, daemon: Daemon) -> None:
    """Stop it while it writes nothing: stopped in a transaction, it would keep us from writing, too.

    Who holds the write lock knows that the daemon does not, and so it stays until the daemon stands still.
    """
    with closing(sqlite3.connect(house.ledger, timeout=AT_MOST)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        daemon.tell(signal.SIGSTOP)
        status = Path(f"/proc/{daemon.pid}/status")
        wait_until(lambda: "\nState:\tT" in status.read_text(), "the daemon stands still")


def _made_old(house: House, daemon: Daemon) -> None:
    """As if the daemon had started, and ended its last job, an hour ago."""
    lock = house.place / "ledger.db.DESLB.lock"
    holder = json.loads(lock.read_text())
    with lock.open("r+") as file:
        file.write(json.dumps(holder | {"since": holder["since"] - AGES}) + "\n")
        file.truncate()
    connection = sqlite3.connect(house.ledger)
    with connection:
        connection.execute(
            "UPDATE job SET succeeded_at = succeeded_at - ?1, failed_at = failed_at - ?1,"
            " next_run_at = next_run_at - ?1",
            (AGES,),
        )
    connection.close()
    assert daemon.alive


def _pushed_nothing_since(house: House) -> None:
    connection = sqlite3.connect(house.ledger)
    with connection:
        connection.execute("UPDATE push SET started_at = started_at - ?", (AGES,))
    connection.close()


def test_a_daemon_that_hangs_is_1_until_it_works_again(house: House) -> None:
    # In the field: a file system that no longer answers; the process lives, and nothing comes round.
    house.configure_quick()
    house.exports(fleet(3))
    daemon = house.runs()
    _freeze(house, daemon)
    _made_old(house, daemon)
    assert _health(house) == (0, "slb: healthy"), "one job, but it pushes: as a first run of an hour"
    _pushed_nothing_since(house)
    code, said = _health(house)
    assert (code, "slb: no job has ended for 36" in said) == (1, True), said
    daemon.tell(signal.SIGCONT)
    daemon.works()
    assert _health(house) == (0, "slb: healthy")


def test_a_bad_certificate_is_told_but_is_no_reason_for_a_restart(tls_house: House) -> None:
    # In the field: one of 200 operators has an expired certificate; a restart stops the pushes of all the others.
    house = tls_house
    house.simulator.certificates.write(house.place / "tls", OPERATOR_ID)
    house.configure_quick(
        hubject__ca_file='"tls/ca.pem"',
        operators__slb__certificate='"tls/client.pem"',
        operators__slb__key='"tls/client.key"',
    )
    house.exports(fleet(3))
    house.runs()
    house.simulator.certificates.write(house.place / "tls", OPERATOR_ID, expired=True)
    code, said = _health(house)
    assert code == 0
    assert said.startswith("slb: healthy; nothing can be pushed: the client certificate")
    assert house.call("health", "--json").data["slb"]["note"].count("expired on") == 1


@pytest.mark.parametrize("spoilt", ["[hubject\n", "[log]\nlevel = 7\n"], ids=["no TOML", "a wrong value"])
def test_a_mistake_in_the_file_is_no_reason_to_end_a_daemon_that_works(house: House, spoilt: str) -> None:
    # In the field: somebody saves a typing error, the probe ends the pod, and it cannot start again.
    house.configure_quick()
    house.exports(fleet(3))
    daemon = house.runs()
    file = house.place / "adapter.toml"
    file.write_text(file.read_text() + spoilt)
    ended = house.call("health")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("oicp-adapter: the daemon runs, but could not start again: the configuration")
    assert house.call("health", "--json").data == {}
    daemon.dies()
    assert house.call("health").code == 2


def test_an_operator_that_only_the_file_has_is_no_reason_to_restart(house: House) -> None:
    # In the field: an operator is added, and the probe ends the pod in the middle of the others' pushes.
    house.configure_quick()
    house.exports(fleet(3))
    daemon = house.runs()
    file = house.place / "adapter.toml"
    head, _, slb = file.read_text().partition("[operators.slb]")
    file.write_text(f"{head}[operators.slb]{slb}\n[operators.new]{slb.replace('SLB', 'NEW')}")
    code, said = _health(house)
    assert (code, said.splitlines()[0]) == (0, "slb: healthy")
    assert (
        "new: healthy; nothing can be pushed: it came into the configuration after the daemon's start" in said
    )
    assert house.call("health", "new").code == 1
    assert daemon.ends() == 0
    assert _health(house)[0] == 1


def test_what_cannot_be_looked_at_is_not_healthy(house: House) -> None:
    # In the field: a probe with the wrong path must not stay green for ever.
    house.configure()
    assert house.call("health", "--config", "nowhere.toml", config=False).code == 2
    house.ledger.write_bytes(b"not a ledger\n" * 400)
    damaged = house.call("health")
    assert damaged.code == 1
    assert "ledger" in damaged.err
