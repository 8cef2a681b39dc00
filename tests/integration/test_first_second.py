"""The daemon's first second: a signal, or a verb that still pushes, must not end it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from oicp_adapter.errors import LockHeld
from oicp_adapter.settings import load_settings
from oicp_adapter.wiring import Wiring
from oicp_adapter.wiring.root import TURN_COMES_WITHIN
from tests.acceptance.running import Ended, Verb
from tests.fakes.clock import ManualClock
from tests.fakes.log import Lines, collecting

HEAVY = ("typer", "pydantic", "httpx", "sqlite3", "apscheduler", "oicp_adapter.cli")

# A command line that gets these signals while its modules are being imported, and says what became of them.
BEGINS = """
import os, sys, types
from oicp_adapter.__main__ import main
print([name for name in {heavy!r} if name in sys.modules], flush=True)
from oicp_adapter import signals

def command_line():
    for number in {numbers!r}:
        os.kill(os.getpid(), number)
    print([*signals.taken(), "lives"], flush=True)

sys.modules["oicp_adapter.cli.main"] = types.SimpleNamespace(main=command_line)
sys.argv = ["oicp-adapter", {verb!r}]
main()
"""


def begun(verb: str, *numbers: signal.Signals) -> Ended:
    code = BEGINS.format(heavy=HEAVY, numbers=[int(number) for number in numbers], verb=verb)
    with Verb([sys.executable, "-c", code], cwd=Path.cwd(), env=os.environ) as process:
        return process.ended()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_during_the_imports_is_kept_for_the_daemon(number: signal.Signals) -> None:
    # `systemctl reload` right after a start: the process is killed, and Restart=on-failure leaves it dead.
    done = begun("run", number)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["[]", f"[{int(number)}, 'lives']"], "nothing heavy comes before"


def test_all_that_came_early_is_kept_in_order() -> None:
    # A reload and then a stop.
    done = begun("run", signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)
    assert (
        done.out.splitlines()[-1] == f"[{signal.SIGHUP:d}, {signal.SIGUSR1:d}, {signal.SIGTERM:d}, 'lives']"
    )


def test_a_second_ctrl_c_ends_a_start_that_hangs() -> None:
    # The ledger is on a dead share: a person at a terminal gets away.
    done = begun("run", signal.SIGINT, signal.SIGINT)
    assert (done.code, done.err) == (130, "interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_other_verbs_end_at_once(number: signal.Signals, code: int) -> None:
    # A `sync` from cron that nobody can stop.
    done = begun("sync", number)
    assert done.code == code
    assert "Traceback" not in done.err


# The turn


CONFIGURATION = """\
[hubject]
base_url = "http://127.0.0.1:9/api/oicp"
[operators.slb]
id = "DE*SLB"
name = "SWLB"
source = { type = "file", path = "fleet.json", vocabulary = "ocpi" }
"""


class Start:
    """A daemon that wants the lock of its one operator."""

    def __init__(self, place: Path) -> None:
        (place / "adapter.toml").write_text(CONFIGURATION)
        self.clock = ManualClock()
        self.lines = Lines()
        settings = load_settings(place / "adapter.toml", {})
        self.wiring = Wiring(settings, clock=self.clock, log=collecting(self.lines))
        self.asked_to_end = threading.Event()

    def takes_turn(self) -> bool:
        with ExitStack() as stack:
            return self.wiring.take_turn("slb", stack, give_up=self.asked_to_end.is_set)


def test_a_daemon_waits_for_a_verb_that_still_pushes(tmp_path: Path) -> None:
    # A deployment in the second in which cron runs `sync`: the unit is dead, and nobody pushes until the morning.
    start = Start(tmp_path)
    other = start.wiring.lock("slb", verb="sync")
    other.acquire()
    start.clock.on_sleep = lambda: other.release() if len(start.clock.sleeps) == 25 else None
    assert start.takes_turn()
    (line,) = start.lines.of("daemon.waits")
    assert line["operator"] == "slb"
    assert "`sync`" in line["text"]


def test_a_daemon_does_not_wait_for_ever(tmp_path: Path) -> None:
    # A `resync` that waits for a quarter of an hour: the supervisor must see that this start has failed.
    start = Start(tmp_path)
    with start.wiring.lock("slb", verb="resync"), pytest.raises(LockHeld, match="`resync`"):
        start.takes_turn()
    assert sum(start.clock.sleeps) == pytest.approx(TURN_COMES_WITHIN, abs=1)


def test_a_daemon_does_not_wait_for_another_daemon(tmp_path: Path) -> None:
    # Started twice by mistake: the person is told at once.
    start = Start(tmp_path)
    with start.wiring.lock("slb", verb="run"), pytest.raises(LockHeld, match="`run`"):
        start.takes_turn()
    assert start.clock.sleeps == []


def test_a_daemon_that_waits_for_its_turn_can_be_ended(tmp_path: Path) -> None:
    # A stop during the wait is answered by the supervisor's kill.
    start = Start(tmp_path)
    start.clock.on_sleep = start.asked_to_end.set
    with start.wiring.lock("slb", verb="sync"):
        assert not start.takes_turn()
    assert len(start.clock.sleeps) == 1
