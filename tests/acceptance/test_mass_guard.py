"""Words nobody knows: the map stays, what can be read flows, and a person or half a day decides."""

from __future__ import annotations

from tests.acceptance.fleet import fleet, published
from tests.acceptance.house import House

FLEET = fleet(40)
IDS = list(FLEET)


def broken(*counts: int) -> list[dict[str, str]]:
    """The fleet with ever more rows whose word nobody knows."""
    return [{**FLEET, **dict.fromkeys(IDS[:count], "KAPUTT")} for count in counts]


def unknown(house: House) -> int:
    return sum(1 for status in house.holds().values() if status == "Unknown")


def test_a_word_that_comes_in_row_by_row_is_stopped_at_half_of_the_fleet(house: House) -> None:
    # In the field: a table is migrated row by row, each cycle exits with 0, and in the end the whole map is Unknown.
    house.configure()
    house.published(FLEET, adopt=True)
    codes = []
    for export in broken(8, 16, 20, 24, 40):
        house.exports(export)
        ended = house.call("sync")
        codes.append(ended.code)
    assert (codes, unknown(house)) == ([0, 0, 0, 3, 3], 20)
    assert "20 EVSEs would turn to Unknown" in ended.err
    assert "oicp-adapter resync slb --allow-unknown 20" in ended.err

    told = house.call("status", "slb").out
    assert "frozen" in told
    assert "drivers see 20 EVSEs as Available that nobody vouches for" in " ".join(told.split())
    [frozen] = [house.call("status", "--json").data["slb"]["frozen"]]
    assert frozen["available"] == 20
    next_step = house.call("explain", IDS[-1]).out
    assert "not Unknown while the mass_unknown guard withholds it" in " ".join(next_step.split())

    too_few = house.call("resync", "slb", "--allow-unknown", "19")
    assert (too_few.code, unknown(house)) == (3, 20)
    tried = house.call("resync", "slb", "--allow-unknown", "20", "--dry-run")
    assert (tried.code, unknown(house)) == (0, 20), tried.said
    enough = house.call("resync", "slb", "--allow-unknown", "20")
    assert (enough.code, unknown(house)) == (0, 40), enough.said
    assert "asked for resync --allow-unknown 20" in house.call("status", "slb").out

    house.exports(FLEET)
    assert house.call("sync").code == 0
    assert house.holds() == published(FLEET)


def test_through_the_daemon_a_leave_works_and_what_nobody_can_read_is_believed_in_the_end(
    house: House,
) -> None:
    # In the field: the command goes through the daemon, which forgets its number; or the map stays frozen for ever.
    house.configure_quick(delivery__unmapped_believed_after='"never"')
    house.published(FLEET, adopt=True)
    daemon = house.runs()
    house.exports(broken(40)[0])
    told = daemon.waits_for("guard.refused")
    assert (told["guard"], told["withheld"]) == ("mass_unknown", 40)
    assert house.holds() == published(FLEET)
    assert house.call("resync", "slb", "--allow-unknown", "40").code == 0
    assert unknown(house) == 40
    daemon.ends()

    house.exports(FLEET)
    assert house.call("sync").code == 0
    house.configure_quick(delivery__unmapped_believed_after='"2s"')
    daemon = house.runs()
    house.exports(broken(40)[0])
    believed = daemon.waits_for("guard.unmapped_believed")
    assert (believed["level"], believed["evses"], believed["values"]) == ("error", 40, ["KAPUTT"])
    house.comes_to_hold(dict.fromkeys(IDS, "Unknown"))
