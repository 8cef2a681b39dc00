"""P7: from a change in the source to Hubject's acknowledgement, on a virtual clock and a Hubject 100 ms away.

Only the waiting is modelled (poll interval, round trips, bundles); for the time our own code takes see
docs/benchmarks.md.
"""

from __future__ import annotations

import math

import msgspec
import pytest

from oicp_adapter.core.model import SourceRecord
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from tests.fakes.clock import ManualClock
from tests.fakes.hub import FakeHub
from tests.fakes.operator import Choices, Operator, wire

FLEET = 10_000
ROUND_TRIP = 0.1
RATE_LIMIT = 1900


class DistantHub(FakeHub):
    """Takes a round trip for every push, and notes when each EVSE was acknowledged."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.acknowledged: dict[str, float] = {}

    def push(self, request: PushRequest) -> Answer:
        self.clock.step(ROUND_TRIP)
        answer = super().push(request)
        now = self.clock.now()
        self.acknowledged.update((evse_id, now) for evse_id, _ in request.records)
        self.requests.clear()
        return msgspec.structs.replace(answer, duration=ROUND_TRIP)


def lags(*, interval: float, per_second: float, seconds: float) -> list[float]:
    """Seconds from each change to its acknowledgement, for changes spread evenly, each of another EVSE."""
    operator = Operator(Choices(delta=interval, calls_per_minute=RATE_LIMIT))
    operator.published_many(FLEET)
    hub = DistantHub(operator.clock)
    hub.held = operator.hub.held
    operator.hub = hub
    operator.start()
    records = list(operator.source.records)
    operator.source.records = records
    began = operator.clock.now()
    changes = [(began + number / per_second, number) for number in range(int(per_second * seconds))]
    waiting = iter(changes)
    change = next(waiting, None)
    due = began
    while len(hub.acknowledged) < len(changes):
        while change is not None and change[0] <= operator.clock.now():
            evse_id = wire(f"E{change[1] + 1}")
            records[change[1]] = SourceRecord(evse_id=evse_id, status="CHARGING")
            change = next(waiting, None)
        operator.sync.delta()
        due += interval
        if operator.clock.now() < due:
            operator.passes(due - operator.clock.now())
        else:
            due = operator.clock.now()  # the pokes that were missed are one
    return [hub.acknowledged[wire(f"E{number + 1}")] - at for at, number in changes]


def p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


@pytest.mark.parametrize("interval", [2.0, 10.0])
def test_ten_changes_a_second_arrive_within_five_seconds_beyond_the_poll_interval(interval: float) -> None:
    # Drivers are sent to chargers that were taken half a minute ago.
    assert p99(lags(interval=interval, per_second=10, seconds=60)) <= interval + 5


@pytest.mark.parametrize("interval", [2.0, 10.0])
def test_a_burst_of_a_hundred_changes_a_second_arrives_within_fifteen_seconds(interval: float) -> None:
    # A tariff change or a reconnect of the backend touches half of the fleet at once.
    assert p99(lags(interval=interval, per_second=100, seconds=60)) <= 15
