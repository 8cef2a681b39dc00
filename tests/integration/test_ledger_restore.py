"""`ledger restore`: the copy takes the ledger's place whole, or everything stays as it was."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from oicp_adapter.core.records import EvseRow, OperatorState, Presence
from oicp_adapter.errors import LedgerError, LedgerForeign, LedgerFull, LedgerNotWritable, LedgerUnreadable
from oicp_adapter.ledger.restore import duplicate, put_in_place
from oicp_adapter.ledger.sqlite import SqliteStore

NOW = 1_800_000_000.0
URL = "https://hub.example/api/oicp"


def rows(keys: Iterable[str]) -> list[EvseRow]:
    return [EvseRow(key=key, wire_id=key, source_id=key, presence=Presence.PRESENT) for key in keys]


def write(path: Path, *keys: str) -> None:
    with SqliteStore.open(path, now=NOW) as store:
        store.operator(URL, "DEABC").save(rows(keys), OperatorState())


def crashed(path: Path, *keys: str) -> None:
    """A ledger whose last changes are in its -wal only, as kill -9 leaves it."""
    folder = path.with_name(f"crash-{path.name}")
    folder.mkdir()
    write(folder / path.name)
    with SqliteStore.open(folder / path.name, now=NOW) as store:
        store.operator(URL, "DEABC").save(rows(keys), OperatorState())
        for ending in ("", "-wal"):
            shutil.copy(folder / (path.name + ending), path.with_name(path.name + ending))


def read(path: Path) -> set[str]:
    with SqliteStore.open(path, now=NOW) as store:
        return set(store.operator(URL, "DEABC").load().rows)


def restore(path: Path, copy: Path) -> Path | None:
    with duplicate(copy, path, now=NOW) as made:
        return put_in_place(made, path, now=NOW)


def picture(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "backup").mkdir()
    write(tmp_path / "backup" / "monday.db", "OLD")
    return tmp_path / "backup" / "monday.db"


def test_the_copy_is_there_and_the_ledger_before_is_kept_with_its_last_changes(
    path: Path, copy: Path
) -> None:
    # The old -wal left beside the new file would be taken for its own; lost, the old ledger is not worth keeping.
    crashed(path, "NEW")
    aside = restore(path, copy)
    assert aside == path.with_name("ledger.db.replaced-1800000000")
    assert not path.with_name("ledger.db-wal").exists()
    assert (read(path), read(aside)) == ({"OLD"}, {"NEW"})
    assert read(copy) == {"OLD"}


def test_without_a_ledger_the_copy_is_put_where_it_belongs(path: Path, copy: Path) -> None:
    # A new machine: there is nothing to keep.
    assert restore(path, copy) is None
    assert read(path) == {"OLD"}


def _hard_link(path: Path) -> Path:
    os.link(path, path.with_name("linked.db"))
    return path.with_name("linked.db")


def _symbolic_link(path: Path) -> Path:
    path.with_name("current.db").symlink_to(path.name)
    return path.with_name("current.db")


@pytest.mark.parametrize(
    "named",
    [
        lambda path: path,
        lambda path: Path(os.path.relpath(path)),
        lambda path: path.parent / "backup" / ".." / path.name,
        _symbolic_link,
        _hard_link,
    ],
    ids=["itself", "relative", "detour", "symbolic link", "hard link"],
)
def test_the_ledger_is_no_copy_of_itself(path: Path, copy: Path, named: Callable[[Path], Path]) -> None:
    # It was moved away, and then there was none: the next sync was a first run, and all doubts were forgotten.
    crashed(path, "NEW")
    given = named(path)
    before = picture(path.parent)
    with pytest.raises(LedgerError, match="the ledger itself"):
        restore(path, given)
    assert picture(path.parent) == before


def test_a_ledger_behind_a_symbolic_link_is_replaced_where_it_lies(path: Path, copy: Path) -> None:
    # The link replaced by a file: the ledger is on the small disk from now on, and its -wal stays behind.
    real = path.with_name("big-disk")
    real.mkdir()
    crashed(real / "ledger.db", "NEW")
    path.symlink_to(real / "ledger.db")
    aside = restore(path, copy)
    assert path.is_symlink()
    assert aside is not None
    assert (aside.parent, read(path), read(aside)) == (real, {"OLD"}, {"NEW"})


def test_what_lies_in_the_copy_s_own_wal_is_restored_too(path: Path, copy: Path) -> None:
    # A copy of a directory, made while the daemon was dead: its last changes are beside it.
    write(path, "NEW")
    crashed(copy.with_name("snapshot.db"), "RECENT")
    restore(path, copy.with_name("snapshot.db"))
    assert read(path) == {"RECENT"}


def test_a_copy_from_before_an_upgrade_is_brought_up_to_date_and_stays_as_it_is(
    path: Path, copy: Path
) -> None:
    # "Run `sync`: that brings it up to date", about a file that no sync will ever open.
    write(path, "NEW")
    copy.unlink()
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(Path(__file__).with_name("ledger_v1.sql").read_text("utf-8"))
    before = copy.read_bytes()
    restore(path, copy)
    assert read(path) == {"DEABCE1"}
    assert copy.read_bytes() == before


def _foreign(copy: Path) -> None:
    copy.unlink()
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("CREATE TABLE t (x)")


def _newer(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _damaged(copy: Path) -> None:
    with copy.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def _a_directory(copy: Path) -> None:
    copy.unlink()
    copy.mkdir()


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (Path.unlink, LedgerError),
        (lambda copy: copy.write_bytes(b""), LedgerUnreadable),
        (lambda copy: copy.write_bytes(b"text" * 1000), LedgerUnreadable),
        (_damaged, LedgerUnreadable),
        (_foreign, LedgerForeign),
        (_newer, LedgerForeign),
        (_a_directory, LedgerNotWritable),
    ],
    ids=["missing", "empty", "text", "damaged", "foreign", "newer", "directory"],
)
def test_a_copy_that_cannot_be_used_changes_nothing(
    path: Path, copy: Path, spoil: Callable[[Path], None], kind: type[LedgerError]
) -> None:
    # The good ledger is gone, and what took its place is worse.
    crashed(path, "NEW")
    spoil(copy)
    before = picture(path.parent)
    with pytest.raises(kind, match="copy") as refused:
        restore(path, copy)
    assert "the ledger is as it was" in refused.value.hint
    assert picture(path.parent) == before


@pytest.mark.parametrize("step", ["link", "-wal", "-shm", "replace"])
def test_a_restore_that_fails_half_way_leaves_the_ledger_where_it_was(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    # A full disk: the ledger moved away and nothing in its place is a first run at the next start.
    crashed(path, "NEW")
    path.with_name("ledger.db-shm").write_bytes(bytes(32768))
    before = picture(path.parent)
    full = OSError(errno.ENOSPC, "No space left on device")
    move = Path.rename

    def link(*_: object) -> None:
        raise full

    def rename(old: Path, new: Path) -> Path:
        if old.name == f"ledger.db{step}":
            raise full
        return move(old, new)

    def replace(_old: Path, _new: Path) -> Path:
        raise full

    with duplicate(copy, path, now=NOW) as made:
        if step == "link":
            monkeypatch.setattr(os, "link", link)
        elif step == "replace":
            monkeypatch.setattr(Path, "replace", replace)
        else:
            monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(LedgerFull):
            put_in_place(made, path, now=NOW)
    assert picture(path.parent) == before
    assert read(path) == {"NEW"}


def test_nothing_is_left_of_a_restore_that_was_given_up(path: Path, copy: Path) -> None:
    # Ctrl-C while the copy is made ready: the ledger is the ledger, and no half-made file lies beside it.
    crashed(path, "NEW")
    before = picture(path.parent)
    with pytest.raises(KeyboardInterrupt), duplicate(copy, path, now=NOW):
        raise KeyboardInterrupt
    assert picture(path.parent) == before
    assert list(path.parent.glob(".ledger-*")) == []


def test_what_was_written_to_the_copy_last_is_in_the_ledger(path: Path, copy: Path) -> None:
    # The distrust, left behind in a -wal that is thrown away: the copy would be believed.
    with duplicate(copy, path, now=NOW) as made:
        write(made, "LAST")
        with closing(
            sqlite3.connect(made)
        ) as reader:  # keeps the last writer from emptying the -wal by itself
            reader.execute("SELECT count(*) FROM evse").fetchone()
            write(made, "VERY LAST")
            assert made.with_name(made.name + "-wal").exists()
            put_in_place(made, path, now=NOW)
    assert read(path) == {"OLD", "LAST", "VERY LAST"}
