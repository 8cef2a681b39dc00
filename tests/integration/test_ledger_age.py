"""A ledger gone back in time: an old copy put back over the newer one."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType
from oicp_adapter.core.records import OperatorState, PushIntent, PushRow
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore

NOW = 1_800_000_000.0
QA, PROD = "https://qa.example/api/oicp", "https://prod.example/api/oicp"


def push(ledger: SqliteLedger) -> None:
    intent = PushIntent(action=ActionType.UPDATE, cycle_id="c", started_at=NOW, count=0, records=())
    number = ledger.begin(intent)
    ledger.finish(PushRow(push_id=number, finished_at=NOW, outcome="applied"), (), OperatorState())


def pushes(path: Path, count: int, *, base_url: str = QA, operator: str = "DEABC") -> None:
    with SqliteStore.open(path, now=NOW) as store, closing(store.operator(base_url, operator)) as ledger:
        for _ in range(count):
            push(ledger)


def gone_back(path: Path, *, base_url: str = QA, operator: str = "DEABC") -> bool:
    with SqliteStore.open(path, now=NOW) as store, closing(store.operator(base_url, operator)) as ledger:
        return ledger.load().gone_back


def restored(path: Path, copy: Path) -> None:
    for beside in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        beside.unlink(missing_ok=True)
    shutil.copy(copy, path)


def test_an_old_copy_put_back_is_noticed_until_it_is_accepted(tmp_path: Path) -> None:
    # Believed, it says that Hubject holds last week's statuses, and none of this week's changes is pushed again.
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    pushes(path, 2)
    assert not gone_back(path)
    with SqliteStore.open(path, now=NOW) as store:
        store.backup(copy)
    pushes(path, 1)
    restored(path, copy)
    assert gone_back(path)
    with SqliteStore.open(path, now=NOW) as store, closing(store.operator(QA, "DEABC")) as ledger:
        ledger.accept_age()
    assert not gone_back(path)


def test_one_operator_s_pushes_do_not_hide_that_the_other_s_ledger_is_old(tmp_path: Path) -> None:
    # The first worker to start pushes on, and the second one's old rows look new enough.
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    pushes(path, 1, operator="DEABC")
    pushes(path, 1, operator="DEXYZ")
    with SqliteStore.open(path, now=NOW) as store:
        store.backup(copy)
    pushes(path, 1, operator="DEXYZ")
    restored(path, copy)
    pushes(path, 5, operator="DEABC")
    assert gone_back(path, operator="DEXYZ")


def test_a_copy_taken_after_the_last_push_is_as_good_as_the_ledger(tmp_path: Path) -> None:
    # A disk is replaced with a fresh copy, and every EVSE is pushed again for nothing.
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    pushes(path, 3)
    with SqliteStore.open(path, now=NOW) as store:
        store.backup(copy)
    restored(path, copy)
    assert not gone_back(path)


def test_the_mark_of_qa_says_nothing_about_prod(tmp_path: Path) -> None:
    # After the cut-over to PROD everything is in doubt at every start.
    path = tmp_path / "ledger.db"
    pushes(path, 5, base_url=PROD)
    pushes(path, 1, base_url=QA)
    assert not gone_back(path, base_url=QA)
    assert not gone_back(path, base_url=PROD)


def test_a_torn_or_missing_mark_says_nothing(tmp_path: Path) -> None:
    # A power cut while the mark was written keeps the daemon from believing its own ledger.
    path = tmp_path / "ledger.db"
    pushes(path, 2)
    (mark,) = tmp_path.glob("*.mark")
    mark.write_text('{"https://qa')
    assert not gone_back(path)
    mark.unlink()
    assert not gone_back(path)


def noted(path: Path, *, base_url: str = QA, operator: str = "DEABC") -> tuple[bool, dict[str, int] | None]:
    with SqliteStore.open(path, now=NOW) as store, closing(store.operator(base_url, operator)) as ledger:
        picture = ledger.load()
        return picture.lost, picture.peak


def remembers(path: Path, peak: dict[str, int], *, base_url: str = QA) -> None:
    with SqliteStore.open(path, now=NOW) as store, closing(store.operator(base_url, "DEABC")) as ledger:
        ledger.remember(peak)


def lost(path: Path) -> None:
    for beside in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        beside.unlink(missing_ok=True)


def test_a_lost_ledger_is_told_from_a_first_run_and_from_another_hubject(tmp_path: Path) -> None:
    # The ledger is deleted beside an empty export, and nothing remembers that a fleet was published.
    path = tmp_path / "ledger.db"
    assert noted(path) == (False, {})
    remembers(path, {"2026-11-20": 100})
    pushes(path, 3)
    assert noted(path) == (False, {"2026-11-20": 100})
    lost(path)
    assert noted(path) == (True, {"2026-11-20": 100})
    assert noted(path, base_url=PROD) == (False, {})
    remembers(path, {"2026-11-21": 5}, base_url=PROD)
    pushes(path, 1, base_url=PROD)
    assert noted(path) == (True, {"2026-11-20": 100})
    assert noted(path, base_url=PROD) == (False, {"2026-11-21": 5})


@pytest.mark.parametrize("text", ['{"https://qa.example/api/oicp":7}', '{"https://qa', ""])
def test_a_mark_of_an_older_version_or_a_torn_one_does_not_know_how_large_the_fleet_was(
    tmp_path: Path, text: str
) -> None:
    # It is read as "no fleet": a guard with nothing to compare says yes.
    path = tmp_path / "ledger.db"
    pushes(path, 2)
    (mark,) = tmp_path.glob("*.mark")
    mark.write_text(text)
    assert noted(path) == (False, None)
    lost(path)
    assert noted(path) == (text.endswith("}"), None)


def test_an_older_version_s_number_still_shows_that_the_ledger_has_gone_back(tmp_path: Path) -> None:
    # The upgrade is installed together with an old copy of the ledger.
    path = tmp_path / "ledger.db"
    pushes(path, 2)
    (mark,) = tmp_path.glob("*.mark")
    mark.write_text(f'{{"{QA}":7}}')
    assert gone_back(path)
    remembers(path, {"2026-11-20": 100})
    assert gone_back(path), "the figure is noted, and the number forgotten"
