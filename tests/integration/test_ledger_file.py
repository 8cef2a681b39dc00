"""Opening the ledger: only "not there" is a first run; everything else is ours, or a clear refusal."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import EvseRow, IntentRecord, OperatorState, Presence, PushIntent
from oicp_adapter.errors import LedgerError, LedgerForeign, LedgerFull, LedgerNotWritable, LedgerUnreadable
from oicp_adapter.ledger import schema
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from oicp_adapter.ports import JobRecord
from tests.patience import AT_MOST

NOW = 1_800_000_000.0
URL = "https://hub.example/api/oicp"
ROW = EvseRow(key="A", wire_id="A", source_id="A", presence=Presence.PRESENT, status=EvseStatus.AVAILABLE)


def write_one(path: Path) -> None:
    with SqliteStore.open(path, now=NOW) as store:
        store.operator(URL, "DEABC").save([ROW], OperatorState())


def read(path: Path, *, read_only: bool = False) -> dict[str, EvseRow]:
    with SqliteStore.open(path, now=NOW, read_only=read_only) as store:
        return store.operator(URL, "DEABC").load().rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A directory that can be read but not written by whoever the test runs as, with a ledger in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_one(folder / "ledger.db")
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # to root, every directory is writable
        else:
            (folder / "ledger.db").chmod(0o444)
            folder.chmod(0o555)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


# A first run, and a second one


def test_a_missing_ledger_is_made_and_found_again(path: Path) -> None:
    # Everything else rests on this.
    write_one(path)
    assert read(path) == {"A": ROW}
    assert sorted(item.name for item in path.parent.iterdir()) == ["ledger.db"]


def test_a_file_of_ours_says_so_and_since_when(path: Path) -> None:
    # `file ledger.db` and the sqlite3 shell must tell an engineer what this is.
    write_one(path)
    with closing(sqlite3.connect(path)) as shell:
        assert shell.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"OICP", "big"),)
        versions = shell.execute("SELECT version, applied_at FROM ledger_version").fetchall()
        assert versions == [(number + 1, NOW) for number in range(len(schema.MIGRATIONS))]
        assert shell.execute("SELECT operator, wire_id, status FROM evse_view").fetchall() == [
            ("DEABC", "A", "Available")
        ]
        assert shell.execute("SELECT count(*) FROM push_view").fetchone() == (0,)


def test_a_strange_file_name_is_still_the_file_that_was_named(tmp_path: Path) -> None:
    # A name cut at a question mark would open, and fill, another file.
    path = tmp_path / "my ledger?mode=memory#1%20.db"
    write_one(path)
    assert path.is_file()
    assert read(path) == {"A": ROW}


def test_processes_that_start_together_make_one_ledger(path: Path) -> None:
    # Two operators' jobs start in the same second on an empty volume; the second must not replace the first's file.
    together = threading.Barrier(6)
    failures: list[BaseException] = []

    def start(number: int) -> None:
        try:
            together.wait(AT_MOST)
            with SqliteStore.open(path, now=NOW) as store:
                store.operator(URL, f"DE{number}").save([ROW], OperatorState())
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with SqliteStore.open(path, now=NOW) as store:
        assert all(store.operator(URL, f"DE{number}").load().rows == {"A": ROW} for number in range(6))
    assert [item.name for item in path.parent.iterdir()] == ["ledger.db"]


def test_a_crash_while_it_is_made_leaves_no_half_made_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A half-made file would be refused at the next start, or worse, believed.
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", crash)
    with pytest.raises(KeyboardInterrupt):
        SqliteStore.open(path, now=NOW)
    assert not path.exists()
    monkeypatch.undo()
    write_one(path)


def test_a_disk_that_is_full_at_the_first_start_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first thing a container with a tiny volume meets.
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerFull, match="disk is full"):
        SqliteStore.open(path, now=NOW)
    assert not path.exists()


# Scopes


def test_operators_and_environments_do_not_see_each_other(path: Path) -> None:
    # QA's baseline believed for PROD: the first full load there would delete what we never saw.
    with SqliteStore.open(path, now=NOW) as store:
        store.operator(URL, "DEABC").save([ROW], OperatorState(baseline="adopted"))
        for other in (store.operator("https://prod.example/api/oicp", "DEABC"), store.operator(URL, "DEXYZ")):
            assert (other.load().rows, other.load().state) == ({}, OperatorState())
            other.begin(_intent())
        mine = store.operator(URL, "DEABC")
        assert (mine.load().open_pushes, mine.pushes(9), mine.history("A", 9)) == ((), [], [])
        assert mine.recent_pushes(0.0) == []


def test_a_trailing_slash_is_no_other_environment(path: Path) -> None:
    # Editing the URL for looks must not cost the baseline.
    with SqliteStore.open(path, now=NOW) as store:
        store.operator(URL, "DEABC").save([ROW], OperatorState())
        assert store.operator(URL + "/", "DEABC").load().rows == {"A": ROW}


def test_one_operators_commands_rejections_and_jobs_are_its_own(path: Path) -> None:
    # A resync asked for one operator and carried out for another is a full load nobody wanted.
    with SqliteStore.open(path, now=NOW) as store:
        mine, other = store.operator(URL, "DEABC"), store.operator(URL, "DEXYZ")
        number = mine.put("resync", {}, now=NOW)
        assert other.take(now=NOW) is None
        assert not other.withdraw(number, now=NOW)
        with pytest.raises(LedgerError):
            other.command(number)
        taken = mine.take(now=NOW)
        assert taken is not None
        assert other.abandon(now=NOW) == 0
        assert (other.rejected(), other.jobs()) == ([], [])


# What is not a ledger


def test_an_empty_file_is_damage_and_not_a_first_run(path: Path) -> None:
    # A crash of the disk leaves files of length zero; SQLite itself takes them for new databases.
    path.touch()
    with pytest.raises(LedgerUnreadable, match="empty file") as refused:
        SqliteStore.open(path, now=NOW)
    assert "runbook" in refused.value.hint
    assert path.stat().st_size == 0


def test_something_that_is_no_database_is_refused(path: Path) -> None:
    # ledger.url pointing at the configuration, say.
    path.write_bytes(b"[hubject]\nenvironment = 'qa'\n" * 50)
    with pytest.raises(LedgerUnreadable, match="not a database"):
        SqliteStore.open(path, now=NOW)
    assert path.read_bytes().startswith(b"[hubject]")


def test_a_truncated_ledger_is_refused(path: Path) -> None:
    # An interrupted copy: half of the fleet would be unknown.
    write_one(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(LedgerUnreadable, match="damaged"):
        SqliteStore.open(path, now=NOW)


def test_damage_inside_is_found_when_it_is_read_and_by_check(path: Path) -> None:
    # A bad sector must never look like EVSEs that are not there.
    many = [
        EvseRow(key=f"{n}", wire_id=f"{n}", source_id="x" * 99, presence=Presence.ABSENT) for n in range(500)
    ]
    with SqliteStore.open(path, now=NOW) as store:
        store.operator(URL, "DEABC").save(many, OperatorState())
        store.check()
    with closing(sqlite3.connect(path)) as shell:
        (root,) = shell.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'evse'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with SqliteStore.open(path, now=NOW) as store:
        with pytest.raises(LedgerUnreadable, match="damaged"):
            store.check()
        ledger = store.operator(URL, "DEABC")
        with pytest.raises(LedgerUnreadable, match="damaged"):
            ledger.load()


@pytest.mark.parametrize(
    "change", ["status = 'Avialable'", "connectors = '[{]'", "quarantine = '{}'", "cause = 'x'"]
)
def test_a_row_that_no_version_of_ours_wrote_is_named(path: Path, change: str) -> None:
    # Someone repaired a row by hand at 03:00 and mistyped.
    write_one(path)
    with closing(sqlite3.connect(path)) as shell, shell:
        shell.execute(f"UPDATE evse SET {change}")
    with pytest.raises(LedgerUnreadable, match="EVSE 'A'"):
        read(path)


@pytest.mark.parametrize(
    "change",
    [
        "push SET action = 'x'",
        "command SET state = 'x'",
        "command SET arguments = '[]'",
        "job SET summary = '1'",
    ],
)
def test_anything_else_that_was_mistyped_is_a_clear_error_too(path: Path, change: str) -> None:
    # The daemon looks into its inbox every second: a traceback there stops it without a word about the file.
    with SqliteStore.open(path, now=NOW) as store:
        ledger = store.operator(URL, "DEABC")
        ledger.begin(_intent())
        number = ledger.put("resync", {}, now=NOW)
        ledger.record_job(JobRecord(job="delta"))
        with closing(sqlite3.connect(path)) as shell, shell:
            shell.execute(f"UPDATE {change}")
        with pytest.raises(LedgerUnreadable, match="something unreadable"):
            ledger.load(), ledger.command(number), ledger.jobs()
        with pytest.raises(LedgerUnreadable, match="something unreadable"):
            ledger.history("A", 9), ledger.take(now=NOW), ledger.command(number), ledger.jobs()


def test_a_state_that_no_version_of_ours_wrote_is_refused(path: Path) -> None:
    # The guard's account and the baseline are in it: never start with an empty one instead.
    write_one(path)
    with closing(sqlite3.connect(path)) as shell, shell:
        shell.execute("UPDATE operator SET state = '{\"baseline\": 5}'")
    with pytest.raises(LedgerUnreadable, match="operator's state"):
        read(path)


def test_a_state_of_another_version_is_read_as_far_as_it_is_known(path: Path) -> None:
    # Members come and go between versions; what both know must survive an upgrade and a way back.
    write_one(path)
    with closing(sqlite3.connect(path)) as shell, shell:
        shell.execute("""UPDATE operator SET state = '{"baseline": "adopted", "later_idea": {"x": 1}}'""")
    with SqliteStore.open(path, now=NOW) as store:
        assert store.operator(URL, "DEABC").load().state == OperatorState(baseline="adopted")


@pytest.mark.parametrize("application", [0, 12345])
def test_a_database_of_another_program_is_refused_and_left_alone(path: Path, application: int) -> None:
    # ledger.url pointing at the backend's own database.
    with closing(sqlite3.connect(path)) as shell, shell:
        shell.execute("CREATE TABLE theirs (x)")
        shell.execute(f"PRAGMA application_id = {application}")
    with pytest.raises(LedgerForeign, match="another program"):
        SqliteStore.open(path, now=NOW)
    with closing(sqlite3.connect(path)) as shell:
        assert shell.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_ledger_whose_main_file_was_lost_is_no_first_run(path: Path) -> None:
    # Left alone, SQLite would apply the old -wal to the new file.
    path.with_name("ledger.db-wal").write_bytes(b"frames")
    with pytest.raises(LedgerUnreadable, match="ledger is missing, but its last changes are there"):
        SqliteStore.open(path, now=NOW)
    assert not path.exists()


def test_a_ledger_replaced_under_a_running_daemon_is_noticed_before_the_next_push(path: Path) -> None:
    # A restore without stopping the daemon: its intents would go into a file that nobody ever reads.
    with SqliteStore.open(path, now=NOW) as store:
        ledger = store.operator(URL, "DEABC")
        write_one(path.with_name("restored.db"))
        path.with_name("restored.db").replace(path)
        with pytest.raises(LedgerUnreadable, match="moved or replaced"):
            ledger.begin(_intent())
        path.unlink()
        with pytest.raises(LedgerUnreadable, match="moved or replaced"):
            ledger.begin(_intent())


# Directories and rights


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("missing/ledger.db", "the directory of the ledger does not exist: .*/missing"),
        ("file/ledger.db", "the directory of the ledger is a file: .*/file"),
    ],
)
def test_a_directory_that_does_not_exist_is_named(tmp_path: Path, place: str, said: str) -> None:
    # A mistyped ledger.url or a volume that was not mounted.
    (tmp_path / "file").touch()
    with pytest.raises(LedgerNotWritable, match=said) as refused:
        SqliteStore.open(tmp_path / place, now=NOW)
    assert refused.value.exit_code == 2


def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    # Docker makes a directory where a bind-mounted file is missing.
    with pytest.raises(LedgerNotWritable, match="is a directory"):
        SqliteStore.open(tmp_path, now=NOW)


def test_a_read_only_directory_stops_a_first_run_with_a_clear_message(locked_folder: Path) -> None:
    # A volume owned by another user.
    with pytest.raises(LedgerNotWritable, match="cannot be written") as refused:
        SqliteStore.open(locked_folder / "new.db", now=NOW)
    assert "writable for the user" in refused.value.hint
    assert not (locked_folder / "new.db").exists()


def test_a_read_only_ledger_is_noticed_at_the_start_and_not_at_the_first_push(locked_folder: Path) -> None:
    # Found at the first push, the daemon would look healthy until something changes.
    with pytest.raises(LedgerNotWritable):
        SqliteStore.open(locked_folder / "ledger.db", now=NOW)


def test_a_read_only_ledger_in_a_read_only_directory_can_be_read(locked_folder: Path) -> None:
    # `status` in a side container that mounts the volume read-only.
    assert read(locked_folder / "ledger.db", read_only=True) == {"A": ROW}


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Do something in the locked folder that its owner may."""
    user, mode = os.geteuid(), folder.stat().st_mode
    os.seteuid(os.getuid())
    folder.chmod(0o755)
    (folder / "ledger.db").chmod(0o644)
    try:
        yield
    finally:
        folder.chmod(mode)
        os.seteuid(user)


def test_it_can_be_read_there_while_the_daemon_writes(locked_folder: Path) -> None:
    # The same side container, with the daemon at work: what it sees must be the latest, not the last checkpoint.
    with as_owner(locked_folder):
        store = SqliteStore.open(locked_folder / "ledger.db", now=NOW)
        store.operator(URL, "DEABC").save([], OperatorState(), forget=["A"])
    try:
        assert read(locked_folder / "ledger.db", read_only=True) == {}
    finally:
        with as_owner(locked_folder):
            store.close()


def test_changes_that_cannot_be_read_there_are_an_error_and_not_an_old_picture(locked_folder: Path) -> None:
    # The daemon was killed and only a part of its files is mounted: yesterday's status is worse than none.
    copy = locked_folder / "copy.db"
    with as_owner(locked_folder), SqliteStore.open(locked_folder / "ledger.db", now=NOW) as store:
        store.operator(URL, "DEABC").save([], OperatorState(), forget=["A"])
        for end in ("", "-wal"):
            shutil.copy(locked_folder / f"ledger.db{end}", f"{copy}{end}")
    with pytest.raises(LedgerNotWritable):
        read(copy, read_only=True)


# Readers


def test_a_reader_that_finds_no_ledger_says_so_and_makes_none(path: Path) -> None:
    # `status` with a mistyped path must not leave an empty ledger behind.
    with pytest.raises(LedgerError, match="no ledger yet"):
        SqliteStore.open(path, now=NOW, read_only=True)
    assert list(path.parent.iterdir()) == []


def test_a_reader_sees_nothing_for_an_operator_that_never_ran_and_what_comes_later(path: Path) -> None:
    # `status` right after adding an operator to the configuration.
    with SqliteStore.open(path, now=NOW) as store, SqliteStore.open(path, now=NOW, read_only=True) as status:
        early = status.operator(URL, "DEABC")
        assert (early.load().rows, early.pushes(5), early.jobs(), early.rejected()) == ({}, [], [], [])
        store.operator(URL, "DEABC").save([ROW], OperatorState())
        assert early.load().rows == {"A": ROW}


def test_a_reader_cannot_write(path: Path) -> None:
    # A reading verb that changes something is not one.
    write_one(path)
    with SqliteStore.open(path, now=NOW, read_only=True) as status:
        ledger: SqliteLedger = status.operator(URL, "DEABC")
        with pytest.raises(LedgerNotWritable, match="read-only"):
            ledger.put("resync", {}, now=NOW)


def test_readers_and_writers_never_wait_for_each_other(path: Path) -> None:
    # `status` during a push of a million EVSEs, and a push during `status`. Blocked, either would fail here.
    write_one(path)
    with SqliteStore.open(path, now=NOW) as store, SqliteStore.open(path, now=NOW, read_only=True) as status:
        writer, reader = store.operator(URL, "DEABC"), status.operator(URL, "DEABC")

        def while_read() -> Iterator[EvseRow]:
            yield ROW

        with writer._database.writing() as connection:
            connection.execute("DELETE FROM evse")
            assert reader.load().rows == {"A": ROW}
            connection.execute("INSERT INTO rejected VALUES (1, 0, 'x', 'x', 'x', 0)")
        with reader._database.reading() as snapshot:
            assert snapshot.execute("SELECT count(*) FROM evse").fetchone() == (0,)
            writer.save(while_read(), OperatorState())
            assert snapshot.execute("SELECT count(*) FROM evse").fetchone() == (0,)
        assert reader.load().rows == {"A": ROW}


# Backup


def test_a_backup_is_a_whole_ledger_and_never_overwrites(path: Path, tmp_path: Path) -> None:
    # A backup over the only good copy, or half a backup, is worse than none.
    write_one(path)
    copy = tmp_path / "copy.db"
    with SqliteStore.open(path, now=NOW) as store:
        busy = store.operator(URL, "DEABC")
        busy.begin(_intent())
        store.backup(copy)
        with pytest.raises(LedgerNotWritable, match="file already"):
            store.backup(copy)
        with pytest.raises(LedgerNotWritable, match=r"does not exist: .*/missing"):
            store.backup(tmp_path / "missing" / "copy.db")
    assert read(copy) == {"A": ROW}
    with SqliteStore.open(copy, now=NOW) as store:
        store.check()
        assert len(store.operator(URL, "DEABC").load().open_pushes) == 1


def test_a_name_taken_while_a_file_is_built_is_not_overwritten(path: Path) -> None:
    # Between "is it there?" and "it is mine" another process may have made the ledger, and pushed.
    def build(target: Path) -> None:
        target.write_text("mine")
        path.write_text("theirs")

    assert not schema.publish(path, build)
    assert path.read_text() == "theirs"


def _intent() -> PushIntent:
    record = IntentRecord("A", EvseStatus.OCCUPIED, "test")
    return PushIntent(action=ActionType.UPDATE, cycle_id="c", started_at=NOW, count=1, records=(record,))
