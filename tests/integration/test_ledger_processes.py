"""Several processes on one ledger: commands are handed over once, and the right to push has one holder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oicp_adapter.errors import LedgerFull, LedgerNotWritable, LockHeld
from oicp_adapter.ledger.lock import UNNAMED, Holder, OperatorLock, holder_of
from oicp_adapter.ledger.sqlite import SqliteStore
from oicp_adapter.ports import CommandState

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
Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Run a script in a process of its own. It says "ready" and waits for a line."""
    running: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(path)],
            env={**os.environ, "PYTHONPATH": ROOT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


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
        assert line_of(other) == "ready"
        command = daemon.take(now=NOW)
        assert command is not None
        assert (command.verb, command.arguments) == ("resync", {"adopt": 5})
        daemon.end(command.id, CommandState.DONE, exit_code=0, text="273 records", now=NOW)
        go_on(other)
        assert line_of(other) == "done 273 records"


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
    assert [line_of(process) for process in both] == ["ready", "ready"]
    for process in both:
        go_on(process)
    taken = [int(number) for process in both for number in process.communicate()[0].split()]
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
    assert line_of(first) == "ready"
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
    assert line_of(first) == "ready"
    first.send_signal(signal.SIGKILL)
    first.wait()
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
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(file,))
    try:
        mine.release()  # even if it had been inherited
        with lock(path) as again:
            assert again.holder() is not None
    finally:
        child.communicate(b"\n")


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
