"""A copy takes the ledger's place: whole and made ready, or not at all.

The danger: a full disk, Ctrl-C or kill -9 half-way, and the next start finds no ledger, which is a first run that
forgets every doubt, or a copy that it believes. So all work is done on a copy of the copy, beside the ledger, which
then gets the ledger's name in one step.

    with duplicate(copy, path, now=now) as made:
        ...  # distrust what it says
        aside = put_in_place(made, path, now=now)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from oicp_adapter.errors import LedgerError
from oicp_adapter.ledger import faults, schema
from oicp_adapter.ledger.database import connect
from oicp_adapter.ledger.location import resolved
from oicp_adapter.ledger.sqlite import SqliteStore

_ANOTHER = "name a file that `ledger backup` wrote; the ledger is as it was"


@contextmanager
def duplicate(copy: Path, path: Path, *, now: float) -> Iterator[Path]:
    """A sound copy of `copy`, of the current version, in a directory beside the ledger that goes with the block.

    Raises LedgerError if it is the ledger itself, or cannot be used.
    """
    with faults.translated(copy):
        if not copy.exists():
            raise LedgerError(f"there is no copy {copy}", hint=_ANOTHER)
        if path.exists() and copy.samefile(path):
            raise LedgerError(f"this is no copy, but the ledger itself: {copy}", hint=_ANOTHER)
    path = resolved(path)
    with faults.translated(path):
        folder = tempfile.TemporaryDirectory(prefix=".ledger-", dir=path.parent)
    with folder:
        made = Path(folder.name, path.name)
        try:
            backup = SqliteStore.open_backup(copy)
        except LedgerError as error:
            raise type(error)(f"the copy cannot be used: {error.message}", hint=_ANOTHER) from error
        with backup:
            backup.backup(made)
        SqliteStore.open(made, now=now).close()  # a copy from before an upgrade is brought up to date
        yield made


def put_in_place(made: Path, path: Path, *, now: float) -> Path | None:
    """Give a duplicate the ledger's name. Nobody may use either meanwhile. Returns where the old ledger is kept.

    Raises LedgerError; then the old one is where it was.
    """
    path = resolved(path)
    aside = path.with_name(f"{path.name}.replaced-{now:.0f}")
    with faults.translated(path):
        _complete(made)
        with ExitStack() as undo:
            kept = path.exists()
            if kept:
                os.link(path, aside)
                undo.callback(aside.unlink)
            for ending in ("-wal", "-shm"):  # beside another file they would be taken for its own
                old, new = path.with_name(path.name + ending), aside.with_name(aside.name + ending)
                if old.exists():
                    kept = True
                    old.rename(new)
                    undo.callback(new.rename, old)
            made.replace(path)
            undo.pop_all()
        schema.sync(path.parent)
    return aside if kept else None


def _complete(made: Path) -> None:
    """All of it in the one file and on disk: what lay in a -wal would stay behind."""
    with closing(connect(made, mode="mode=rw")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    schema.sync(made)
