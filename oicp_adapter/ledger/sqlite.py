"""The ledger on SQLite: one file for all operators, opened or refused, never guessed at.

The danger: anything but a missing file taken for a first run, and a status recorded that Hubject never
acknowledged. Every method of a ledger that writes is one transaction, durable when it returns.

    with SqliteStore.open(path, now=now) as store:
        ledger = store.operator("https://service.hubject.com/api/oicp", "DEABC")
        picture = ledger.load()
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from oicp_adapter.core.records import EvseRow, OpenPush, OperatorState, Picture, PushRow
from oicp_adapter.errors import LedgerError, LedgerNotWritable, LedgerUnreadable
from oicp_adapter.ledger import codec, faults, schema
from oicp_adapter.ledger.database import Database
from oicp_adapter.ledger.inbox import SqliteInbox
from oicp_adapter.ledger.jobs import SqliteJobs
from oicp_adapter.ledger.location import resolved
from oicp_adapter.ledger.pauses import SqlitePauses
from oicp_adapter.ledger.pushes import SqlitePushes, without_outcome
from oicp_adapter.ledger.rejections import SqliteRejections
from oicp_adapter.ports import AuditEntry


class SqliteLedger(SqlitePushes, SqliteRejections, SqliteInbox, SqliteJobs, SqlitePauses):
    """Ledger, Inbox, JobLog and Pauses of one operator at one Hubject, with a connection of its own.

    For one thread at a time: a worker and a status reader each ask the store for their own.
    """

    def load(self) -> Picture:
        """Everything, as of one moment."""
        mark = self._mark.read()  # before the snapshot: a push begun meanwhile is no sign of age
        with self._database.reading() as connection:
            operator_id = self._id(connection)
            found = connection.execute(
                "SELECT state, last_push, revision FROM operator WHERE id = ?", (operator_id,)
            ).fetchone()
            return Picture(
                gone_back=found is not None and 0 < found[1] < mark.push,
                lost=mark.push > 0 and (found is None or found[1] == 0),
                peak=mark.peak,
                rows=self._kept.at(
                    found[2] if found else 0,
                    lambda: codec.decoded(connection.execute(codec.SELECT, (operator_id,))),
                ),
                state=codec.decoded_state(found[0]) if found else OperatorState(),
                open_pushes=self._open_pushes(connection),
            )

    def accept_age(self) -> None:
        """The ledger was found to have gone back, and nothing of it is believed any more: from now on it counts."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT last_push FROM operator WHERE id = ?", (self._id(connection),)
            ).fetchone()
        self._mark.note(found[0] if found else 0)

    def remember(self, peak: dict[str, int]) -> None:
        """Note beside the ledger how large the fleet was, per day."""
        self._mark.remember(peak)

    def save(self, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()) -> None:
        """Store changed rows and the operator's state, drop the forgotten keys."""
        changed, gone = sorted(rows, key=attrgetter("key")), list(forget)
        with self._database.writing() as connection:
            revision = self._store(connection, changed, state, gone)
        self._kept.written(revision, changed, gone)

    def finish(
        self, push: PushRow, rows: Iterable[EvseRow], state: OperatorState, *, forget: Iterable[str] = ()
    ) -> None:
        """Close a push with its outcome and store exactly what it changed. Raises LedgerError if it is not open."""
        changed, gone = sorted(rows, key=attrgetter("key")), list(forget)
        with self._database.writing() as connection:
            self._finish(connection, push)
            revision = self._store(connection, changed, state, gone)
        self._kept.written(revision, changed, gone)

    def interrupted(
        self, pushes: Iterable[OpenPush], rows: Iterable[EvseRow], state: OperatorState, *, now: float
    ) -> None:
        """Close pushes whose outcome was never recorded and store what is in doubt because of them."""
        changed, closed = (
            sorted(rows, key=attrgetter("key")),
            [without_outcome(push, now=now) for push in pushes],
        )
        with self._database.writing() as connection:
            for push in closed:
                self._finish(connection, push)
            revision = self._store(connection, changed, state, ())
        self._kept.written(revision, changed, ())

    def _store(
        self, connection: sqlite3.Connection, rows: list[EvseRow], state: OperatorState, forget: Iterable[str]
    ) -> int:
        operator_id = self._id(connection)
        codec.upsert(connection, rows, operator_id)
        gone = ((operator_id, key) for key in forget)
        connection.executemany("DELETE FROM evse WHERE operator_id = ? AND key = ?", gone)
        connection.execute("UPDATE operator SET state = ? WHERE id = ?", (codec.to_json(state), operator_id))
        return self._revised(connection)

    def forget(self, entry: AuditEntry) -> int:
        """Forget every EVSE and what is remembered beside them; the history stays. Returns how many there were. Should
        the operator ever come back, what Hubject holds of it is unknown."""
        with self._database.writing() as connection:
            operator_id = self._id(connection)
            count = connection.execute("DELETE FROM evse WHERE operator_id = ?", (operator_id,)).rowcount
            self._store(connection, [], OperatorState(), ())
        self._kept.drop()
        self.note(entry)
        return count

    def close(self) -> None:
        """Close this ledger's connection; the store closes those still open."""
        self._database.close()


class SqliteStore:
    """The ledger file. `operator` may be called from any thread; what it returns is for one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._read_only = read_only
        self._turn = threading.Lock()
        self._opened: set[Database] = set()
        self._database = self._connect()

    def _connect(self) -> Database:
        return Database(self.path, read_only=self._read_only, turn=self._turn, opened=self._opened)

    @classmethod
    def open(
        cls, path: Path, *, now: float, read_only: bool = False, migrations: Sequence[str] = schema.MIGRATIONS
    ) -> Self:
        """Open the ledger; make it if it is missing and we may write. `now` is noted in a file that is made.

        Raises LedgerForeign, LedgerUnreadable, LedgerNotWritable, LedgerFull, or LedgerError for a reader that
        finds no ledger, or one of an older version.
        """
        path = resolved(path)
        _refuse_what_is_no_file(path, read_only=read_only)
        if not read_only:
            schema.create_if_missing(path, now=now, migrations=migrations)
        store = cls(path, read_only=read_only)
        try:
            schema.verify(store._database, now=now, migrations=migrations)
            if not read_only:
                with store._database.writing():  # proves that we may
                    pass
        except BaseException:
            store.close()
            raise
        return store

    def operator(self, base_url: str, operator_key: str) -> SqliteLedger:
        """The ledger of one operator (`OperatorId.key`) at one Hubject, on a connection of its own."""
        return SqliteLedger(self._connect(), base_url=base_url, operator=operator_key)

    def operators(self, base_url: str) -> dict[str, int]:
        """Every operator of this ledger at one Hubject (`OperatorId.key`) → its EVSEs that drivers are believed to see
        (`EvseRow.held`)."""
        sql = """
        SELECT operator, count(evse.key) FILTER (
            WHERE presence <> 'absent' AND coalesce(status, '') <> 'EvseNotFound'
              AND (status IS NOT NULL OR in_doubt_since IS NOT NULL)
        )
        FROM operator LEFT JOIN evse ON evse.operator_id = operator.id
        WHERE base_url = ? GROUP BY operator ORDER BY operator
        """
        with self._database.reading() as connection:
            return dict(connection.execute(sql, (base_url.rstrip("/"),)))

    def check(self) -> None:
        """Read every page. Raises LedgerUnreadable naming the first problems; minutes for a very large ledger."""
        with self._database.outside() as connection:
            problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            problems = [] if problems == ["ok"] else problems
            problems += [
                f"lost reference in {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")
            ][:5]
        if problems:
            raise LedgerUnreadable(
                f"the ledger is damaged: {self.path}: {'; '.join(problems)}", hint=faults.RESTORE
            )

    def backup(self, to: Path) -> None:
        """Copy the ledger as of this moment, also while others write. Never overwrites."""
        taken = LedgerNotWritable(f"there is a file already: {to}", hint="give another name, or move it away")
        to = resolved(to)
        if to.exists():
            raise taken
        with self._database.outside() as connection, faults.translated(to):
            if not schema.publish(to, lambda target: _copy(connection, target)):
                raise taken

    @classmethod
    def open_backup(cls, path: Path) -> Self:
        """Open a copy, which may be of an older version, for reading. Raises LedgerError unless it is sound."""
        path = resolved(path)
        _refuse_what_is_no_file(path, read_only=True)
        store = cls(path, read_only=True)
        try:
            schema.version_of(store._database, newest=len(schema.MIGRATIONS))
            store.check()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection this store handed out. Idempotent."""
        for database in list(self._opened):
            database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        connection.backup(copy)
    finally:
        copy.close()


def _refuse_what_is_no_file(path: Path, *, read_only: bool) -> None:
    """What SQLite itself would take for an empty database, or name badly."""
    with faults.translated(path):
        if path.is_dir():
            raise LedgerNotWritable(f"the ledger is a directory: {path}", hint="name a file in ledger.url")
        if path.exists():
            if path.stat().st_size == 0:
                raise LedgerUnreadable(f"the ledger is an empty file: {path}", hint=faults.RESTORE)
        elif read_only:
            raise LedgerError(
                f"there is no ledger yet: {path}",
                hint="`oicp-adapter run` or `sync` makes it, or correct ledger.url",
            )
