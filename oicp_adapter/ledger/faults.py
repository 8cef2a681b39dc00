"""Every failure of SQLite and of the disk below it, as one of our own errors with the fix.

The danger: a full disk or a damaged file that looks like a bug, or worse like an empty ledger.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oicp_adapter import open_files
from oicp_adapter.errors import LedgerError, LedgerFull, LedgerNotWritable, LedgerUnreadable

RESTORE = (
    "restore the ledger from a backup, or move it and its -wal and -shm files away and follow the runbook in "
    "docs/operations.md: that is a first run, what Hubject holds is unknown then"
)
_FULL = "free space on its disk (or lift the quota); nothing is sent meanwhile, and it goes on by itself"
_PERMIT = "the directory and the file must be writable for the user this program runs as"
_BUSY = "see what else has the file open; a copy of the file on a network share is not supported"
_DISK = "look into the kernel's log for failures of the disk; the ledger must not be on a network share"
_TOO_MANY = "the ledger cannot be opened, too many files are open"
_UNEXPLAINED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
"""What SQLite says when a file of its own (the ledger, -wal, -shm) cannot be opened, whatever the reason."""

_BY_CODE: dict[int, tuple[type[LedgerError], str, str]] = {
    sqlite3.SQLITE_FULL: (LedgerFull, "the disk is full", _FULL),
    sqlite3.SQLITE_IOERR_WRITE: (LedgerFull, "the disk does not take more data", _FULL),
    sqlite3.SQLITE_IOERR_SHMSIZE: (LedgerFull, "the disk does not take more data", _FULL),
    sqlite3.SQLITE_CORRUPT: (LedgerUnreadable, "the ledger is damaged", RESTORE),
    sqlite3.SQLITE_NOTADB: (LedgerUnreadable, "the file is not a database", RESTORE),
    sqlite3.SQLITE_READONLY: (LedgerNotWritable, "the ledger is read-only", _PERMIT),
    sqlite3.SQLITE_PERM: (LedgerNotWritable, "the ledger is read-only", _PERMIT),
    sqlite3.SQLITE_CANTOPEN: (LedgerNotWritable, "the ledger cannot be opened", _PERMIT),
    sqlite3.SQLITE_BUSY: (LedgerError, "the ledger is locked by another program", _BUSY),
    sqlite3.SQLITE_LOCKED: (LedgerError, "the ledger is locked by another program", _BUSY),
    sqlite3.SQLITE_IOERR: (LedgerError, "the disk fails", _DISK),
}


def from_sqlite(error: sqlite3.Error, path: Path) -> LedgerError:
    """The error of ours for one of SQLite's, by its extended code, else its primary one."""
    code = getattr(error, "sqlite_errorcode", 0)
    kind, text, hint = (
        _BY_CODE.get(code) or _BY_CODE.get(code & 0xFF) or (LedgerError, "the ledger failed", "")
    )
    if kind is not LedgerFull and code & 0xFF in _UNEXPLAINED and open_files.ran_out():
        kind, text, hint = LedgerError, _TOO_MANY, open_files.ADVICE
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return kind(f"{text}: {path} ({error}, {name})", hint=hint)


def from_system(error: OSError, path: Path) -> LedgerError:
    """The error of ours for one of the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return LedgerFull(f"the disk is full: {path} ({error.strerror})", hint=_FULL)
    if open_files.too_many(error):
        return LedgerError(f"{_TOO_MANY}: {path} ({error.strerror})", hint=open_files.ADVICE)
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.parent.is_dir():
        what = "is a file" if path.parent.exists() else "does not exist"
        text = f"the directory of the ledger {what}: {path.parent}"
        return LedgerNotWritable(text, hint="create it, or correct ledger.url")
    return LedgerNotWritable(f"the ledger cannot be written: {path} ({error.strerror})", hint=_PERMIT)


def verify_place(path: Path) -> None:
    """Raises LedgerNotWritable if no ledger could be made there; makes none."""
    with translated(path):
        os.stat(path.parent / ".")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Let nothing of SQLite's or the operating system's leak."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    except OSError as error:
        raise from_system(error, path) from error
