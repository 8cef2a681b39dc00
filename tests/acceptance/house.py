"""A house to test in: a strict Hubject, a directory with configuration and fleet, and the real program as processes.

Everything here is real: files, SQLite, signals, sockets, time. So nothing sleeps for a fixed time: `wait_until` looks
until something is so, and fails with what it saw. Every process ends with the test, and every line of a log is read.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import oicp_adapter
from oicp_adapter.cli.main import app
from oicp_adapter.simulator import Simulator, SimulatorOptions
from oicp_adapter.telemetry.events import CATALOGUE
from tests.acceptance.fleet import write_locations
from tests.acceptance.running import Daemon, Ended, Line, Running, Verb
from tests.acceptance.terminal import Terminal
from tests.patience import PATIENCE, wait_until

__all__ = [
    "MINIMAL",
    "OPERATOR_ID",
    "Daemon",
    "Ended",
    "House",
    "Line",
    "Verb",
    "opened",
    "wait_until",
]

OPERATOR_ID = "DE*SLB"
EVERY_CYCLE = {"OICP_ADAPTER__LOG__SUMMARY": "1ms"}
"""Quiet cycles have lines of their own, so that a test can wait for the next one."""
LATE_AT_MOST = 0.9
"""Seconds after which Hubject applies nothing that was given up: less than the shortest `settle` here."""
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


@dataclass
class House:
    """One operator's world."""

    place: Path
    simulator: Simulator
    daemons: list[Daemon] = field(default_factory=list)
    begun: list[Running] = field(default_factory=list)
    """All that was started and may still run, daemons included."""
    terminals: list[Terminal] = field(default_factory=list)
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
        if (soon := changes.get("delivery__missing_after")) is not None:
            # The exports of a test stand still: what they miss is believed as soon.
            changes = {"delivery__missing_after_unchanged": soon, **changes}
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
        return self.calls(self.command(*words, config=config), env=env, within=within)

    def calls(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, within: float = 30.0
    ) -> Ended:
        """Run a command to its end, such as one that sets limits for a verb first."""
        with Verb(command, cwd=self.place, env=self.environment(env)) as verb:
            ended = verb.ended(within=within)
        _is_presentable(ended.said)
        return ended

    def begin(self, *words: str, config: bool = True) -> Verb:
        """Start a verb and let it run. It must have ended before the test has."""
        verb = Verb(self.command(*words, config=config), cwd=self.place, env=self.environment())
        self.begun.append(verb)
        return verb

    def terminal(self, command: str) -> Terminal:
        """Start a command on a terminal."""
        terminal = Terminal(command, cwd=self.place, env=self.environment({"TERM": "dumb"}))
        self.terminals.append(terminal)
        return terminal

    def run(self, *, env: Mapping[str, str] | None = None, through: Sequence[str] = ()) -> Daemon:
        """Start the daemon. `through`: a command that starts it, such as one that sets limits first."""
        name = f"daemon-{len(self.daemons) + 1}"
        daemon = Daemon(
            [*through, *self.command("run")], cwd=self.place, env=self.environment(env), name=name
        )
        self.daemons.append(daemon)
        self.begun.append(daemon)
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

    def open_pushes(self) -> int:
        """How many pushes the ledger does not know the outcome of."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM push WHERE finished_at IS NULL").fetchone()
            return int(count)

    @contextmanager
    def hubject_stands_still(self) -> Iterator[None]:
        """Hubject takes requests and does nothing with them until the block ends, however long that takes."""
        with self.simulator._hub.lock:
            yield

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
        """End the daemons that still run, and look at what was left behind."""
        codes = [(daemon.ends(), daemon) for daemon in self.daemons if daemon.alive]
        assert [code for code, _ in codes if code != 0] == [], [daemon.lines()[-3:] for _, daemon in codes]
        assert [str(running) for running in self.begun if running.alive] == [], "a verb outlives its test"
        for running in self.begun:
            _is_presentable(running.err)
        for daemon in self.daemons:
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
    with Simulator(
        options or SimulatorOptions(operators=[OPERATOR_ID], late_at_most=LATE_AT_MOST)
    ) as simulator:
        house = House(place, simulator)
        try:
            yield house
            house.close()
        finally:
            for running in house.begun:
                running.close()
            for terminal in house.terminals:
                terminal.close()
