"""What Hubject held before us is not ours to delete until a person says so."""

from __future__ import annotations

import signal

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House


def test_what_others_published_before_us_outlives_three_nights_and_goes_when_a_person_says_so(
    house: House,
) -> None:
    # In the field: a second backend publishes 700 EVSEs of the same operator; the first night deletes them.
    everything = fleet(1000)
    ours = dict(list(everything.items())[:300])
    house.simulator.hold(published(everything))
    house.exports(ours | {"DE*SLB*E0001*1": "CHARGING"})
    house.configure_quick()
    daemon = house.runs()
    for night in range(3):
        daemon.tell(signal.SIGUSR1)
        full = daemon.waits_for("full.done", after=night)
        assert full["full_load"] == "refused"
    expected = published(everything | {"DE*SLB*E0001*1": "CHARGING"})
    assert house.holds() == expected, "our EVSEs are kept up to date, the others left alone"
    assert house.requests("fullLoad") == []
    assert len(daemon.lines("baseline.unknown")) == 1, "told daily, not nightly and per cycle"

    asked = house.call("resync", "slb")
    assert asked.code == 3
    assert "oicp-adapter resync slb --adopt 300" in asked.out
    wrong = house.call("resync", "slb", "--adopt", "299")
    assert (wrong.code, house.holds()) == (3, expected)
    assert "--adopt 300" in wrong.out
    right = house.call("resync", "slb", "--adopt", "300")
    assert right.code == 0, right.said
    assert house.holds() == published(ours | {"DE*SLB*E0001*1": "CHARGING"})
    assert "adopted" in house.call("status").out
    daemon.tell(signal.SIGUSR1)
    assert daemon.waits_for("full.done", after=len(daemon.lines("full.done")))["full_load"] == "applied"


def test_a_lost_ledger_is_a_first_run_and_deletes_nothing(house: House) -> None:
    # In the field: the container came back without its volume, and the export is smaller today.
    evses = fleet(40)
    house.configure_quick(delivery__missing_after='"1ms"')
    house.published(evses, adopt=True)
    for file in house.place.glob("ledger.db*"):
        file.unlink()
    house.exports(dict(list(evses.items())[:20]))
    daemon = house.runs()
    daemon.tell(signal.SIGUSR1)
    assert daemon.waits_for("full.done")["full_load"] == "refused"
    assert house.holds() == published(evses)


def test_what_the_source_keeps_as_removed_for_ever_is_in_nobody_s_way(house: House) -> None:
    # In the field: OCPI keeps every EVSE that ever was. A hundred of them without EVSE data ended each run in exit 3,
    # filled the quarantine with the advice to upload their EVSE data, and kept the baseline unknown.
    live, removed = fleet(100), dict.fromkeys(list(fleet(200))[100:], "REMOVED")
    house.simulator.set_evse_data(list(live))
    house.configure()
    house.exports(live | removed)
    first = house.call("sync")
    assert (first.code, house.holds()) == (0, published(live)), first.said
    assert "oicp-adapter resync slb --adopt 100" in house.call("resync", "slb", "--dry-run").err
    adopted = house.call("resync", "slb", "--adopt", "100")
    assert adopted.code == 0, adopted.said
    assert "full load applied: 100 records" in adopted.out
    assert "nothing is quarantined" in house.call("quarantine", "list").out
    assert "100 gone in the source: nothing to do" in " ".join(house.call("plan").out.split())
    assert "100 gone in the source, not shown at Hubject" in house.call("status").out
    assert "nothing to do: gone in the source" in house.call("explain", "DE*SLB*E0150*1").out
    house.simulator.clear_journal()
    assert house.call("sync").code == 0
    assert house.requests() == []
