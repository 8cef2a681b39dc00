"""One connection to the ledger file, and the only two ways to use it: a snapshot to read, a transaction to write.

The danger: a write believed durable that is not (hence WAL with synchronous=FULL), and a file that was replaced
under a running daemon, which would then record its pushes where nobody ever reads them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from oicp_adapter.errors import LedgerUnreadable
from oicp_adapter.ledger import faults

BUSY_TIMEOUT_MS = 60_000
"""How long a writer waits for another process's transaction. The longest is a fleet of a million EVSEs."""

WAL_LIMIT = 64 * 2**20
"""Bytes the -wal file keeps after a big transaction."""


class Database:
    """A connection for one thread at a time. Readers wait for nobody, writers for each other (`turn`)."""

    def __init__(self, path: Path, *, read_only: bool, turn: threading.Lock, opened: set[Database]) -> None:
        self.path = path
        self.read_only = read_only
        self._turn = turn
        with faults.translated(path):
            self._connection = _read_only(path) if read_only else _writable(path)
            self._identity = _identity(path)
        self._opened = opened
        opened.add(self)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """One consistent snapshot."""
        return self._transaction("BEGIN")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and durable when it ends without an exception."""
        with self._turn, self._transaction("BEGIN IMMEDIATE") as connection:
            if _identity(self.path) != self._identity:
                raise LedgerUnreadable(
                    f"the ledger was moved or replaced while it was in use: {self.path}",
                    hint="stop every process that uses it before touching it, then start again",
                )
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with faults.translated(self.path):
            try:
                self._connection.execute(begin)
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the first failure is the one that matters
                        self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def outside(self) -> Iterator[sqlite3.Connection]:
        """For what SQLite refuses inside a transaction: pragmas, backup."""
        with faults.translated(self.path):
            yield self._connection

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._opened.discard(self)
        with faults.translated(self.path):
            self._connection.close()


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """A bare connection: no implicit transactions, never creating a file unless `mode` is "rwc"."""
    return sqlite3.connect(
        f"{path.as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
        cached_statements=64,
    )


def _writable(path: Path) -> sqlite3.Connection:
    connection = connect(path, mode="mode=rw")
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _read_only(path: Path) -> sqlite3.Connection:
    """For verbs that only read. Where SQLite cannot create the files it coordinates with, because the directory is
    read-only or the disk full, and no writer has the file open (nothing is in a -wal), it is read as it lies."""
    connection = connect(path, mode="mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        refused = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        full = error.sqlite_errorcode == sqlite3.SQLITE_IOERR_SHMSIZE
        written = path.with_name(path.name + "-wal")
        if not (refused or full) or (written.exists() and (refused or written.stat().st_size)):
            raise
        return connect(path, mode="mode=ro&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name; None: none has."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
