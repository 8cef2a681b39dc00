"""P3 on the ledger's side: durable before the first byte, whole after a crash, nothing half after a full disk."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import (
    EvseRow,
    IntentRecord,
    OpenPush,
    OperatorState,
    Presence,
    PushIntent,
    PushRow,
)
from oicp_adapter.errors import LedgerFull
from oicp_adapter.ledger import codec
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from tests import leash
from tests.patience import wait_until

NOW = 1_800_000_000.0
URL = "https://hub.example/api/oicp"
ROW = EvseRow(key="A", wire_id="A", source_id="A", presence=Presence.PRESENT, status=EvseStatus.AVAILABLE)
ROOT = str(Path(__file__).parents[2])


def intent(*keys: str, reason: str = "test", rows: tuple[EvseRow, ...] = ()) -> PushIntent:
    records = tuple(IntentRecord(key, EvseStatus.OCCUPIED, reason) for key in keys)
    return PushIntent(
        action=ActionType.UPDATE, cycle_id="c", started_at=NOW, count=len(keys), records=records, rows=rows
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    with SqliteStore.open(path, now=NOW) as store:
        yield store.operator(URL, "DEABC")


def run_until_killed(script: str, path: Path) -> None:
    """Run a script in a process of its own; it kills itself."""
    command = [sys.executable, "-c", PRELUDE + script, str(path)]
    with leash.begun(command, env={**os.environ, "PYTHONPATH": ROOT}) as process:
        code = wait_until(process.poll, "it kills itself")
    assert code == -signal.SIGKILL


PRELUDE = """
import os, signal, sys
from pathlib import Path
from oicp_adapter.core.records import OperatorState, PushRow
from oicp_adapter.ledger import codec
from oicp_adapter.ledger.sqlite import SqliteStore
from tests.integration.test_ledger_durability import NOW, ROW, URL, intent

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

ledger = SqliteStore.open(Path(sys.argv[1]), now=NOW).operator(URL, "DEABC")
"""


def test_an_intent_is_written_with_synchronous_full(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With NORMAL a power loss takes back the last transactions: what was in flight would be forgotten (P3).
    seen: list[tuple[object, ...]] = []
    upsert = codec.upsert

    def spy(connection: sqlite3.Connection, rows: list[EvseRow], operator_id: int) -> None:
        settings = ("synchronous", "journal_mode", "foreign_keys")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings]
        seen.append((*values, connection.in_transaction))
        upsert(connection, rows, operator_id)

    monkeypatch.setattr(codec, "upsert", spy)
    push_id = ledger.begin(intent("A"))
    ledger.finish(PushRow(push_id=push_id, finished_at=NOW, outcome="applied"), [ROW], OperatorState())
    assert seen == [(2, "wal", 1, True)] * 2


def test_what_was_in_flight_at_a_kill_is_found_open(path: Path) -> None:
    # kill -9 after the request left and before the answer: the EVSEs must be pushed again.
    run_until_killed("ledger.begin(intent('A', 'B', rows=(ROW,))); die()", path)
    with SqliteStore.open(path, now=NOW) as store:
        picture = store.operator(URL, "DEABC").load()
        store.check()
    assert picture.open_pushes == (OpenPush(push_id=1, action=ActionType.UPDATE, keys=("A", "B")),)
    assert picture.rows == {"A": ROW}


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_a_kill_inside_a_transaction_leaves_the_state_before_it(path: Path, step: str) -> None:
    # Half an acknowledgement: the push closed, its EVSEs not, would be a change that is never sent again.
    script = """
if step == "finish":
    number = ledger.begin(intent("A"))
codec.upsert = die
if step == "begin":
    ledger.begin(intent("A", rows=(ROW,)))
ledger.finish(PushRow(push_id=number, finished_at=NOW, outcome="applied"), [ROW], OperatorState(baseline="adopted"))
"""
    run_until_killed(f"step = {step!r}\n{script}", path)
    with SqliteStore.open(path, now=NOW) as store:
        picture = store.operator(URL, "DEABC").load()
    assert len(picture.open_pushes) == (1 if step == "finish" else 0)
    assert (picture.rows, picture.state) == ({}, OperatorState())


def test_what_was_finished_before_a_kill_stays_finished(path: Path) -> None:
    # An acknowledgement that is lost costs a redundant push; one that is half there costs the truth.
    finish = "ledger.finish(PushRow(push_id=1, finished_at=NOW, outcome='applied'), [ROW], OperatorState())"
    run_until_killed(f"ledger.begin(intent('A')); {finish}; die()", path)
    with SqliteStore.open(path, now=NOW) as store:
        picture = store.operator(URL, "DEABC").load()
    assert (picture.open_pushes, picture.rows) == ((), {"A": ROW})


def test_a_full_ledger_begins_no_push_and_recovers_when_there_is_room(ledger: SqliteLedger) -> None:
    # An intent that could not be made durable must not be sent, nor be found open later.
    before = ledger.begin(intent("A"))
    with ledger._database.outside() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerFull, match="disk is full") as refused:
        ledger.begin(intent("B", reason="x" * 100_000, rows=(ROW,)))
    assert "free space" in refused.value.hint
    picture = ledger.load()
    assert ([push.push_id for push in picture.open_pushes], picture.rows) == ([before], {})
    with ledger._database.outside() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    after = ledger.begin(intent("B", reason="x" * 100_000))
    assert after > before


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The operating system takes no more bytes, as with a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_bytes_begins_no_push_and_recovers(
    path: Path, ledger: SqliteLedger
) -> None:
    # The same, refused by the operating system and not by SQLite.
    before = ledger.begin(intent("A"))
    wal = path.with_name("ledger.db-wal")
    with no_file_larger_than(wal.stat().st_size + 4096):
        for _ in range(2):
            with pytest.raises(LedgerFull, match="disk") as refused:
                ledger.begin(intent("B", reason="x" * 50_000, rows=(ROW,)))
    assert str(path) in refused.value.message
    picture = ledger.load()
    assert ([push.push_id for push in picture.open_pushes], picture.rows) == ([before], {})
    assert ledger.begin(intent("B", reason="x" * 50_000)) > before
    assert len(ledger.load().open_pushes) == 2


def test_the_log_does_not_stay_large_after_a_large_fleet_was_saved(path: Path, ledger: SqliteLedger) -> None:
    # A -wal of the size of the fleet for ever, per operator, fills small volumes.
    with ledger._database.outside() as connection:
        assert 0 < connection.execute("PRAGMA journal_size_limit").fetchone()[0] <= 64 * 2**20
