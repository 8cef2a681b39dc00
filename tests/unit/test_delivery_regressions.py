"""What the delivery state machine found, each as a plain story (tests/properties/test_delivery_machine.py).

Driven through the same world: the real cycle, wire bytes, and a Hubject that applies lost requests late.
"""

from __future__ import annotations

from oicp_adapter.core.guards import GuardPolicy
from oicp_adapter.core.plan import Missing
from tests.properties.hubject import Fault, key_of
from tests.properties.world import Choices, World, evse

SETTLE = 60.0
FIRST = key_of(evse(0))


def adopted(count: int = 3, choices: Choices | None = None) -> World:
    """Hubject holds the fleet, and the baseline is known."""
    world = World(choices)
    world.backend.evses = {evse(number): "AVAILABLE" for number in range(count)}
    world.delta()
    world.clock.advance(61)
    assert world.resync(adopt=world.full_size()) == "done"
    return world


def lose(world: World, *, arrival: float) -> None:
    """The next request gets no answer, and is applied that many seconds after we gave it up."""
    world.hubject.faults.append(Fault("timeout", arrival=arrival))
    world.delta()


def test_a_late_status_is_corrected_although_its_evse_was_quarantined_meanwhile() -> None:
    # The doubt was forgotten with the refusal: an update lost at noon, applied minutes later over the newer status,
    # stayed at Hubject until the next full load.
    world = adopted()
    world.backend.evses[evse(0)] = "CHARGING"
    lose(world, arrival=300)
    world.hubject.bad[FIRST] = "603 named"
    world.judge.accused.add(FIRST)
    world.clock.advance(SETTLE + 1)
    world.delta()
    assert world.rows()[FIRST].quarantine is not None
    world.hubject.bad.clear()
    world.backend.evses[evse(0)] = "INOPERATIVE"
    world.delta()
    assert world.hubject.statuses()[FIRST] == "OutOfService"

    world.clock.advance(300)
    assert world.hubject.statuses()[FIRST] == "Occupied", "the late update"
    world.clock.advance(300)
    world.reconcile()
    assert world.hubject.statuses()[FIRST] == "OutOfService"


def test_an_evse_that_a_late_insert_brings_back_after_its_removal_is_removed_again() -> None:
    # A dismantled charger came back on the drivers' maps and stayed: what was absent was never asserted again.
    world = adopted(choices=Choices(missing=Missing.DELETE))
    new = evse(7)
    world.backend.evses[new] = "AVAILABLE"
    lose(world, arrival=300)
    del world.backend.evses[new]
    for _ in range(3):
        world.clock.advance(SETTLE + 1)
        world.delta()
    assert key_of(new) not in world.hubject.statuses()

    world.clock.advance(150)
    assert key_of(new) in world.hubject.statuses(), "the late insert"
    world.clock.advance(300)
    world.reconcile()
    assert key_of(new) not in world.hubject.statuses()
    world.check()


def test_what_hubject_held_before_us_is_counted_when_it_is_withdrawn() -> None:
    # A lost ledger and an export that calls every EVSE removed: the whole fleet left the maps in the first cycle,
    # because only what we ourselves had acknowledged counted as held.
    world = World(Choices(guards=GuardPolicy()))
    fleet = {evse(number): "Available" for number in range(40)}
    world.hubject.preload(fleet)
    world.backend.evses = dict.fromkeys(fleet, "REMOVED")
    report = world.delta()
    assert report is not None
    assert report.exit_code == 3
    assert set(world.hubject.statuses().values()) == {"Available"}


def test_what_hubject_held_before_us_is_counted_in_an_automatic_full_load() -> None:
    # The same by night with first_full_load = "automatic": the full load set all of them to EvseNotFound.
    world = World(Choices(guards=GuardPolicy(), automatic=True))
    fleet = {evse(number): "Available" for number in range(40)}
    world.hubject.preload(fleet)
    world.backend.evses = dict.fromkeys(fleet, "REMOVED")
    world.nightly()
    assert set(world.hubject.statuses().values()) == {"Available"}


def test_a_person_who_adopts_need_not_allow_what_hubject_held_before_us_as_well() -> None:
    # Whoever adopts has been told that Hubject deletes the rest; a second refusal would only teach to force things.
    world = World(Choices(guards=GuardPolicy()))
    fleet = {evse(number): "Available" for number in range(40)}
    world.hubject.preload(fleet)
    world.backend.evses = {**dict.fromkeys(fleet, "REMOVED"), evse(50): "AVAILABLE"}
    assert world.resync(adopt=world.full_size()) == "done"
    assert world.hubject.statuses()[key_of(evse(50))] == "Available"


def test_a_new_evse_waits_while_a_full_load_without_it_may_still_be_applied() -> None:
    # Inserted at once, acknowledged, and then deleted by the late full load: invisible until the next night.
    world = adopted()
    world.clock.advance(3600)
    world.hubject.faults.append(Fault("garbage page", "fullLoad", arrival=45))
    world.nightly()
    new = evse(9)
    world.backend.evses[new] = "AVAILABLE"
    for _ in range(2):
        world.clock.advance(SETTLE / 2 + 2)
        world.delta()
    world.clock.advance(SETTLE)
    world.delta()
    assert world.hubject.statuses()[key_of(new)] == "Available"
    world.check()


def test_what_a_person_allowed_once_is_no_free_pass_after_it_may_have_come_back() -> None:
    # Three removals were allowed; the night's load that brought the EVSEs back got no answer, and a wrong export then
    # took them away again without anybody being asked.
    guards = GuardPolicy(withdrawal_share=0.25, withdrawal_count=2)
    world = adopted(4, Choices(guards=guards))
    for number in range(3):
        del world.backend.evses[evse(number)]
    world.delta()
    world.clock.advance(SETTLE + 1)
    assert world.resync(allow=3, empties=True) == "done"
    world.backend.evses |= {evse(number): "AVAILABLE" for number in range(3)}
    world.hubject.faults.append(Fault("garbage page", "fullLoad", arrival=0))
    world.nightly()
    world.backend.evses |= {evse(number): "REMOVED" for number in range(3)}
    for _ in range(2):
        world.clock.advance(SETTLE + 1)
        world.delta()
    assert list(world.hubject.statuses().values()) == ["Available"] * 4


def test_a_doubt_ends_also_for_an_evse_that_is_to_be_kept_and_was_never_acknowledged() -> None:
    # With missing = "keep" a lost insert whose EVSE then became PLANNED stayed in doubt for ever: exit code 4 each run.
    world = adopted(choices=Choices(missing=Missing.KEEP))
    new = evse(5)
    world.backend.evses[new] = "AVAILABLE"
    lose(world, arrival=0)
    world.backend.evses[new] = "PLANNED"
    for _ in range(3):
        world.clock.advance(SETTLE + 1)
        world.delta()
    assert world.rows()[key_of(new)].in_doubt_since is None
    assert world.hubject.statuses()[key_of(new)] == "EvseNotFound"
