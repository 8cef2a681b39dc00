"""What every `Hub` does, the one in memory included: a fake laxer than Hubject hides the mistakes it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.hub import HubClient, HubOptions
from oicp_adapter.oicp.answers import Answer, Reaction
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.ports import Hub
from oicp_adapter.simulator import Simulator, SimulatorOptions
from tests.fakes.clock import HurriedClock
from tests.fakes.hub import FakeHub

A, B = "DE*ABC*E1", "DE*ABC*E2"
Push = Callable[..., Answer]
Held = Callable[[], dict[str, str]]


@pytest.fixture(params=["fake", "client and simulator"])
def hub(request: pytest.FixtureRequest) -> Iterator[tuple[Push, Held]]:
    """A way to push, and a look at what is held."""
    if request.param == "fake":
        fake = FakeHub()
        yield pushing(fake), lambda: {wire: str(status) for wire, status in fake.held.items()}
        return
    with Simulator(SimulatorOptions(operators=["DE*ABC"])) as simulator:
        client = HubClient(HubOptions(base_url=simulator.base_url), clock=HurriedClock())
        yield pushing(client), lambda: simulator.statuses("DE*ABC")
        client.close()
        assert simulator.rules_broken == []


def pushing(hub: Hub) -> Push:
    def push(action: str, **statuses: str) -> Answer:
        records = [({"a": A, "b": B}[name], EvseStatus(status)) for name, status in statuses.items()]
        return hub.push(
            PushRequest(action=ActionType(action), operator_id="DE*ABC", operator_name="ABC", records=records)
        )

    return push


def test_an_insert_adds_and_an_update_changes(hub: tuple[Push, Held]) -> None:
    # The two actions nearly every push uses.
    push, held = hub
    assert push("insert", a="Available").reaction is Reaction.APPLIED
    answer = push("update", a="Occupied")
    assert (answer.reaction, answer.code, answer.http_status) == (Reaction.APPLIED, "000", 200)
    assert answer.process_id
    assert held() == {A: "Occupied"}


@pytest.mark.parametrize(("action", "fault"), [("insert", A), ("update", B), ("delete", B)])
def test_one_wrong_record_refuses_the_whole_request_and_is_named(
    hub: tuple[Push, Held], action: str, fault: str
) -> None:
    # P5 is built on this: nothing was applied, and these are to blame.
    push, held = hub
    push("insert", a="Available")
    answer = push(action, a="Occupied", b="Occupied")
    assert (answer.reaction, answer.code, answer.named_ids) == (Reaction.REFUSED, "022", (fault,))
    assert held() == {A: "Available"}


def test_a_full_load_replaces_everything(hub: tuple[Push, Held]) -> None:
    # What is left out is withdrawn; the guards exist because of this.
    push, held = hub
    push("insert", a="Available")
    assert push("fullLoad", b="Unknown").reaction is Reaction.APPLIED
    assert held() == {B: "Unknown"}
    assert push("fullLoad").reaction is Reaction.APPLIED
    assert held() == {}


def test_a_delete_removes(hub: tuple[Push, Held]) -> None:
    # The setting missing = "delete".
    push, held = hub
    push("insert", a="Available", b="Available")
    assert push("delete", a="EvseNotFound").reaction is Reaction.APPLIED
    assert held() == {B: "Available"}
