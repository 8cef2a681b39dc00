"""An old copy of the ledger comes back: by hand, unannounced, or by `ledger restore`. Nothing it says is believed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House

EDITED = "DE*SLB*E0007*1"


def _by_hand(house: House, copy: Path) -> None:
    for ending in ("-wal", "-shm"):
        house.ledger.with_name(house.ledger.name + ending).unlink(missing_ok=True)
    shutil.copy(copy, house.ledger)


def _by_the_verb(house: House, copy: Path) -> None:
    assert house.call("ledger", "restore", str(copy)).code == 0


@pytest.mark.parametrize("put_back", [_by_hand, _by_the_verb])
def test_what_an_old_copy_does_not_know_is_pushed_again(
    house: House, put_back: Callable[[House, Path], None]
) -> None:
    # In the field: a machine's snapshot is restored. Its ledger says what the source says: nothing looks changed, and
    # Hubject, which has heard more since, stays wrong for good.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    copy = house.place / "copy.db"
    assert house.call("ledger", "backup", str(copy)).code == 0
    changed = evses | {EDITED: "CHARGING"}
    house.published(changed)
    assert house.holds() == published(changed)

    house.exports(evses)
    put_back(house, copy)
    daemon = house.run()
    house.comes_to_hold(published(evses))
    assert daemon.waits_for("delta.done", in_doubt=0)["backlog"] == 0
    assert house.requests("fullLoad") == [], "what Hubject holds beside ours is unknown again"


@pytest.mark.parametrize("put_back", [_by_hand, _by_the_verb])
def test_what_was_published_since_the_copy_is_not_deleted_by_itself(
    house: House, put_back: Callable[[House, Path], None]
) -> None:
    # In the field: Monday's copy is put back on Friday, the export lacks a region that came on Wednesday, and the first
    # full load is automatic: it deleted the region, exit 0, though the restore had said "resync OPERATOR --adopt N".
    house.configure_quick(operators__slb__first_full_load='"automatic"')
    house.published(fleet(6), adopt=True)
    copy = house.place / "copy.db"
    assert house.call("ledger", "backup", str(copy)).code == 0
    house.published(fleet(20))
    house.exports(fleet(12))
    put_back(house, copy)
    told = house.call("resync", "slb", within=60)
    assert (told.code, len(house.holds())) == (3, 20), told.said
    assert "the ledger is distrusted" in told.said
    assert "first_full_load" not in told.said, "it would change nothing"
    assert "`resync OPERATOR --adopt N`" in house.call("status").said
    house.exports(fleet(20))
    told = house.call("resync", "slb", "--adopt", "20", within=60)
    assert (told.code, len(house.holds())) == (0, 20), told.said


def test_a_copy_that_is_not_there_is_told_as_such(house: House) -> None:
    # In the field: a typo; "run or sync makes it" would make a first run of a restore.
    house.configure()
    house.published(fleet(3))
    told = house.call("ledger", "restore", "monday.db")
    assert told.code == 1
    assert "there is no copy monday.db" in told.err
    assert "ledger backup" in told.err


def test_the_ledger_restored_onto_itself_is_refused_and_stays(house: House) -> None:
    # In the field: `ledger restore ledger.db`. It was renamed, then "there is no ledger yet", and all was forgotten.
    house.configure()
    house.published(fleet(3))
    (house.place / "link.db").symlink_to("ledger.db")
    for name in ("ledger.db", "link.db", str(house.ledger)):
        told = house.call("ledger", "restore", name)
        assert (told.code, "the ledger itself" in told.err, "fix:" in told.err) == (1, True, True), told.said
    facts = house.call("status", "--json").data["slb"]
    assert (facts["held"], facts["in_doubt"]) == ({"Available": 3}, 0)


def test_a_copy_of_another_operator_or_environment_is_refused(house: House) -> None:
    # In the field: QA's backup on PROD. Everything would be forgotten, as in a first run.
    house.configure()
    house.published(fleet(3))
    assert house.call("ledger", "backup", "copy.db").code == 0
    config = house.place / "adapter.toml"
    text = config.read_text()
    config.write_text(text.replace('"sqlite:///ledger.db"', '"sqlite:///def.db"').replace("DE*SLB", "DE*DEF"))
    assert house.call("ledger", "distrust").code == 0  # makes a ledger for it
    before = (house.place / "def.db").read_bytes()
    told = house.call("ledger", "restore", "copy.db")
    assert (told.code, "has no EVSE of any operator here" in told.err) == (1, True), told.said
    assert (house.place / "def.db").read_bytes() == before
    assert not list(house.place.glob("*.replaced-*"))


def test_a_restored_copy_is_distrusted_once(house: House) -> None:
    # In the field: the start after a restore distrusts it anew, and everything waits for settle once more.
    house.configure_quick()
    house.published(fleet(3), adopt=True)
    assert house.call("ledger", "backup", "copy.db").code == 0
    house.published(dict.fromkeys(fleet(3), "CHARGING"))
    told = house.call("ledger", "restore", "copy.db")
    assert (told.code, "the ledger before is kept as " in told.err) == (0, True), told.said
    daemon = house.runs()
    assert daemon.lines("ledger.distrusted") == []
