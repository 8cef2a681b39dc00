"""What the on-call engineer does by hand to quarantine and ledger: through the daemon, and without one."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House

GONE = "DE*SLB*E0001*1"


def _quarantined(house: House, count: int = 1) -> dict[str, str]:
    """A fleet of which the first EVSEs have no EVSE data."""
    evses = fleet(max(10, 2 * count + 1))
    house.simulator.set_evse_data(list(evses)[count:])
    house.exports(evses)
    assert house.call("sync").code == 0
    assert len(house.call("quarantine", "list", "--json").data) == count
    house.simulator.clear_journal()
    return evses


@pytest.mark.parametrize("with_daemon", [False, True], ids=["by itself", "through the daemon"])
def test_what_hubject_refused_is_tried_again_at_once_and_alone(house: House, with_daemon: bool) -> None:
    # In the field: the EVSE data was uploaded a minute ago, and the next try is in six hours.
    house.configure_quick()
    evses = _quarantined(house)
    if with_daemon:
        house.runs()
    still = house.call("quarantine", "retry", GONE)
    said = "0 of 1 accepted, 1 refused again; 1 EVSEs are quarantined now"
    assert (still.code, said in still.out) == (4, True), still.said
    house.simulator.set_evse_data(None)
    done = house.call("quarantine", "retry", "deslbe00011")
    assert "1 of 1 accepted; 0 EVSEs are quarantined now" in done.out
    assert {(entry.count, entry.action) for entry in house.requests()} <= {(1, "insert"), (1, "update")}
    assert house.holds() == published(evses)
    assert "nothing is quarantined" in house.call("quarantine", "list").out


def test_one_evse_or_all_of_them(house: House) -> None:
    # In the field: forty EVSEs in one quarantine, and the data of one was uploaded.
    house.configure()
    evses = _quarantined(house, 3)
    house.simulator.set_evse_data(None)
    assert "1 of 1 accepted; 2" in house.call("quarantine", "retry", GONE).out
    assert "2 of 2 accepted; 0" in house.call("quarantine", "retry", "--operator", "slb").out
    assert house.holds() == published(evses)
    assert "this EVSE is not quarantined" in house.call("quarantine", "retry", GONE).out
    assert "nothing is quarantined" in house.call("quarantine", "retry").out
    assert house.call("quarantine", "retry", "E1").code == 2


def test_a_pause_keeps_the_retry_back(house: House) -> None:
    # In the field: "1 tried again", and nothing was.
    house.configure()
    _quarantined(house)
    assert house.call("pause", "slb", "--reason", "works").code == 0
    refused = house.call("quarantine", "retry")
    assert (refused.code, "works" in refused.out) == (3, True)
    assert house.requests() == []


def test_a_long_quarantine_is_counted_on_the_screen_and_whole_in_json(house: House) -> None:
    # In the field: ten thousand lines scroll away the one that mattered.
    house.configure()
    _quarantined(house, 45)
    listed = house.call("quarantine", "list")
    shown = listed.out.splitlines()
    assert len(shown) == 41
    assert listed.err.splitlines() == ["fix 603: upload the EVSE data (PushEVSEData) of the named EVSEs"]
    assert shown[0].startswith(f"slb {GONE}: Hubject, since ")
    assert ", next try " in shown[0]
    assert ": 603 " in shown[0]
    assert shown[-1] == "and 5 more (all with --json)"


def test_a_backup_is_whole_also_while_the_daemon_works(house: House, tmp_path: Path) -> None:
    # In the field: a copy by `cp` lacks what is still in the log beside it.
    house.configure_quick()
    house.published(fleet(10), adopt=True)
    house.runs()
    made = house.call("ledger", "backup", "monday.db")
    assert (made.code, made.out) == (0, "monday.db\n")
    house.configure(url='"sqlite:///monday.db"')
    assert house.call("status", "--json").data["slb"]["held"] == {"Available": 10}
    assert house.call("ledger", "check").out == f"the ledger is sound: {tmp_path / 'monday.db'}\n"


def test_a_backup_overwrites_nothing(house: House) -> None:
    # In the field: last week's good copy, replaced by the damaged ledger of today.
    house.configure()
    house.published(fleet(3))
    (house.place / "monday.db").write_text("precious")
    for place in ("monday.db", "ledger.db", "no/such/directory.db"):
        refused = house.call("ledger", "backup", place)
        assert refused.code in (1, 2), refused.said
        assert "fix:" in refused.err
    assert (house.place / "monday.db").read_text() == "precious"
    assert house.call("status").code == 0


def test_a_damaged_page_is_found_by_check_and_by_nothing_else(house: House) -> None:
    # In the field: a bad sector in a part that no query reads; the backup of today holds it, too.
    house.configure()
    house.published(fleet(2000))
    assert house.call("ledger", "check").code == 0
    with house.ledger.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(b"\xff" * 4096)
    damaged = house.call("ledger", "check")
    assert damaged.code == 1
    assert "damaged" in damaged.err
    assert "fix:" in damaged.err


def test_ledger_verbs_without_a_ledger_say_so_and_make_none(house: House) -> None:
    # In the field: the wrong configuration; "sound" about an empty file made a second ago.
    house.configure()
    for words in (["check"], ["backup", "x.db"]):
        told = house.call("ledger", *words)
        assert told.code == 1
        assert "there is no ledger yet" in told.err
    assert not house.ledger.exists()


@pytest.mark.parametrize("with_daemon", [False, True], ids=["by itself", "through the daemon"])
def test_a_distrusted_ledger_is_pushed_anew_and_waits_for_a_new_baseline(
    house: House, with_daemon: bool
) -> None:
    # In the field: somebody pushed by hand at Hubject's portal, and nobody knows what.
    evses = fleet(6)
    house.configure_quick()
    house.published(evses, adopt=True)
    if with_daemon:
        house.runs()
    told = house.call("ledger", "distrust", "slb")
    assert (told.code, "6 EVSEs are in doubt" in told.out) == (0, True), told.said
    facts = house.call("status", "--json").data["slb"]
    assert facts["baseline"].startswith("unknown")
    assert house.requests("fullLoad") == []
    daemon = house.daemons[0] if with_daemon else house.run()
    daemon.waits_for("delta.done", in_doubt=0, after=len(daemon.lines("delta.done")))
    pushed = [evse for entry in house.requests() for evse, _ in entry.records]
    assert set(pushed) >= set(evses)
    assert house.holds() == published(evses)
    assert house.call("resync", "slb").code == 3, "the baseline is unknown"


def test_whoever_overrides_what_protects_the_map_is_in_the_audit(house: House) -> None:
    # In the field: fifty EVSEs are gone since last night, and somebody allowed it.
    house.configure_quick()
    house.published(fleet(3), adopt=True)
    house.runs()
    for words in (
        ["resync", "slb"],
        ["resync", "slb", "--allow-withdrawal", "7"],
        ["ledger", "distrust", "slb"],
    ):
        assert house.call(*words).code == 0
    audit = house.call("status", "--json").data["slb"]["audit"]
    asked = ["asked for distrust", "asked for resync --allow-withdrawal 7", "asked for resync --adopt 3"]
    assert [line.split(": ")[1] for line in audit] == asked
    assert all(f" {getpass.getuser()}@" in line for line in audit)


def test_distrust_and_restore_need_no_certificate(house: House) -> None:
    # In the field: at night, after a failure of the disk, and the certificate is in the vault of somebody else.
    house.configure()
    house.published(fleet(3))
    assert house.call("ledger", "backup", "copy.db").code == 0
    text = (
        (house.place / "adapter.toml").read_text().replace("[hubject]\n", '[hubject]\nca_file = "ca.pem"\n')
    )
    files = '[operators.slb]\ncertificate = "no.pem"\nkey = "no.key"\n'
    (house.place / "adapter.toml").write_text(text.replace("[operators.slb]\n", files))
    distrusted = house.call("ledger", "distrust")
    assert distrusted.code == 0, distrusted.said
    restored = house.call("ledger", "restore", "copy.db")
    assert restored.code == 0, restored.said
    assert "3 EVSEs are in doubt" in restored.err
    assert house.call("status", "--json").data["slb"]["audit"][0].endswith("restored the ledger from copy.db")
