"""A person keeps the adapter from pushing: for a while (`pause`), or while another interface still pushes (observe)."""

from __future__ import annotations

import getpass
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.fleet import fleet, published, without
from tests.acceptance.house import House, wait_until

REASON = "works at the backend"


def _pause(house: House, until: str | None = "1h") -> None:
    words = ["--until", until] if until else []
    ended = house.call("pause", "slb", "--reason", REASON, *words)
    assert ended.code == 0, ended.said


def test_nothing_is_pushed_during_a_pause_and_all_of_it_afterwards(house: House) -> None:
    # In the field: the backend is rebuilt, and every charger seems to be offline for an hour.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    _pause(house)
    house.exports(dict.fromkeys(evses, "CHARGING"))
    told = daemon.waits_for("operator.paused")
    assert REASON in told["text"]
    daemon.works(2)
    waiting = daemon.lines("delta.done")[-1]
    assert (waiting["read"], waiting["pushed"], waiting["backlog"]) == (10, 0, 10), "it goes on reading"
    assert (house.requests(), house.holds()) == ([], published(evses))
    assert len(daemon.lines("operator.paused")) == 1, "told once, not at every interval"

    assert house.call("resume", "slb").code == 0
    house.comes_to_hold(published(dict.fromkeys(evses, "CHARGING")))
    assert daemon.waits_for("operator.resumed")


def test_a_pause_is_shown_with_who_until_when_and_why_and_is_kept_in_the_audit(house: House) -> None:
    # In the field: the next shift finds a map that stands still.
    house.configure()
    house.published(fleet(3))
    _pause(house, "2030-01-31T18:00:00+01:00")
    shown = house.call("status").out
    assert f"until 2030-01-31T17:00:00Z: {REASON}" in shown
    assert f"paused by {getpass.getuser()}@" in shown
    facts = house.call("status", "--json").data["slb"]
    assert facts["paused"].endswith(REASON)
    assert house.call("resume", "slb").code == 0
    after = house.call("status", "--json").data["slb"]
    assert after["paused"] is None
    assert [line.split(": ")[1].split()[0] for line in after["audit"]] == ["resumed", "paused"]
    assert "was not paused" in house.call("resume", "slb").err


def test_a_pause_ends_by_itself(house: House) -> None:
    # In the field: nobody is awake to resume it.
    evses = fleet(4)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    _pause(house, "2s")
    began = time.monotonic()
    house.exports(dict.fromkeys(evses, "CHARGING"))
    house.comes_to_hold(published(dict.fromkeys(evses, "CHARGING")))
    assert time.monotonic() - began > 0.5
    assert daemon.waits_for("operator.resumed")
    assert house.call("status", "--json").data["slb"]["paused"] is None


def test_a_pause_survives_a_restart(house: House) -> None:
    # In the field: the machine reboots during the works.
    evses = fleet(4)
    house.configure_quick()
    house.published(evses)
    _pause(house, None)
    house.exports(dict.fromkeys(evses, "CHARGING"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        daemon = house.runs()
        daemon.works()
        daemon.ends(number)
    assert house.requests() == []
    assert "until somebody resumes" in house.call("status").out


def test_no_verb_pushes_during_a_pause_and_each_says_why(house: House) -> None:
    # In the field: a colleague's resync, well meant, in the middle of the works.
    evses = fleet(4)
    house.configure()
    house.published(evses)
    house.exports(dict.fromkeys(evses, "CHARGING"))
    _pause(house)
    for words in (["resync", "slb"], ["resync", "slb", "--adopt", "4"]):
        refused = house.call(*words)
        assert refused.code == 3, refused.said
        assert REASON in refused.out
        assert "fix: oicp-adapter resume slb" in refused.out
    cron = house.call("sync")
    assert (cron.code, "4 changes to send" in cron.out) == (0, True), "a script is no alarm"
    assert f"warning: nothing was sent: paused by {getpass.getuser()}@" in cron.err
    assert REASON in house.call("plan").err
    assert "nothing for now: paused by" in house.call("explain", "DE*SLB*E0001*1").out
    assert house.requests() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["slb", "--reason", "x", "--until", "tomorrow"], "neither a duration nor a time"),
        (["slb", "--reason", "x", "--until", "2020-01-01T00:00Z"], "not in the future"),
        (["nobody", "--reason", "x"], "no operator 'nobody'"),
        (["slb"], "--reason"),
    ],
    ids=["no time", "past", "no operator", "no reason"],
)
def test_a_pause_that_makes_no_sense_is_refused(house: House, words: list[str], said: str) -> None:
    # In the field: "paused until yesterday" pauses nothing, and nobody notices.
    house.configure()
    refused = house.call("pause", *words)
    assert refused.code == 2
    assert said in refused.err
    assert not house.ledger.exists()


def test_a_time_without_a_zone_is_utc(house: House) -> None:
    # In the field: one hour more or less of a map that stands still.
    house.configure()
    end = datetime.now(UTC) + timedelta(hours=3)  # noqa: TID251 - other processes live in real time
    _pause(house, end.strftime("%Y-%m-%dT%H:%M"))
    assert end.strftime("until %Y-%m-%dT%H:%M:00Z") in house.call("status").out


def test_observe_mode_pushes_nothing_and_logs_what_it_would_send(house: House) -> None:
    # In the field: the parallel run before the cut-over; one push beside the old interface and both are wrong.
    evses = fleet(12)
    house.configure_quick(operators__slb__mode='"observe"', operators__slb__first_full_load='"automatic"')
    house.exports(evses)
    daemon = house.runs()
    daemon.tell(signal.SIGUSR1)
    daemon.waits_for("full.done")
    assert daemon.lines("plan.observed")[0]["records"] == 12
    assert daemon.lines("evse.observed") == [], "the whole fleet is counted, `plan` lists it"

    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(evses)
    changed = daemon.waits_for("evse.observed", evse_id="DE*SLB*E0001*1")
    assert (changed["action"], changed["after"]) == ("insert", "Occupied")
    assert "ocpi CHARGING" in changed["reason"]
    daemon.works(2)
    assert len(daemon.lines("evse.observed")) == 1, "each change once, not at every interval"
    assert house.requests() == []


def test_every_verb_knows_the_observe_mode(house: House) -> None:
    # In the field: somebody believes a "done" that has sent nothing.
    house.exports(fleet(3))
    house.configure(operators__slb__mode='"observe"')
    sync = house.call("sync")
    assert (sync.code, "3 changes to send" in sync.out) == (0, True)
    assert 'nothing was sent: mode = "observe"' in sync.err
    adopt = house.call("resync", "slb", "--adopt", "3")
    assert adopt.code == 3
    assert 'fix: set operators.slb.mode = "push"' in adopt.out
    assert "mode observe: nothing is pushed" in house.call("status").out
    assert 'none of it is sent now: mode is "observe"' in house.call("plan").err
    assert 'mode is "observe"' in house.call("explain", "DE*SLB*E0001*1").out
    assert house.requests() == []


def test_after_the_cut_over_everything_arrives(house: House) -> None:
    # In the field: what was only observed must not count as pushed.
    evses = fleet(6)
    house.configure_quick(operators__slb__mode='"observe"')
    house.exports(evses)
    daemon = house.runs()
    daemon.works(2)
    gone = list(evses)[5]
    house.exports(without(evses, [gone]))
    daemon.works(2)
    assert daemon.ends() == 0
    house.configure_quick()
    house.runs()
    expected = published(without(evses, [gone]))
    wait_until(lambda: house.holds() == expected, "Hubject holds what the source says")
