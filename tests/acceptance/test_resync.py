"""A manual resync: through whoever pushes for the operator, by itself if nobody does, and told how it ended."""

from __future__ import annotations

import signal
import sqlite3

from oicp_adapter.ledger.lock import OperatorLock
from oicp_adapter.simulator import Fault
from tests.acceptance.fleet import fleet, published, without
from tests.acceptance.house import House, Verb, wait_until


def _ended(verb: Verb, number: signal.Signals | None = None) -> tuple[int, str]:
    ended = verb.ended(number, within=30)
    return ended.code, ended.said


def _hung(house: House, action: str) -> None:
    wait_until(lambda: house.simulator.faults.hits["hang", action], f"a {action} is in flight")


def test_a_resync_goes_through_the_running_daemon_and_is_followed_to_its_end(house: House) -> None:
    # In the field: certainty, by hand, while the daemon goes on.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    done = house.call("resync", "slb")
    assert (done.code, done.out) == (0, "slb: full load applied: 20 records\n")
    assert [line["command"] for line in daemon.lines("command.taken")] == ["resync"]
    assert daemon.waits_for("command.ended")["state"] == "done"
    [request] = house.requests()
    assert (request.action, request.count) == ("fullLoad", 20)
    as_json = house.call("resync", "slb", "--json")
    assert as_json.data == {"slb": {"exit_code": 0, "text": "full load applied: 20 records"}}


def test_a_refused_resync_tells_the_reason_and_the_fix_and_exits_3(house: House) -> None:
    # In the field: the person must learn why here, not from the daemon's log on another machine.
    evses = fleet(60)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    daemon = house.runs()
    house.exports(without(evses, list(evses)[:20]))
    daemon.waits_for("guard.refused")
    refused = house.call("resync", "slb")
    assert refused.code == 3
    assert "20 EVSEs would leave" in refused.out
    assert "--allow-withdrawal 20" in refused.out
    assert daemon.waits_for("command.ended")["state"] == "refused"
    assert house.holds() == published(evses)


def test_a_resync_that_hubject_refuses_or_does_not_answer_exits_4(house: House) -> None:
    # In the field: a script that goes on after a resync must know that it did not happen.
    evses = fleet(20)
    house.configure_quick(hubject__full_load_timeout='"2s"', hubject__retry_attempts="1")
    house.published(evses, adopt=True)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", apply=True, actions=("fullLoad",), count=1))
    in_doubt = house.call("resync", "slb")
    assert in_doubt.code == 4
    assert "doubt" in in_doubt.said
    daemon.waits_for("delta.done", after=len(daemon.lines("delta.done")), in_doubt=0)
    assert house.holds() == published(evses)

    house.simulator.faults.add(Fault(kind="no_subscription", actions=("fullLoad",), count=1))
    failed = house.call("resync", "slb")
    assert failed.code == 4
    assert "210" in failed.out
    assert {line["state"] for line in daemon.lines("command.ended")} == {"failed"}
    assert house.call("resync", "slb").code == 0, "a person who repaired it need not wait for the next probe"


def test_no_wait_hands_it_over_and_returns(house: House) -> None:
    # In the field: a chat bot must not hang for as long as a full load takes.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    handed = house.call("resync", "slb", "--no-wait")
    assert handed.code == 0
    assert "handed to `run`" in handed.out
    assert daemon.waits_for("command.ended")["state"] == "done"
    assert len(house.requests("fullLoad")) == 1


def test_a_dry_run_shows_what_it_would_do_and_sends_nothing(house: House) -> None:
    # In the field: what people type first when they are afraid.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses)
    right = house.call("resync", "slb", "--adopt", "20", "--dry-run")
    assert right.code == 0
    assert "a full load would hold 20 records" in right.out
    wrong = house.call("resync", "slb", "--adopt", "19", "--dry-run")
    assert wrong.code == 3
    assert "--adopt 20" in wrong.err
    assert house.requests() == []
    assert "unknown" in house.call("status").out


def test_a_resync_waits_for_the_sync_that_is_pushing_and_then_does_it_itself(house: House) -> None:
    # In the field: cron's `sync` is at work; nobody will ever look into its inbox.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    house.exports(evses | {"DE*SLB*E0001*1": "CHARGING"})
    with house.hubject_stands_still():
        sync = house.begin("sync")
        wait_until(lambda: house.simulator.in_flight, "the sync is pushing")
        resync = house.begin("resync", "slb")
        wait_until(lambda: _commands(house) == ["pending"], "the resync waits for its turn")
    code, said = _ended(sync)
    assert code == 0, said
    code, said = _ended(resync)
    assert code == 0, said
    assert "full load applied: 20 records" in said


def test_a_command_that_a_killed_daemon_never_took_up_is_done_by_itself(house: House) -> None:
    # In the field: the daemon crashes while somebody waits for a resync.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", apply=True, count=1))
    house.exports(evses | {"DE*SLB*E0001*1": "CHARGING"})
    _hung(house, "update")
    resync = house.begin("resync", "slb")
    wait_until(lambda: _commands(house) == ["pending"], "the command is handed over")
    daemon.dies()
    code, said = _ended(resync)
    assert code == 0, said
    assert "full load applied: 20 records" in said
    assert _commands(house) == ["cancelled"]
    assert house.holds() == published(evses | {"DE*SLB*E0001*1": "CHARGING"})


def test_a_command_whose_daemon_is_killed_at_work_is_failed_for_everybody(house: House) -> None:
    # In the field: a terminal that waits forever, and a command that the next daemon does not know how it ended.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", apply=True, count=1))
    resync = house.begin("resync", "slb")
    _hung(house, "fullLoad")
    daemon.dies()
    code, said = _ended(resync)
    assert code == 1
    assert "run it again" in said
    house.runs()
    assert _commands(house) == ["failed"]
    assert house.call("resync", "slb").code == 0


def test_ctrl_c_ends_the_following_but_not_the_resync(house: House) -> None:
    # In the field: the person goes home; the resync goes on, and says so.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    with house.hubject_stands_still():
        resync = house.begin("resync", "slb")
        wait_until(lambda: _commands(house) == ["running"], "the daemon is at it")
        code, said = _ended(resync, signal.SIGINT)
    assert code == 130
    assert "goes on" in said
    assert daemon.waits_for("command.ended")["state"] == "done"


def test_what_waits_for_a_verb_is_taken_back_when_its_person_leaves(house: House) -> None:
    # In the field: cron's `sync` takes no commands. "goes on without you" was done by nobody, until a daemon started
    # within the hour and sent the full load of somebody who had thought better of it.
    house.configure_quick()
    house.published(fleet(20), adopt=True)
    lock = OperatorLock(house.ledger.with_name("ledger.db.DESLB.lock"), holder="sync", now=lambda: 0.0)
    with lock:
        unasked = house.call("resync", "slb", "--no-wait")
        assert (unasked.code, "takes no commands" in unasked.out) == (1, True), unasked.said
        assert _commands(house) == []
        resync = house.begin("resync", "slb")
        wait_until(lambda: _commands(house) == ["pending"], "it waits for its turn")
        code, said = _ended(resync, signal.SIGINT)
    assert code == 130
    assert "taken back" in said
    assert _commands(house) == ["cancelled"]


def _commands(house: House) -> list[str]:
    with sqlite3.connect(f"file:{house.ledger}?mode=ro", uri=True) as connection:
        found = [state for (state,) in connection.execute("SELECT state FROM command ORDER BY id")]
    connection.close()
    return found
