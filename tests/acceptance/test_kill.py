"""kill -9 while a push is in flight: whatever Hubject made of it, it ends with what the source says now.

The simulator holds the request at the moment of the kill: it has it, has applied it or not, and has not answered.
"""

from __future__ import annotations

import signal
import time

import pytest

from oicp_adapter.simulator import Fault
from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import Daemon, House, wait_until

EDITED = "DE*SLB*E0007*1"
FATES = {
    "applied": Fault(kind="hang", apply=True, count=1),
    "not applied": Fault(kind="hang", apply=False, count=1),
    "applied later": Fault(kind="late_apply", seconds=0.6, count=1),
}
"""What becomes of the request that nobody waits for any more; `settle` is 1 s."""


def _killed_in_flight(house: House, daemon: Daemon, fate: str, action: str) -> None:
    in_flight = FATES[fate].kind
    wait_until(
        lambda: any(in_flight in entry.faults for entry in house.requests(action)), f"a {action} is in flight"
    )
    assert daemon.alive
    daemon.dies()


@pytest.mark.parametrize("fate", FATES)
def test_an_update_killed_in_flight_ends_right_though_the_source_went_back(house: House, fate: str) -> None:
    # In the field: the ledger still says what the source says again, so nothing looks changed, and Hubject is wrong
    # for good.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    daemon = house.runs()
    house.simulator.faults.add(FATES[fate])
    house.exports(evses | {EDITED: "CHARGING"})
    _killed_in_flight(house, daemon, fate, "update")
    house.exports(evses)

    house.simulator.clear_journal()
    restarted_at = time.time()  # noqa: TID251 - the journal is in real time
    again = house.run()
    recovered = again.waits_for("ledger.recovered")
    assert (recovered["pushes"], recovered["evses"]) == (1, 1)
    again.waits_for("delta.done", in_doubt=1)
    again.waits_for("push.applied")
    house.comes_to_hold(published(evses))
    ours = [entry for entry in house.requests() if not entry.late]
    assert [(entry.action, entry.records) for entry in ours] == [("update", ((EDITED, "Available"),))]
    assert ours[0].at >= restarted_at + 1.0, "settle is waited for in full after a restart"


@pytest.mark.parametrize("fate", FATES)
def test_a_full_load_killed_in_flight_ends_right_though_the_source_went_back(house: House, fate: str) -> None:
    # In the field: the machine was rebooted at 03:00.
    evses = fleet(20)
    house.configure_quick()
    house.published(evses, adopt=True)
    changed = evses | {EDITED: "CHARGING"}
    daemon = house.runs()
    house.simulator.faults.add(FATES[fate])
    house.exports(changed)
    daemon.tell(signal.SIGUSR1)
    _killed_in_flight(house, daemon, fate, "fullLoad")
    house.exports(evses)

    house.simulator.faults.clear()
    house.simulator.clear_journal()
    again = house.run()
    assert again.waits_for("ledger.recovered")["evses"] == 20
    again.waits_for("delta.done", in_doubt=0)
    assert house.holds() == published(evses)
    resent = [entry for entry in house.requests("fullLoad") if not entry.late]
    assert resent == [], "inserts and updates heal it: what killed us once may kill us again"
    again.tell(signal.SIGUSR1)
    assert again.waits_for("full.done")["full_load"] == "applied"


def test_a_first_load_killed_in_the_middle_is_finished_by_the_next_start(house: House) -> None:
    # In the field: the first start is killed by an impatient supervisor; half of the fleet must not stay unpublished.
    evses = fleet(30)
    house.exports(evses)
    house.configure_quick()
    house.simulator.faults.add(Fault(kind="hang", apply=True, skip=10, count=1))
    daemon = house.run()
    _killed_in_flight(house, daemon, "applied", "insert")
    assert 10 < len(house.holds()) < 30
    again = house.run()
    house.comes_to_hold(published(evses))
    again.waits_for("ledger.recovered")
    again.waits_for("delta.done", in_doubt=0)
