"""Is this file a ledger of ours, of which version, and how it becomes the current one.

The danger: taking a damaged, foreign or half-made file for a first run. So a file is created whole or not at all,
and whatever is not provably ours stops the program. Only "not there" is a first run.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from oicp_adapter import __version__
from oicp_adapter.errors import LedgerError, LedgerForeign, LedgerUnreadable
from oicp_adapter.ledger import faults
from oicp_adapter.ledger.database import Database, connect

APPLICATION_ID = 0x4F494350
"""SQLite's application_id of our files: "OICP"."""


def _numbered_scripts() -> tuple[str, ...]:
    folder = files("oicp_adapter.ledger").joinpath("schema")
    scripts = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name
    )
    return tuple(item.read_text("utf-8") for item in scripts)


MIGRATIONS = _numbered_scripts()
"""Script n turns a file of version n-1 into version n."""


def create_if_missing(path: Path, *, now: float, migrations: Sequence[str]) -> None:
    """Make the ledger, whole, unless it is there. Two processes may try at the same time."""
    with faults.translated(path):
        if path.exists():
            return
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size and not path.exists():
            raise LedgerUnreadable(
                f"the ledger is missing, but its last changes are there: {wal}",
                hint="put the ledger file back beside it; if it is lost: " + faults.RESTORE,
            )

        def build(target: Path) -> None:
            with _closing(connect(target, mode="mode=rwc")) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                _apply(connection, migrations, now=now)
                connection.execute("COMMIT")

        publish(path, build)


def publish(path: Path, build: Callable[[Path], None]) -> bool:
    """Let `build` write a file elsewhere and give it its name when it is whole and on disk.

    Never overwrites: False if the name was taken meanwhile. A crash leaves at most a `.ledger-*` directory.
    """
    with tempfile.TemporaryDirectory(prefix=".ledger-", dir=path.parent) as folder:
        made = Path(folder, path.name)
        build(made)
        sync(made)
        try:
            os.link(made, path)
        except FileExistsError:
            return False
    sync(path.parent)
    return True


def verify(database: Database, *, now: float, migrations: Sequence[str]) -> None:
    """Raise LedgerForeign unless the file is ours; bring an older version up to date."""
    path, newest = database.path, len(migrations)
    version = version_of(database, newest=newest)
    if version == newest:
        return
    if database.read_only:
        raise LedgerError(
            f"the ledger is of an older version (schema {version}, current is {newest}): {path}",
            hint="start the daemon of this version once, or run `sync`: that brings it up to date; to see first what "
            "it would do differently: `oicp-adapter plan --ledger COPY`",
        )
    with _foreign_keys_off(database):
        for number in range(version, newest):
            with database.writing() as connection:
                _apply(connection, migrations[: number + 1], now=now)


def version_of(database: Database, *, newest: int) -> int:
    """The version of the file's tables. Raises LedgerForeign unless it is ours and not newer than `newest`."""
    path = database.path
    with database.reading() as connection:
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if application != APPLICATION_ID or version < 1:
        raise LedgerForeign(
            f"the file is a database of another program, not a ledger: {path}",
            hint="correct ledger.url; if the file should be a ledger, " + faults.RESTORE,
        )
    if version > newest:
        raise LedgerForeign(
            f"the ledger was written by a newer version (schema {version}, this one knows {newest}): {path}",
            hint="use that version again, or a backup made before the upgrade",
        )
    return version


def _apply(connection: sqlite3.Connection, migrations: Sequence[str], *, now: float) -> None:
    """Run what is missing inside the caller's transaction (nothing, if another process was faster)."""
    for number in range(_pragma(connection, "user_version"), len(migrations)):
        for statement in statements(migrations[number]):
            connection.execute(statement)
        version = number + 1
        connection.execute("INSERT INTO ledger_version VALUES (?, ?, ?)", (version, now, __version__))
        connection.execute(f"PRAGMA user_version = {version}")


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: sqlite3's executescript would commit our transaction."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


@contextmanager
def _foreign_keys_off(database: Database) -> Iterator[None]:
    """A migration may rebuild a table, which must not cascade to the tables that refer to it."""
    with database.outside() as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        yield
        connection.execute("PRAGMA foreign_keys = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _closing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    finally:
        connection.close()


def sync(path: Path) -> None:
    """Durable from now on; for a directory, the names in it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
