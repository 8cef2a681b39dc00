"""Everything that can be wrong around the program: one clear message (what, where, fix) and the right exit code."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterable

import pytest

from oicp_adapter.simulator import Fault
from tests.acceptance.fleet import fleet, published, without
from tests.acceptance.house import Daemon, Ended, House, wait_until

FULL_AT = 32 * 1024
"""Bytes beyond which no file can grow while the disk is "full"."""
SECRET = "s3cr3t-w0rd"


def _clear(ended: Ended, code: int, *words: str) -> None:
    """It ended with this code, says these words to the person, and how to fix it; nothing of ours shows."""
    assert ended.code == code, ended.said
    for word in words:
        assert word in ended.err
    assert "fix:" in ended.err
    assert SECRET not in ended.said


def test_a_bad_configuration_names_every_problem_at_once_and_no_secret(house: House) -> None:
    # In the field: five rounds of correct-and-retry; a password in a ticket.
    house.configure(
        name='""',
        settle='"1m"',
        id='"XYZ"',
        schedule='{ delta = "2s", ful = "03:00" }',
        hubject__proxy=f'"{SECRET}"',
    )
    for verb in ("run", "sync", "status"):
        _clear(
            house.call(verb),
            2,
            "adapter.toml has 5 problems",
            "hubject.proxy",
            "delivery.settle",
            "operators.slb.id",
            "operators.slb.name",
            "operators.slb.schedule.ful: is not a setting; did you mean full?",
        )


def test_no_configuration_and_an_unknown_operator_say_what_there_is(house: House) -> None:
    # In the field: a path that is right on one machine only; a key that is Hubject's id instead of ours.
    _clear(house.call("run"), 2, "there is no configuration file adapter.toml", "--config")
    house.configure()
    house.exports(fleet(3))
    for words in (("sync",), ("plan",), ("resync",), ("status",), ("quarantine", "list")):
        _clear(house.call(*words, "DE*SLB"), 2, "no operator 'DE*SLB'", "one of: slb")


@pytest.mark.parametrize(
    "words", [("snyc",), ("sync", "--fast"), ("resync", "slb", "--adopt", "all"), ("resync", "--adopt")]
)
def test_wrong_usage_exits_2(house: House, words: tuple[str, ...]) -> None:
    # In the field: a script with a typing error must not look like a refusal or a success.
    ended = house.call(*words, config=False)
    assert (ended.code, ended.out) == (2, "")
    assert any(
        word in ended.err for word in ("No such command", "No such option", "Invalid value", "requires an")
    )


def test_a_missing_source_exits_5_and_says_so(house: House) -> None:
    # In the field: the first run, before the export job ran for the first time.
    house.configure()
    for verb in ("sync", "plan"):
        _clear(house.call(verb), 5, "fleet.json", "cannot be read")
    assert "the source could not be read" in house.call("sync").out
    assert house.requests() == []


def test_hubject_out_of_reach_exits_4_and_the_next_run_makes_it_good(house: House) -> None:
    # In the field: a firewall; nothing was lost, and a script must notice.
    evses = fleet(5)
    house.exports(evses)
    house.configure(hubject__retry_attempts="1")
    house.simulator.stop()
    _clear(house.call("sync"), 4, "Connection refused", "firewall")
    assert "Hubject" in house.call("status").out
    house.simulator.start()
    assert house.call("sync").code == 0
    assert house.holds() == published(evses)


def test_hubject_that_rejects_the_operator_exits_4_with_its_words(house: House) -> None:
    # In the field: the contract ended; the answer's code is what Hubject's support asks for.
    house.exports(fleet(5))
    house.configure()
    house.simulator.faults.add(Fault(kind="no_subscription"))
    _clear(house.call("sync"), 4, "210", "subscription")
    assert len(house.requests()) == 1, "what retrying cannot cure is not hammered"


def test_a_fleet_refused_whole_exits_4_and_says_what_to_upload(house: House) -> None:
    # In the field: the EVSE data is not uploaded yet; cron saw 273 refusals and exit code 0.
    house.exports(fleet(12))
    house.configure()
    house.simulator.set_evse_data([])
    _clear(house.call("sync"), 4, "missing for EvseIDs", "PushEVSEData")
    assert house.holds() == {}


def test_after_a_429_nothing_is_advised_that_would_send_nothing(house: House) -> None:
    # In the field: "sync --now", which does not send before the time that Hubject has asked for either.
    house.exports(fleet(5))
    house.configure()
    house.simulator.faults.add(Fault(kind="too_many", seconds=60))
    assert house.call("sync").code == 4
    for words in (("sync",), ("sync", "--now")):
        ended = house.call(*words)
        assert (ended.code, "not tried again before" in ended.err, "--now" in ended.err) == (4, True, False)


def test_a_guard_exits_3_and_quarantine_alone_0_with_a_warning(house: House) -> None:
    # In the field: 3 is for a person to decide; one bad EVSE is no reason to wake anybody.
    evses = fleet(40)
    house.configure(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    house.simulator.set_evse_data(list(evses)[1:])
    house.exports(evses | {"DE*SLB*E0001*1": "CHARGING"})
    bad = house.call("sync")
    assert bad.code == 0
    assert "warning" in bad.err
    assert "quarantine list" in bad.err
    listed = house.call("quarantine", "list")
    assert "DE*SLB*E0001*1" in listed.out
    assert "603" in listed.out

    house.exports(without(evses, list(evses)[10:20]))
    house.call("sync")
    _clear(house.call("sync"), 3, "10 EVSEs would leave", "--allow-withdrawal 10")
    _clear(house.call("plan"), 3, "--allow-withdrawal 10")


def _text(house: House) -> None:
    house.ledger.write_text("not a ledger\n" * 200)


def _other_database(house: House) -> None:
    connection = sqlite3.connect(house.ledger)
    connection.execute("CREATE TABLE evse (id TEXT)")
    connection.commit()
    connection.close()


def _nothing(house: House) -> None:
    house.ledger.touch()


@pytest.mark.parametrize(
    ("make", "said"),
    [(_text, "not a database"), (_other_database, "another program"), (_nothing, "empty file")],
    ids=["text", "database", "empty"],
)
def test_a_ledger_that_is_none_of_ours_stops_everything_and_stays_as_it_is(
    house: House, make: Callable[[House], None], said: str
) -> None:
    # In the field: a wrong path; taken for a first run it would be overwritten, and Hubject forgotten.
    house.exports(fleet(3))
    house.configure()
    make(house)
    before = house.ledger.read_bytes()
    for verb in ("run", "sync", "status"):
        _clear(house.call(verb), 1, said, "ledger.db")
    assert (house.ledger.read_bytes(), house.requests()) == (before, [])


@pytest.mark.parametrize(
    "place", ["sqlite:///adapter.toml/ledger.db", "sqlite:////proc/oicp-adapter.db", "sqlite:///no/such/l.db"]
)
def test_a_ledger_that_cannot_be_written_exits_2_before_anything_is_sent(house: House, place: str) -> None:
    # In the field: a read-only volume, a directory nobody made.
    house.exports(fleet(3))
    house.configure(url=f'"{place}"')
    for verb in ("run", "sync"):
        _clear(house.call(verb), 2, "ledger")
    assert house.requests() == []


def _limited(house: House, blocks: int, words: Iterable[str]) -> Ended:
    """Run a verb for which every disk is full after so many blocks of 512 bytes."""
    command = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *house.command(*words)]
    return house.calls(command, env={"PYTHONDONTWRITEBYTECODE": "1"})  # a byte code file must not be cut


def test_a_full_disk_ends_sync_with_1_and_what_was_sent_is_not_forgotten(house: House) -> None:
    # In the field: a push that could not be recorded must be pushed again, not believed.
    evses = fleet(30)
    house.exports(evses)
    house.configure_quick()
    _clear(_limited(house, 40, ["sync"]), 1, "the disk does not take more data", "free space")
    assert house.requests() == []
    _clear(_limited(house, 400, ["sync"]), 1, "the disk does not take more data", "free space")
    assert 0 < len(house.holds()) < 30
    daemon = house.runs()
    daemon.waits_for("delta.done", in_doubt=0)
    assert house.holds() == published(evses)


def test_a_disk_that_fills_up_under_the_daemon_is_told_once_and_it_goes_on_by_itself(house: House) -> None:
    # In the field: a full disk at night; tracebacks at every interval fill it further.
    evses = fleet(30)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    log = house.place / "ledger.db-wal"
    wait_until(lambda: log.stat().st_size > FULL_AT, "the ledger has something to lose")
    _fill(daemon, True)
    changed = dict.fromkeys(evses, "CHARGING")
    house.exports(changed)
    told = daemon.waits_for("ledger.failed")
    assert (told["level"], "free space" in told["fix"]) == ("error", True)
    seen = len(house.requests())
    waited = daemon.lines("delta.done")
    assert seen == 0, "nothing is sent that could not be made durable first"
    _fill(daemon, False)
    daemon.waits_for("ledger.usable")
    daemon.waits_for("delta.done", after=len(waited), backlog=0, in_doubt=0)
    assert house.holds() == published(changed)
    assert len(daemon.lines("ledger.failed")) == 1
    assert daemon.lines("job.failed") == []


def test_a_daemon_that_starts_on_a_full_disk_says_so(house: House) -> None:
    # In the field: the restart that was to cure a full disk dies with a traceback, or loses the ledger.
    evses = fleet(30)
    house.exports(evses)
    house.configure_quick()
    for blocks in (0, 1, 8, 40):  # the lock, the ledger, what SQLite needs beside it
        _clear(_limited(house, blocks, ["run"]), 1, "the disk ", "free space")
    house.published(evses)
    for blocks in (0, 1, 8, 40):
        _clear(_limited(house, blocks, ["run"]), 1, "the disk ", "free space")
    for words in (["status"], ["explain", "DE*SLB*E0001*1"], ["plan"]):
        looked = _limited(house, 40, words)
        assert looked.code == 0, looked.said
    assert house.requests() == []
    house.runs()
    assert house.holds() == published(evses)


def test_streams_that_are_closed_and_a_directory_that_is_gone_are_no_tracebacks(house: House) -> None:
    # In the field: a supervisor that closes what it does not read, a start from a directory that was tidied away.
    evses = fleet(3)
    house.exports(evses)
    house.configure_quick()
    gone = house.place / "gone"
    configuration = str(house.place / "adapter.toml")
    for number, closing in enumerate(("2>&-", ">&-", ">&- 2>&-")):
        gone.mkdir()
        script = f'cd gone && rmdir ../gone && exec "$@" --config "{configuration}" {closing}'
        done = house.calls(["sh", "-c", script, "sh", *house.command("sync", config=False)])
        assert done.code == 0, done.said
        assert house.holds() == published(evses), number


def test_a_daemon_that_starts_on_a_full_disk_after_a_crash_goes_on_by_itself(house: House) -> None:
    # In the field: the machine was reset while its disk was full; the ledger can be read, but takes nothing more.
    evses = fleet(30)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    log = house.place / "ledger.db-wal"
    wait_until(lambda: log.stat().st_size > FULL_AT, "the ledger has something to lose")
    daemon.dies()
    changed = dict.fromkeys(evses, "CHARGING")
    house.exports(changed)
    again = house.run(through=("sh", "-c", f'ulimit -S -f {FULL_AT // 512}; exec "$@"', "sh"))
    told = again.waits_for("ledger.failed")
    assert (told["level"], "free space" in told["fix"]) == ("error", True)
    assert house.requests() == []
    _fill(again, False)
    house.comes_to_hold(published(changed))
    again.waits_for("ledger.usable")
    assert (len(again.lines("ledger.failed")), again.lines("job.failed")) == (1, [])


def _fill(daemon: Daemon, full: bool) -> None:
    """Let no file of this process grow, or let them grow again. Its log is a file, too."""
    limit = FULL_AT if full else resource.RLIM_INFINITY
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def test_a_daemon_with_few_open_files_takes_as_many_as_it_may(house: House) -> None:
    # A service gets 1,024 by default; with two hundred operators that looks like missing permissions one night.
    house.configure()
    house.exports(fleet(3))
    daemon = house.run(through=("sh", "-c", 'ulimit -Sn 128; ulimit -Hn 512; exec "$@"', "sh"))
    daemon.waits_for("daemon.started")
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (512, 512)
