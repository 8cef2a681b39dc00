"""A ledger of any earlier version opens in this one with everything in it; a newer one is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, Cause, ConnectorState, EvseStatus
from oicp_adapter.core.records import EvseRow, OpenPush, OperatorState, Presence, Quarantine
from oicp_adapter.errors import LedgerError, LedgerForeign, LedgerFull
from oicp_adapter.ledger import schema
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.ports import CommandState, JobRecord

NOW = 1_800_000_000.0
URL = "https://hub.example/api/oicp"
VERSION_1 = Path(__file__).with_name("ledger_v1.sql")
"""A dump of a file of version 1, with the row of each table that this test expects. Frozen: never made anew."""

SECOND = """
-- What an issue to come may do: a column more, and a table rebuilt that others refer to.
ALTER TABLE evse ADD COLUMN note TEXT NOT NULL DEFAULT 'none; yet';
DROP VIEW push_view;
CREATE TABLE push_new AS SELECT * FROM push;
DROP TABLE push;
ALTER TABLE push_new RENAME TO push;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text("utf-8"))
    return path


def test_a_file_of_version_1_opens_with_everything_in_it(old: Path) -> None:
    # An upgrade that loses the baseline or a doubt is an unplanned first run for every customer.
    with SqliteStore.open(old, now=NOW) as store:
        ledger = store.operator(URL, "DEABC")
        picture = ledger.load()
        assert picture.rows == {"DEABCE1": EVSE}
        assert picture.state == OperatorState(baseline="adopted", baseline_at=1.5, largest={"2026-11-20": 7})
        assert picture.open_pushes == (OpenPush(push_id=2, action=ActionType.UPDATE, keys=("DEABCE1",)),)
        assert [(push.push_id, push.process_id) for push in ledger.pushes(9)] == [(2, None), (1, "process-1")]
        assert [entry.reason for entry in ledger.history("DEABCE1", 9)] == ["changed", "first"]
        assert [since for _, since in ledger.rejected()] == [3.5]
        assert ledger.command(1).state is CommandState.PENDING
        assert ledger.jobs() == [
            JobRecord(job="delta", started_at=5.5, error="no", failures=1, summary={"read": 7})
        ]
        store.check()


EVSE = EvseRow(
    key="DEABCE1",
    wire_id="DE*ABC*E1",
    presence=Presence.PRESENT,
    status=EvseStatus.AVAILABLE,
    status_at=1.25,
    push_id=1,
    in_doubt_since=2.25,
    reassert_at=3.25,
    quarantine=Quarantine(
        code="603",
        text="no data",
        process_id="process-0",
        since=1.0,
        retry_at=2.0,
        attempts=3,
        status=EvseStatus.OCCUPIED,
    ),
    withdrawn_at=4.25,
    source_id="DEABCE1",
    desired=EvseStatus.OCCUPIED,
    cause=Cause.REPORTED,
    value="CHARGING",
    rule="ocpi CHARGING",
    source_time=5.25,
    connectors=(ConnectorState("1/1", "CHARGING", True),),
    changed_at=6.25,
    first_missing=7.25,
    last_seen=8.25,
    withheld="withdrawal",
)


def test_the_first_script_still_makes_version_1(old: Path, tmp_path: Path) -> None:
    # Editing a released script gives new customers another file than the old ones, under the same number.
    new = tmp_path / "new.db"
    SqliteStore.open(new, now=NOW, migrations=schema.MIGRATIONS[:1]).close()
    assert tables(new) == tables(old)


def tables(path: Path) -> list[tuple[str, str]]:
    """Every table, index and view, without comments and spacing."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name")
        return [(name, _bare(sql)) for name, sql in found if name != "sqlite_sequence"]


def _bare(sql: str) -> str:
    return " ".join(" ".join(line.split("--")[0] for line in sql.splitlines()).split())


def test_a_later_script_brings_an_old_file_up_to_date_once(old: Path) -> None:
    # A migration that runs twice, or cascades into the pushes' records, destroys the history.
    migrations = (*schema.MIGRATIONS[:1], SECOND)
    for now in (NOW, NOW + 1):
        SqliteStore.open(old, now=now, migrations=migrations).close()
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT note FROM evse").fetchall() == [("none; yet",)]
        assert connection.execute("SELECT count(*) FROM push_record").fetchone() == (2,)
        versions = connection.execute("SELECT version, applied_at FROM ledger_version").fetchall()
        assert versions == [(1, 0.5), (2, NOW)]


def test_a_new_file_gets_every_script(tmp_path: Path) -> None:
    # New customers and old ones must end with the same tables.
    path = tmp_path / "ledger.db"
    SqliteStore.open(path, now=NOW, migrations=(*schema.MIGRATIONS[:1], SECOND)).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM ledger_version").fetchall() == [(1,), (2,)]


def test_a_script_that_fails_changes_nothing(old: Path) -> None:
    # A full disk during an upgrade must leave a file that the old version still opens.
    before = tables(old)
    broken = "ALTER TABLE evse ADD COLUMN note TEXT;\nINSERT INTO nowhere VALUES (1);\n"
    with pytest.raises(LedgerError, match="nowhere"):
        SqliteStore.open(old, now=NOW, migrations=(*schema.MIGRATIONS[:1], broken))
    assert tables(old) == before
    SqliteStore.open(old, now=NOW, migrations=schema.MIGRATIONS[:1]).close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    # After a downgrade: what the newer version means by its columns is not ours to guess.
    path = tmp_path / "ledger.db"
    SqliteStore.open(path, now=NOW, migrations=(*schema.MIGRATIONS, "CREATE TABLE later (x);")).close()
    for read_only in (False, True):
        with pytest.raises(LedgerForeign, match="newer version") as refused:
            SqliteStore.open(path, now=NOW, read_only=read_only)
        assert "use that version again" in refused.value.hint


def test_a_reader_does_not_migrate(old: Path) -> None:
    # `status` of a new version beside a daemon of the old one must not change the daemon's file.
    with pytest.raises(LedgerError, match="older version") as refused:
        SqliteStore.open(old, now=NOW, read_only=True, migrations=(*schema.MIGRATIONS[:1], SECOND))
    assert not isinstance(refused.value, LedgerForeign | LedgerFull)
    SqliteStore.open(old, now=NOW, read_only=True, migrations=schema.MIGRATIONS[:1]).close()
