"""The tests' own tools: patience runs out at the machine's pace, and no process outlives the test that began it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests import leash
from tests.patience import Patience, awaited, done_within, wait_until

ROOT = str(Path(__file__).parents[2])


class Slow:
    """A start of Python on a machine that is busy with other things."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def poll(self) -> int | None:
        self.looks -= 1
        return 0 if self.looks <= 0 else None


def test_patience_lasts_as_long_as_the_machine_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    # Twenty seconds are nothing where Python alone needs twenty to start; the test fails, and the code is innocent.
    started: list[Slow] = []

    def begin(*_: object, **__: object) -> Slow:
        started.append(Slow(looks=10))
        return started[-1]

    monkeypatch.setattr(leash, "begin", begin)
    monkeypatch.setattr(leash, "end", lambda process: None)
    with Patience(0.5) as patience:
        patience._until = 0.0  # the seconds are over
        looks = 1
        while not patience.over:
            looks += 1
    assert (len(started), looks) == (3, 34), "three starts, ten looks each"


def test_it_ends_on_a_machine_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    # A suite that hangs for ever tells nobody anything.
    monkeypatch.setattr(leash, "begin", lambda *_, **__: Slow(looks=1_000_000_000))
    monkeypatch.setattr(leash, "end", lambda process: None)
    assert awaited(lambda: False, within=0.01, at_most=0.05) is False


def test_what_moves_is_waited_for_and_what_stands_still_is_not() -> None:
    # A loaded machine does in a minute what takes a second elsewhere: as long as it does something, wait.
    steps = iter(range(100))
    assert awaited(lambda: next(steps) > 50, within=0.1, moving=lambda: next(steps))
    with pytest.raises(pytest.fail.Exception, match="until the cows come home"):
        wait_until(lambda: False, "until the cows come home", within=0.05)


def test_an_act_is_waited_for_and_its_error_comes_through() -> None:
    # An assertion in a thread that nobody hears of is none.
    assert done_within(5, lambda: 7, "it ends") == 7
    with pytest.raises(ZeroDivisionError):
        done_within(5, lambda: 1 / 0, "it ends")


BEGINS_ANOTHER = """
import sys
from tests import leash
print(leash.begin([sys.executable, "-c", "input()"], stdin=leash.PIPE).pid, flush=True)
input()
"""


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_process_ends_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    # kill -9 for a test run, and its daemons push on for hours: into the next run's ports, locks and processor.
    printed = tmp_path / "printed"
    with printed.open("wb") as out:
        command = [sys.executable, "-c", BEGINS_ANOTHER]
        process = leash.begin(command, env={**os.environ, "PYTHONPATH": ROOT}, stdin=leash.PIPE, stdout=out)
    try:
        wait_until(lambda: printed.read_text().endswith("\n"), "it begins")
        child = int(printed.read_text())
        assert _alive(child)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not _alive(child), "the child ends with it")
    finally:
        leash.end(process)


def test_all_that_a_process_began_ends_with_it(tmp_path: Path) -> None:
    # The shell in between is killed, and what it started is not.
    printed = tmp_path / "printed"
    with printed.open("wb") as out:
        process = leash.begin(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=out)
    try:
        wait_until(lambda: printed.read_text().endswith("\n"), "it begins")
        child = int(printed.read_text())
    finally:
        leash.end(process)
    wait_until(lambda: not _alive(child), "the child ends with it")
