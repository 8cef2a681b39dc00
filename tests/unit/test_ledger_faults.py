"""What SQLite and the disk can do to us, and what we call it."""

from __future__ import annotations

import errno
import inspect
import sqlite3
from pathlib import Path

import pytest

from oicp_adapter.errors import LedgerError, LedgerFull, LedgerNotWritable, LedgerUnreadable
from oicp_adapter.ledger import faults

PATH = Path("/state/ledger.db")


def sqlite_error(code: int, text: str = "as SQLite says") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_SOMETHING"
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, LedgerFull),
        (sqlite3.SQLITE_IOERR_WRITE, LedgerFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, LedgerFull),
        (sqlite3.SQLITE_READONLY, LedgerNotWritable),
        (sqlite3.SQLITE_READONLY_DIRECTORY, LedgerNotWritable),
        (sqlite3.SQLITE_PERM, LedgerNotWritable),
        (sqlite3.SQLITE_CANTOPEN, LedgerNotWritable),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, LedgerNotWritable),
        (sqlite3.SQLITE_CORRUPT, LedgerUnreadable),
        (sqlite3.SQLITE_CORRUPT_VTAB, LedgerUnreadable),
        (sqlite3.SQLITE_NOTADB, LedgerUnreadable),
        (sqlite3.SQLITE_IOERR, LedgerError),
        (sqlite3.SQLITE_IOERR_READ, LedgerError),
        (sqlite3.SQLITE_IOERR_FSYNC, LedgerError),
        (sqlite3.SQLITE_BUSY, LedgerError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LedgerError),
        (sqlite3.SQLITE_LOCKED, LedgerError),
    ],
)
def test_each_failure_of_sqlite_has_its_own_class_a_place_and_a_fix(
    code: int, kind: type[LedgerError]
) -> None:
    # At 03:00 "disk I/O error" is not a sentence one can act on.
    error = faults.from_sqlite(sqlite_error(code), PATH)
    assert type(error) is kind
    assert str(PATH) in error.message
    assert "as SQLite says" in error.message
    assert error.hint


def test_every_exception_class_of_sqlite_is_translated() -> None:
    # One that leaks is an unhandled traceback in the worker thread.
    kinds = [
        kind for _, kind in inspect.getmembers(sqlite3, inspect.isclass) if issubclass(kind, sqlite3.Error)
    ]
    assert len(kinds) > 5
    for kind in kinds:
        with pytest.raises(LedgerError, match="the ledger failed"), faults.translated(PATH):
            raise kind("whatever")


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, LedgerFull, "disk is full"),
        (errno.EDQUOT, LedgerFull, "disk is full"),
        (errno.EACCES, LedgerNotWritable, "cannot be written"),
        (errno.EROFS, LedgerNotWritable, "cannot be written"),
        (errno.ENOENT, LedgerNotWritable, "directory of the ledger does not exist: /state"),
        (errno.ENOTDIR, LedgerNotWritable, "directory of the ledger does not exist: /state"),
    ],
)
def test_failures_of_the_system_are_translated_too(number: int, kind: type[LedgerError], text: str) -> None:
    # Making the file and the lock goes past SQLite.
    with pytest.raises(LedgerError, match=text) as failed, faults.translated(PATH):
        raise OSError(number, "as the system says")
    assert type(failed.value) is kind
    assert failed.value.hint


def test_a_full_disk_is_worth_retrying_and_a_damaged_ledger_is_not() -> None:
    # The daemon waits for space; it must not hammer a file it cannot read.
    assert faults.from_sqlite(sqlite_error(sqlite3.SQLITE_FULL), PATH).retryable
    assert not faults.from_sqlite(sqlite_error(sqlite3.SQLITE_CORRUPT), PATH).retryable
