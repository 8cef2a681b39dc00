"""The life of the daemon: signals, ends, and what goes wrong inside it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from oicp_adapter.signals import HANDLED
from oicp_adapter.simulator import Fault
from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import Daemon, House, wait_until
from tests.patience import AT_MOST

ENDING = [signal.SIGTERM, signal.SIGINT]
LONGER = f'"{2 * AT_MOST:.0f}s"'
"""A time that no test waits out, however slow the machine is."""


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_an_idle_daemon_at_once(house: House, number: signal.Signals) -> None:
    # In the field: every deployment; slow ends are killed, and a kill is a crash.
    house.exports(fleet(10))
    house.configure_quick()
    daemon = house.runs()
    assert daemon.ends(number, within=3) == 0
    assert daemon.lines()[-1]["event"] == "daemon.stopped"
    assert daemon.lines("daemon.stopping")[0]["signal"] == number.name
    assert not house.ledger.with_name("ledger.db-wal").exists(), "the ledger is closed: one file to back up"
    assert (house.open_pushes(), daemon.err) == (0, "")


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_lets_the_push_in_flight_end_and_begins_no_other(
    house: House, number: signal.Signals
) -> None:
    # In the field: a deployment in the middle of a push must not leave anything in doubt.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    with house.hubject_stands_still():
        house.exports(dict.fromkeys(evses, "CHARGING"))
        wait_until(lambda: house.simulator.in_flight, "a push is in flight")
        daemon.tell(number)
        daemon.waits_for("daemon.stopping")
    assert daemon.ends(None) == 0
    assert (house.open_pushes(), len(house.requests()), daemon.err) == (0, 1, "")
    occupied = [evse_id for evse_id, status in house.holds().items() if status == "Occupied"]
    assert len(occupied) == house.requests()[0].count

    again = house.runs()
    assert again.lines("ledger.recovered") == [], "nothing was in doubt"
    house.comes_to_hold(published(dict.fromkeys(evses, "CHARGING")))


def test_a_push_longer_than_grace_ends_with_1_and_is_made_good_by_the_next_start(house: House) -> None:
    # In the field: Hubject hangs during a deployment; the supervisor must not wait forever.
    evses = fleet(10)
    house.configure_quick(daemon__grace='"500ms"', hubject__timeout=LONGER)
    house.published(evses)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", apply=True, count=1))
    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(evses)
    wait_until(lambda: house.simulator.faults.hits["hang", "update"], "a push is in flight")
    assert daemon.ends() == 1
    assert daemon.lines("daemon.grace_over")[0]["operators"] == ["slb"]
    again = house.run()
    again.waits_for("ledger.recovered")
    again.waits_for("delta.done", in_doubt=0)
    assert house.holds() == published(evses)


def test_a_second_ctrl_c_does_not_wait_for_the_push_in_flight(house: House) -> None:
    # In the field: an engineer at a terminal stares at a program that ignores Ctrl-C for half a minute.
    evses = fleet(10)
    house.configure_quick(daemon__grace=LONGER, hubject__timeout=LONGER)
    house.published(evses)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", apply=True, count=1))
    house.exports(dict.fromkeys(evses, "CHARGING"))
    wait_until(lambda: house.simulator.faults.hits["hang", "update"], "a push is in flight")
    daemon.tell(signal.SIGINT)
    daemon.waits_for("daemon.stopping")
    assert daemon.ends(signal.SIGINT) == 1, "long before the grace time or the push is over"
    assert daemon.lines("daemon.grace_over")[0]["operators"] == ["slb"]
    assert house.open_pushes() == 1, "nobody waited for Hubject's answer"


def test_sigusr1_asks_for_a_full_load(house: House) -> None:
    # In the field: `systemctl reload` or a colleague with `kill -USR1`, for certainty.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    daemon.tell(signal.SIGUSR1)
    assert daemon.waits_for("full.done")["full_load"] == "applied"
    [request] = house.requests()
    assert (request.action, request.count) == ("fullLoad", 10)


def test_a_ledger_that_was_moved_away_stops_the_pushes_but_not_the_daemon(house: House) -> None:
    # In the field: somebody tidies up under a running daemon; pushes would be recorded where nobody reads them.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    aside = house.place / "aside.db"
    house.ledger.rename(aside)
    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(evses)
    failed = daemon.waits_for("ledger.failed")
    assert "moved or replaced" in failed["text"]
    assert house.requests() == []
    aside.rename(house.ledger)
    daemon.waits_for("ledger.usable")
    house.comes_to_hold(published(evses))
    assert daemon.lines("job.failed") == []


def test_two_operators_work_side_by_side_and_one_of_them_may_fail(house: House) -> None:
    # In the field: 200 operators in one process; the broken export of one is nobody else's trouble.
    house.configure_quick()
    text = (house.place / "adapter.toml").read_text()
    other = text[text.index("[operators.slb]") :].replace("slb", "odd").replace("DE*SLB", "DE*ODD")
    (house.place / "adapter.toml").write_text(text + "\n" + other.replace("fleet.json", "odd.json"))
    evses = fleet(10)
    house.exports(evses)
    daemon = house.run()
    daemon.waits_for("source.failed", operator="odd")
    daemon.waits_for("delta.done", operator="slb")
    house.comes_to_hold(published(evses))


def _handles_signals(daemon: Daemon) -> bool:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught & 1 << (HANDLED[-1] - 1))  # the last one it has a handler for


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_signals_in_the_first_moment_are_acted_on_when_it_runs(house: House) -> None:
    # In the field: `systemctl reload` right after a start killed the daemon, and Restart=on-failure left it dead.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.run()
    wait_until(lambda: _handles_signals(daemon), "its first moment")
    daemon.tell(signal.SIGHUP)
    daemon.tell(signal.SIGUSR1)
    daemon.waits_for("daemon.reloaded")
    assert daemon.waits_for("full.done")["full_load"] == "applied"
    assert daemon.ends() == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize("number", ENDING)
def test_a_stop_in_the_first_moment_ends_it_cleanly(house: House, number: signal.Signals) -> None:
    # In the field: a deployment that changes its mind; the supervisor counts a failure and starts it again.
    house.exports(fleet(10))
    house.configure_quick()
    daemon = house.run()
    wait_until(lambda: _handles_signals(daemon), "its first moment")
    assert daemon.ends(number) == 0
    assert (daemon.lines()[-1]["event"], daemon.err) == ("daemon.stopped", "")
    assert house.requests() == []


def test_a_daemon_that_is_started_while_a_verb_pushes_takes_over_when_it_has_ended(house: House) -> None:
    # In the field: cron's `sync` in the second of the deployment: the unit failed, and nobody pushed any more.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses)
    house.exports(dict.fromkeys(evses, "CHARGING"))
    with house.hubject_stands_still():
        verb = house.begin("sync")
        wait_until(lambda: house.simulator.in_flight, "a push is in flight")
        daemon = house.run()
        assert "`sync`" in daemon.waits_for("daemon.waits")["text"]
    daemon.waits_for("delta.done")
    assert verb.ends(None) == 0
    assert house.holds() == published(dict.fromkeys(evses, "CHARGING"))
