"""One operator, wired in memory: source, ledger, Hubject, clock and log are all at hand for a test.

EVSEs are called by the last part of their id: "E7" is DE*ABC*E7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from oicp_adapter.core.guards import Allowance, GuardPolicy
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import ConnectorState, EvseStatus, MappedFleet, SourceRecord
from oicp_adapter.core.plan import Missing, PlanPolicy
from oicp_adapter.core.records import EvseRow, OperatorState
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.ledger.mark import HighWaterMark
from oicp_adapter.ledger.memory import MemoryLedger
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.ports import Clock, Hub, Ledger
from oicp_adapter.sources.memory import MemorySource
from oicp_adapter.sync.cycle import OperatorSync
from oicp_adapter.sync.decide import Decider
from oicp_adapter.sync.delivery import CyclePolicy
from oicp_adapter.sync.full import FullLoader
from oicp_adapter.sync.publisher import Publisher
from oicp_adapter.sync.report import CycleReport
from oicp_adapter.sync.work import DeliveryPolicy
from tests.fakes.clock import ManualClock
from tests.fakes.hub import FakeHub
from tests.fakes.log import Lines, collecting

PREFIX = "DE*ABC*"


def wire(name: str) -> str:
    return PREFIX + name


def key(name: str) -> str:
    return "DEABC" + name


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs between tests."""

    baseline: str = "adopted"
    """How it became known; "" while it is unknown."""
    first_full_load: str = "manual"
    rules: tuple[OverrideRule, ...] = ()
    settle: float = 60.0
    missing: Missing = Missing.EVSE_NOT_FOUND
    missing_after: float = 60.0
    missing_after_unchanged: float = 900.0
    delta: float = 10.0
    unknown_after: float | None = None
    summary: float = 300.0
    calls_per_minute: int = 1
    """So slow that a backlog always shares a request; 1900 sends the first changes one by one."""
    search_for: float = 10.0
    full_limit: int | None = None
    settles_anew: bool = True
    vocabulary: str = "ocpi"
    prefixes: tuple[str, ...] = ("DE*ABC",)
    heartbeat_interval: float = 900.0
    offline_out_of_service_after: float | None = None
    unmapped_believed_after: float | None = 43_200.0
    template: str | None = None


@dataclass(frozen=True, kw_only=True)
class World:
    """What an operator is wired to."""

    source: MemorySource
    hub: Hub
    ledger: Ledger
    clock: Clock
    lines: Lines = field(default_factory=Lines)


def wired(choices: Choices, world: World) -> OperatorSync:
    """A new process's use cases, as wiring makes them, with nothing left to chance."""
    decider = Decider(
        operator="test",
        plan=PlanPolicy(
            settle=choices.settle,
            missing=choices.missing,
            missing_after=choices.missing_after,
            missing_after_unchanged=choices.missing_after_unchanged,
        ),
        guards=GuardPolicy(unmapped_believed_after=choices.unmapped_believed_after),
    )
    publisher = Publisher(
        hub=world.hub,
        ledger=world.ledger,
        clock=world.clock,
        policy=DeliveryPolicy(
            operator_id="DE*ABC",
            operator_name="Test",
            settle=choices.settle,
            calls_per_minute=choices.calls_per_minute,
            search_for=choices.search_for,
        ),
    )
    rules = MappingRules(
        vocabulary=choices.vocabulary,
        prefixes=tuple(map(parse_prefix, choices.prefixes)),
        heartbeat_interval=choices.heartbeat_interval,
        offline_out_of_service_after=choices.offline_out_of_service_after,
        evse_id_template=choices.template,
        rules=choices.rules,
    )

    def mapper(
        records: list[SourceRecord], now: float, previous: Mapping[str, tuple[ConnectorState, ...]]
    ) -> MappedFleet:
        return map_fleet(records, rules, now=now, previous=previous)

    numbers = iter(range(1, 1_000_000))
    return OperatorSync(
        source=world.source,
        mapper=mapper,
        ledger=world.ledger,
        clock=world.clock,
        decider=decider,
        publisher=publisher,
        full_loader=FullLoader(
            decider=decider,
            publisher=publisher,
            automatic_baseline=choices.first_full_load == "automatic",
            limit=choices.full_limit,
        ),
        policy=CyclePolicy(
            delta_interval=choices.delta,
            unknown_after=choices.unknown_after,
            summary_every=choices.summary,
            settles_anew=choices.settles_anew,
        ),
        log=collecting(world.lines),
        new_id=lambda: str(next(numbers)),
        chance=lambda: 0.5,
    )


class Operator:
    """The whole of one operator's delivery, on a clock that only tests move."""

    def __init__(self, choices: Choices | None = None) -> None:
        self.choices = choices or Choices()
        self.clock = ManualClock()
        self.lines = Lines()
        self.source = MemorySource()
        self.hub = FakeHub()
        self.ledger = MemoryLedger()
        if self.choices.baseline:
            self.ledger.save((), OperatorState(baseline=self.choices.baseline, baseline_at=self.clock.now()))
        self.start()

    def start(self) -> None:
        """A new process over the same ledger; also after a crash."""
        self.sync = wired(
            self.choices,
            World(source=self.source, hub=self.hub, ledger=self.ledger, clock=self.clock, lines=self.lines),
        )

    def loses_its_ledger(self, *, mark: HighWaterMark | None = None) -> None:
        """The ledger is gone, and a new process begins another. `mark`: what still lies beside it; None: nothing."""
        self.ledger = MemoryLedger(mark)
        self.start()

    def has(self, fleet: Mapping[str, str], *, last_seen: float | None = None) -> None:
        """From now on the source has exactly this: EVSE → value."""
        self.source.records = [
            SourceRecord(evse_id=wire(name), status=value, last_seen=last_seen)
            for name, value in fleet.items()
        ]

    def has_many(self, count: int, value: str = "AVAILABLE") -> None:
        """From now on the source has E1 … E<count>."""
        self.has({f"E{number}": value for number in range(1, count + 1)})

    def published(self, fleet: Mapping[str, str]) -> None:
        """The source has this fleet and Hubject has taken it; requests and log lines start anew."""
        self.has(fleet)
        assert self.sync.delta().exit_code == 0
        self.forget()

    def published_many(self, count: int, value: str = "AVAILABLE") -> None:
        self.published({f"E{number}": value for number in range(1, count + 1)})

    def forget(self) -> None:
        """Look only at what comes now."""
        self.hub.requests.clear()
        self.lines.clear()

    def passes(self, seconds: float) -> None:
        self.clock.step(seconds)

    def delta(self, *, after: float = 0.0) -> CycleReport:
        self.passes(after)
        return self.sync.delta()

    def reconcile(self, *, after: float = 0.0) -> CycleReport:
        self.passes(after)
        return self.sync.reconcile()

    def full(
        self,
        *,
        after: float = 0.0,
        adopt: int | None = None,
        allow: int | None = None,
        allow_unknown: int | None = None,
        empties: bool = False,
        force: bool = False,
    ) -> CycleReport:
        self.passes(after)
        allowance = Allowance(adopt=adopt, withdrawals=allow, unknowns=allow_unknown, empties_the_map=empties)
        return self.sync.full(asked="test", allowance=allowance, force=force)

    def sent(self) -> list[str]:
        """The requests since the last look, like "update E1=Occupied E2=Available"."""
        found = [shown(request) for request in self.hub.requests]
        self.hub.requests.clear()
        return found

    def holds(self) -> dict[str, str]:
        """What Hubject shows: EVSE → status."""
        return {name.removeprefix(PREFIX): status.value for name, status in self.hub.held.items()}

    def preload(self, fleet: Mapping[str, str]) -> None:
        self.hub.held |= {wire(name): EvseStatus(status) for name, status in fleet.items()}

    def row(self, name: str) -> EvseRow:
        return self.ledger.load().rows[key(name)]

    @property
    def state(self) -> OperatorState:
        return self.ledger.load().state


def shown(request: PushRequest) -> str:
    records = " ".join(f"{name.removeprefix(PREFIX)}={status.value}" for name, status in request.records)
    return f"{request.action.value} {records}".strip()


def described(row: EvseRow | None) -> str:
    """What the ledger knows of an EVSE, in words: "present Available, in doubt"."""
    if row is None:
        return "unknown to us"
    parts = [f"{row.presence.value} {row.status.value if row.status else '-'}"]
    parts += ["in doubt"] if row.in_doubt_since is not None else []
    parts += [f"quarantined {row.quarantine.code} x{row.quarantine.attempts}"] if row.quarantine else []
    parts += ["missing"] if row.first_missing is not None else []
    parts += [f"withheld by {row.withheld}"] if row.withheld else []
    return ", ".join(parts)
