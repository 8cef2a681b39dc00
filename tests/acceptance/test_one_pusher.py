"""One process pushes for an operator; everybody else is told who, and may look at any time."""

from __future__ import annotations

from oicp_adapter.simulator import Fault
from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import Ended, House, wait_until
from tests.patience import AT_MOST


def test_a_second_daemon_and_a_sync_are_told_who_pushes_and_change_nothing(house: House) -> None:
    # In the field: two replicas, or cron beside the daemon; their pushes would overtake each other.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses)
    daemon = house.runs()
    for verb in ("run", "sync"):
        refused = house.call(verb)
        assert refused.code == 1, refused.said
        assert f"`run` (process {daemon.pid} on " in refused.err
        assert "fix:" in refused.err
        assert refused.out == ""
    assert f"`run` (process {daemon.pid} on " in house.call("status").out
    evses["DE*SLB*E0001*1"] = "CHARGING"
    house.exports(evses)
    house.comes_to_hold(published(evses))


def test_the_lock_goes_with_its_holder_however_it_dies(house: House) -> None:
    # In the field: a stale lock file that someone must delete at night.
    house.exports(fleet(10))
    house.configure_quick()
    house.runs().dies()
    assert list(house.place.glob("*.lock"))
    assert house.call("sync").code == 0
    assert "nobody pushes" in house.call("status").out


def test_who_only_looks_never_waits_for_who_pushes(house: House) -> None:
    # In the field: at 03:00 `status` hangs for as long as Hubject does.
    evses = fleet(10)
    house.configure_quick(hubject__timeout=f'"{2 * AT_MOST:.0f}s"')
    house.published(evses)
    daemon = house.runs()
    house.simulator.faults.add(Fault(kind="hang", count=1))
    house.exports(evses | {"DE*SLB*E0001*1": "CHARGING"})
    wait_until(lambda: house.simulator.faults.hits["hang", "update"], "the daemon is busy")
    for words in (("status",), ("plan",), ("quarantine", "list"), ("resync", "slb", "--dry-run")):
        looked = house.call(*words, within=15)
        assert looked.code == 0, looked.said
    assert house.open_pushes() == 1, "Hubject still does"
    assert house.call("status", "--json").data["slb"]["in_doubt"] == 1, "what is in flight is not known"
    assert daemon.alive
    daemon.dies()


def test_before_the_first_ledger_plan_works_and_the_others_say_what_is_missing(house: House) -> None:
    # In the field: the first thing an engineer types after writing the configuration.
    evses = fleet(10)
    house.exports(evses)
    house.configure()
    plan = house.call("plan")
    assert plan.code == 0, plan.said
    assert "10 to send" in plan.out
    for words in (("status",), ("quarantine", "list")):
        looked = house.call(*words)
        assert looked.code == 1
        assert "there is no ledger yet" in looked.err
        assert "oicp-adapter run" in looked.err
    assert [file.name for file in house.place.glob("ledger*")] == [], "looking makes nothing"
    assert house.requests() == []


def test_a_ledger_that_is_reached_through_a_link_has_the_same_lock(house: House) -> None:
    # In the field: /var/lib/oicp-adapter/ledger.db is a link to the data disk; two locks are two pushes in parallel.
    evses = fleet(10)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    elsewhere = house.place / "elsewhere"
    elsewhere.mkdir()
    link = elsewhere / "link.db"
    link.symlink_to(house.ledger)
    text = (house.place / "adapter.toml").read_text()
    (house.place / "linked.toml").write_text(text.replace("sqlite:///ledger.db", f"sqlite:///{link}"))

    def through(*words: str) -> Ended:
        return house.call(*words, "--config", "linked.toml", config=False)

    for verb in ("run", "sync"):
        refused = through(verb)
        assert (refused.code, f"(process {daemon.pid} on" in refused.err) == (1, True), refused.said
    assert f"(process {daemon.pid} on" in through("status").out
    assert through("health").code == 0
    assert through("ledger", "restore", "nothing.db").code == 1
    (house.place / "linked.toml").write_text((house.place / "linked.toml").read_text() + "[broken]\n")
    assert through("health").code == 0, "a daemon that lives is found without a readable configuration, too"
    (house.place / "linked.toml").write_text(text.replace("sqlite:///ledger.db", f"sqlite:///{link}"))
    assert through("resync", "slb").code == 0
    assert len(daemon.lines("command.ended")) == 1
    assert daemon.ends() == 0
    assert through("sync").code == 0
    assert list(elsewhere.iterdir()) == [link], "no lock, mark or log of changes beside the link"
