"""A house to test in: a strict Hubject, a directory with configuration and fleet, and the real program as processes.

Everything here is real: files, SQLite, signals, sockets, time. So nothing sleeps for a fixed time: `wait_until` looks
until something is so, and fails with what it saw. Every daemon ends with the test, and every line it wrote is read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

import oicp_adapter
from oicp_adapter.cli.main import app
from oicp_adapter.simulator import Simulator, SimulatorOptions
from oicp_adapter.telemetry.events import CATALOGUE
from tests.acceptance.fleet import write_locations

OPERATOR_ID = "DE*SLB"
PATIENCE = 20.0
"""Seconds until a test gives up: far more than anything takes, for a busy machine."""
EVERY_CYCLE = {"OICP_ADAPTER__LOG__SUMMARY": "1ms"}
"""Quiet cycles have lines of their own, so that a test can wait for the next one."""
GLANCE = 0.02
"""Seconds between looks."""

MINIMAL = """\
[hubject]
base_url = "{base_url}"

[ledger]
url = "sqlite:///ledger.db"

[delivery]
settle = "60s"

[operators.slb]
id = "DE*SLB"
name = "SWLB"
evse_id_prefixes = ["DE*SLB"]
source = {{ type = "file", path = "fleet.json", format = "ocpi-locations", vocabulary = "ocpi" }}
schedule = {{ delta = "2s", reconcile = "60s", full = "03:00" }}
"""
"""The minimal configuration of the design, word for word but for the port."""

Found = TypeVar("Found")
Line = dict[str, Any]


def wait_until(look: Callable[[], Found | None], what: str, *, within: float = PATIENCE) -> Found:
    """Look until there is something to see, and return it."""
    give_up_at = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > give_up_at:
            pytest.fail(f"not within {within:.0f} s: {what}")
        time.sleep(GLANCE)  # noqa: TID251 - other processes need real time
    return found


@dataclass(frozen=True)
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Both streams, for "this stands somewhere"."""
        return self.out + self.err


class Daemon:
    """A `run` in its own process. Its log is a file, as under a supervisor."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], name: str) -> None:
        self._log = cwd / f"{name}.log"
        self._talk = cwd / f"{name}.err"
        with self._log.open("wb") as out, self._talk.open("wb") as err:
            self.process = subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=err)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def err(self) -> str:
        return self._talk.read_text()

    def lines(self, event: str = "") -> list[Line]:
        """What it has logged so far, a line still being written left out; all, or one kind of event."""
        written = self._log.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in written if line.endswith("\n")]
        return [line for line in found if event in ("", line["event"])]

    def waits_for(self, event: str, *, after: int = 0, within: float = PATIENCE, **fields: object) -> Line:
        """The first such line after so many of its kind; waits for it."""

        def look() -> Line | None:
            self._must_live()
            found = self.lines(event)[after:]
            return next((line for line in found if fields.items() <= line.items()), None)

        return wait_until(look, f"{event} {fields or ''} in\n{self._log.read_text()[-3000:]}", within=within)

    def works(self, cycles: int = 1) -> Line:
        """Wait for so many whole delta cycles: ones that begin after this call."""
        seen = len(self.lines("delta.done"))
        return self.waits_for("delta.done", after=seen + cycles)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, number: signal.Signals | None = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        """Send the signal, if any, and wait for its end; the exit code."""
        if number is not None:
            self.tell(number)
        return self.process.wait(within)

    def dies(self) -> None:
        """kill -9, now."""
        self.ends(signal.SIGKILL)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _must_live(self) -> None:
        if not self.alive:
            pytest.fail(
                f"the daemon ended with {self.process.returncode}: {self.err}\n{self._log.read_text()}"
            )


@dataclass
class House:
    """One operator's world."""

    place: Path
    simulator: Simulator
    daemons: list[Daemon] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    """Rules of Hubject this test breaks on purpose."""

    @property
    def ledger(self) -> Path:
        return self.place / "ledger.db"

    @property
    def export(self) -> Path:
        return self.place / "fleet.json"

    def configure(self, text: str = MINIMAL, **changes: str) -> None:
        """Write adapter.toml: the text with the port, and changes to it as TOML values.

        `settle='"1s"'` replaces the line that begins with `settle`; `daemon__grace='"1s"'` adds a line to [daemon].
        """
        lines = text.format(base_url=self.simulator.base_url).splitlines()
        for name, value in changes.items():
            table, _, key = name.rpartition("__")
            if table:
                head = f"[{table.replace('__', '.')}]"
                if head not in lines:
                    lines += ["", head]
                lines.insert(lines.index(head) + 1, f"{key} = {value}")
            else:
                at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
                lines[at] = f"{key} = {value}"
        (self.place / "adapter.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def configure_quick(self, **changes: str) -> None:
        """The minimal configuration with the shortest times there are."""
        quick = {
            "settle": '"1s"',
            "schedule": '{ delta = "500ms", reconcile = "60s", full = "03:00" }',
        }
        self.configure(**(quick | changes))

    def exports(self, evses: Mapping[str, str]) -> None:
        """The backend's export now says this: EvseID → OCPI status."""
        write_locations(self.export, evses)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean one: nothing of the machine that runs the tests but what Python needs."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        tested = str(Path(oicp_adapter.__file__).parents[1])  # the same code as in this process
        ours = {"PYTHONPATH": tested, "PYTHONWARNINGS": "error", **EVERY_CYCLE}
        return kept | ours | dict(extra or {})

    def command(self, *words: str, config: bool = True) -> list[str]:
        """The words of a command line; the configuration after the verb, as most people write it."""
        return [
            sys.executable,
            "-m",
            "oicp_adapter",
            *words,
            *(["--config", "adapter.toml"] if config else []),
        ]

    def call(
        self, *words: str, config: bool = True, env: Mapping[str, str] | None = None, within: float = 30.0
    ) -> Ended:
        """Run a verb to its end."""
        done = subprocess.run(
            self.command(*words, config=config),
            cwd=self.place,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        _is_presentable(done.stdout + done.stderr)
        return Ended(done.returncode, done.stdout, done.stderr)

    def begin(self, *words: str, config: bool = True) -> subprocess.Popen[str]:
        """Start a verb and let it run; `finish` it."""
        return subprocess.Popen(
            self.command(*words, config=config),
            cwd=self.place,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *, env: Mapping[str, str] | None = None, through: Sequence[str] = ()) -> Daemon:
        """Start the daemon. `through`: a command that starts it, such as one that sets limits first."""
        name = f"daemon-{len(self.daemons) + 1}"
        daemon = Daemon(
            [*through, *self.command("run")], cwd=self.place, env=self.environment(env), name=name
        )
        self.daemons.append(daemon)
        return daemon

    def runs(self) -> Daemon:
        """Start the daemon and wait for its first cycle."""
        daemon = self.run()
        daemon.waits_for("delta.done")
        return daemon

    def holds(self) -> dict[str, str]:
        """What Hubject holds now."""
        return self.simulator.statuses(OPERATOR_ID)

    def comes_to_hold(self, expected: Mapping[str, str], *, within: float = PATIENCE) -> None:
        """Wait until Hubject holds exactly this."""
        wait_until(lambda: self.holds() == expected, "Hubject holds what it should", within=within)

    def requests(self, action: str = "") -> list[Any]:
        """The requests Hubject has seen since the journal was cleared."""
        return [entry for entry in self.simulator.journal if action in ("", entry.action)]

    def published(self, evses: Mapping[str, str], *, adopt: bool = False) -> None:
        """Publish a fleet by a `sync` of its own (and adopt it); what Hubject has seen of that is forgotten.

        In this process, for speed: it prepares what a test is about.
        """
        self.exports(evses)
        words = ["resync", "slb", "--adopt", str(len(evses))] if adopt else ["sync"]
        done = CliRunner().invoke(app, ["--config", str(self.place / "adapter.toml"), *words])
        assert done.exit_code == 0, done.output
        self.simulator.clear_journal()

    def close(self) -> None:
        """End what still runs, and look at what was left behind."""
        codes = [(daemon.ends(), daemon) for daemon in self.daemons if daemon.alive]
        assert [code for code, _ in codes if code != 0] == [], [daemon.lines()[-3:] for _, daemon in codes]
        for daemon in self.daemons:
            _is_presentable(daemon.err)
            unknown = {line["event"] for line in daemon.lines()} - CATALOGUE.keys()
            assert not unknown, f"not in the catalogue: {unknown}"
        broken = [rule for rule in self.simulator.rules_broken if rule.rule not in self.allowed]
        assert broken == []


def _is_presentable(text: str) -> None:
    """Whatever happens, a person is not shown our insides."""
    assert "Traceback" not in text, text


@contextmanager
def opened(place: Path, options: SimulatorOptions | None = None) -> Iterator[House]:
    """A house with its simulator running; everything in it ends with the block."""
    with Simulator(options or SimulatorOptions(operators=[OPERATOR_ID])) as simulator:
        house = House(place, simulator)
        try:
            yield house
            house.close()
        finally:
            for daemon in house.daemons:
                if daemon.alive:
                    daemon.dies()
