"""Several processes on one ledger: commands are handed over once, and the right to push has one holder."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oicp_adapter.errors import LedgerFull, LedgerNotWritable, LockHeld
from oicp_adapter.ledger.lock import UNNAMED, Holder, OperatorLock, holder_of
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.ports import CommandState
from tests import leash
from tests.patience import wait_until

NOW = 1_800_000_000.0
URL = "https://hub.example/api/oicp"
ROOT = str(Path(__file__).parents[2])

PRELUDE = """
import sys
import threading
from pathlib import Path
from oicp_adapter.ledger.lock import OperatorLock
from oicp_adapter.ledger.sqlite import SqliteStore

path = Path(sys.argv[1])

def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


class Other:
    """A script in a process of its own. What it prints goes into a file: nobody waits for a line that never comes."""

    def __init__(self, script: str, path: Path, printed: Path) -> None:
        self._printed = printed
        self._told = 0
        with printed.open("wb") as out:
            self.process = leash.begin(
                [sys.executable, "-c", PRELUDE + script, str(path)],
                env={**os.environ, "PYTHONPATH": ROOT},
                stdin=leash.PIPE,
                stdout=out,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """The next one it prints."""

        def look() -> str:
            ended = self.process.poll() is not None
            lines = self._printed.read_text().splitlines(keepends=True)[self._told :]
            assert lines or not ended, f"it ended with {self.process.returncode}"
            return lines[0] if lines and lines[0].endswith("\n") else ""

        found = wait_until(look, "the other process prints a line")
        self._told += 1
        return found.strip()

    def goes_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def rest(self) -> str:
        """What it prints until it ends."""
        wait_until(lambda: self.process.poll() is not None, "the other process ends")
        return "".join(self._printed.read_text().splitlines(keepends=True)[self._told :])


Start = Callable[[str], Other]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Run a script in a process of its own. It says "ready" and waits for a line."""
    running: list[Other] = []

    def run(script: str) -> Other:
        running.append(Other(script, path, path.with_name(f"printed-{len(running)}")))
        return running[-1]

    try:
        yield run
    finally:
        for other in running:
            leash.end(other.process)


# Inbox


def test_a_command_put_by_another_process_reaches_the_daemon_and_its_answer_comes_back(
    path: Path, start: Start
) -> None:
    # `resync` in another container, handed over through the shared ledger.
    script = f"""
with SqliteStore.open(path, now=0.0) as store:
    inbox = store.operator({URL!r}, "DEABC")
    number = inbox.put("resync", {{"adopt": 5}}, now=1.0)
    ready()
    print(inbox.command(number).state, inbox.command(number).text, flush=True)
"""
    with SqliteStore.open(path, now=NOW) as store:
        daemon = store.operator(URL, "DEABC")
        assert daemon.take(now=NOW) is None
        other = start(script)
        assert other.line() == "ready"
        command = daemon.take(now=NOW)
        assert command is not None
        assert (command.verb, command.arguments) == ("resync", {"adopt": 5})
        daemon.end(command.id, CommandState.DONE, exit_code=0, text="273 records", now=NOW)
        other.goes_on()
        assert other.line() == "done 273 records"


def test_each_command_is_taken_by_exactly_one_of_two_processes(path: Path, start: Start) -> None:
    # Two daemons by mistake: the lock should prevent it, the inbox must not make it worse.
    script = f"""
with SqliteStore.open(path, now=0.0) as store:
    inbox = store.operator({URL!r}, "DEABC")
    ready()
    while command := inbox.take(now=1.0):
        print(command.id, end=" ")
"""
    with SqliteStore.open(path, now=NOW) as store:
        inbox = store.operator(URL, "DEABC")
        numbers = [inbox.put("resync", {}, now=NOW) for _ in range(40)]
    both = [start(script), start(script)]
    assert [other.line() for other in both] == ["ready", "ready"]
    for other in both:
        other.goes_on()
    taken = [int(number) for other in both for number in other.rest().split()]
    assert sorted(taken) == numbers


# The lock


def lock(path: Path, verb: str = "run") -> OperatorLock:
    return OperatorLock(path.with_name("DEABC.lock"), holder=verb, now=lambda: NOW)


HOLD = """
with OperatorLock(path.with_name("DEABC.lock"), holder="run", now=lambda: 1_800_000_000.0):
    ready()
"""


def test_a_second_process_is_refused_with_the_name_of_the_first(path: Path, start: Start) -> None:
    # Two pushing processes overtake each other at Hubject (P2); the person must know which one to stop.
    first = start(HOLD)
    assert first.line() == "ready"
    with pytest.raises(LockHeld, match="`run`") as refused:
        lock(path, "sync").acquire()
    assert f"process {first.pid} on " in refused.value.message
    assert "since 2027-01-15 08:00:00 UTC" in refused.value.message
    assert refused.value.hint
    found = lock(path).holder()
    assert found is not None
    assert (found.verb, found.pid, found.since) == ("run", first.pid, NOW)


def test_a_killed_holder_holds_nothing(path: Path, start: Start) -> None:
    # After kill -9 the daemon must start again without anybody removing files by hand.
    first = start(HOLD)
    assert first.line() == "ready"
    leash.end(first.process)
    assert holder_of(path.with_name("DEABC.lock")) is None
    with lock(path, "sync") as mine:
        holder = mine.holder()
        assert holder is not None
        assert (holder.verb, holder.pid) == ("sync", os.getpid())


def test_a_program_started_by_the_holder_does_not_keep_the_lock(path: Path) -> None:
    # A helper process that outlives the daemon would keep it from starting again.
    mine = lock(path)
    mine.acquire()
    file = mine._file
    assert file is not None
    assert not os.get_inheritable(file)
    with leash.begun([sys.executable, "-c", "input()"], stdin=leash.PIPE, pass_fds=(file,)):
        mine.release()  # even if it had been inherited
        with lock(path) as again:
            assert again.holder() is not None


def test_the_same_process_cannot_hold_it_twice(path: Path) -> None:
    # A job and a manual command in one process are two publishers as well.
    with lock(path, "run") as held:
        for other in (held, lock(path, "resync")):
            with pytest.raises(LockHeld, match="`run`"):
                other.acquire()
        assert holder_of(path.with_name("DEABC.lock")) is not None


def test_a_released_lock_is_free_and_its_file_stays(path: Path) -> None:
    # A removed file would let one process lock the old file and another a new one of the same name.
    mine = lock(path)
    assert mine.holder() is None
    with mine:
        pass
    mine.release()
    assert mine.holder() is None
    assert path.with_name("DEABC.lock").exists()
    with mine:
        assert mine.holder() is not None


def test_operators_do_not_lock_each_other_out(path: Path) -> None:
    # 200 operators on one ledger each have a lock of their own.
    with lock(path), OperatorLock(path.with_name("DEXYZ.lock"), holder="run", now=lambda: NOW):
        assert holder_of(path.with_name("DEXYZ.lock")) is not None


def test_looking_at_the_holder_does_not_keep_anybody_from_the_lock(path: Path) -> None:
    # `status` in a loop must not make the daemon's start fail by chance.
    with lock(path):
        pass
    done: list[bool] = []

    def look() -> None:
        while not done:
            holder_of(path.with_name("DEABC.lock"))

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(200):
            with lock(path):
                pass
    finally:
        done.append(True)
        for watcher in watchers:
            watcher.join()


def test_a_holder_that_has_not_signed_yet_is_still_a_holder(path: Path) -> None:
    # Between taking and signing the file is empty, after a crash it may hold anything.
    file = path.with_name("DEABC.lock")
    with lock(path):
        file.write_text("{half")
        assert holder_of(file) == UNNAMED
        with pytest.raises(LockHeld, match="unknown"):
            lock(path).acquire()


def test_a_lock_in_a_missing_directory_is_a_clear_error(path: Path) -> None:
    # A volume that was not mounted: not a traceback.
    with pytest.raises(LedgerNotWritable, match="does not exist"):
        lock(path.with_name("missing") / "x").acquire()


def test_a_failure_to_sign_leaves_the_lock_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A full disk at the start must not look like another process for the rest of the day.
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    mine = lock(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(LedgerFull):
            mine.acquire()
    assert mine.holder() is None
    with mine:
        assert mine.holder() == Holder(verb="run", pid=os.getpid(), host=socket.gethostname(), since=NOW)
