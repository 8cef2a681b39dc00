"""One operator wired as in service: SQLite, httpx and a strict Hubject over HTTP. Only waiting takes no time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from oicp_adapter.core.model import SourceRecord
from oicp_adapter.hub import HubClient, HubOptions
from oicp_adapter.ledger.sqlite import SqliteLedger, SqliteStore
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.simulator import Entry, Simulator
from oicp_adapter.sources.memory import MemorySource
from tests.fakes.clock import HurriedClock
from tests.fakes.log import Lines
from tests.fakes.operator import PREFIX, Choices, World, described, wire, wired

OPERATOR_ID = "DE*ABC"
PATIENT, IMPATIENT = 60.0, 1.0
"""Seconds until a push is given up; the short one is for tests that wait for just that."""


class Line:
    """The line to Hubject, and how long to wait on it."""

    def __init__(self, simulator: Simulator, clock: HurriedClock) -> None:
        self._clients = {
            seconds: HubClient(
                HubOptions(
                    base_url=simulator.base_url, timeout=seconds, full_load_timeout=seconds, attempts=2
                ),
                clock=clock,
            )
            for seconds in (PATIENT, IMPATIENT)
        }
        self.patience = PATIENT

    def push(self, request: PushRequest) -> Answer:
        return self._clients[self.patience].push(request)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


class Wired:
    """The whole of one operator's delivery. EVSEs are called by the last part of their id: "E1" is DE*ABC*E1."""

    def __init__(
        self, simulator: Simulator, ledger: SqliteLedger, *, clock: HurriedClock, choices: Choices
    ) -> None:
        self.simulator = simulator
        self.ledger = ledger
        self.clock = clock
        self.lines = Lines()
        self.source = MemorySource()
        self._choices = choices
        self._seen = 0
        self.line = Line(simulator, clock)
        self.start()

    def start(self) -> None:
        """A new process over the same ledger; also after a crash."""
        self.line.close()
        self.line = Line(self.simulator, self.clock)
        world = World(
            source=self.source, hub=self.line, ledger=self.ledger, clock=self.clock, lines=self.lines
        )
        self.sync = wired(self._choices, world)

    def has(self, fleet: Mapping[str, str]) -> None:
        """From now on the source has exactly this: EVSE → value."""
        self.source.records = [
            SourceRecord(evse_id=wire(name), status=value) for name, value in fleet.items()
        ]

    def holds(self) -> dict[str, str]:
        """What Hubject shows: EVSE → status."""
        held = self.simulator.statuses(OPERATOR_ID)
        return {name.removeprefix(PREFIX): status for name, status in sorted(held.items())}

    def knows(self) -> dict[str, str]:
        """What the ledger says, in words."""
        return {name.removeprefix("DEABC"): described(row) for name, row in self.ledger.load().rows.items()}

    def sent(self) -> list[str]:
        """The requests since the last look, repetitions counted: "2 x update E1=Occupied E2=Available"."""
        journal = [entry for entry in self.simulator.journal if not entry.late]
        new, self._seen = journal[self._seen :], len(journal)
        counted = [(text, len(list(group))) for text, group in groupby(_shown(entry) for entry in new)]
        return [text if count == 1 else f"{count} x {text}" for text, count in counted]


def _shown(entry: Entry) -> str:
    records = (f"{name.removeprefix(PREFIX)}={status}" for name, status in entry.records)
    return " ".join([entry.action, *records])


@contextmanager
def opened(simulator: Simulator, path: Path, *, clock: HurriedClock, choices: Choices) -> Iterator[Wired]:
    """An operator with a ledger of its own; nothing of an earlier one is left at Hubject."""
    simulator.clear()
    with SqliteStore.open(path, now=clock.now()) as store:
        operator = Wired(simulator, store.operator(simulator.base_url, "DEABC"), clock=clock, choices=choices)
        try:
            yield operator
        finally:
            operator.line.close()
