"""Every combination of the GreenFlux columns, against the rule of the contract written down a second time."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import EvseStatus, SourceRecord

LIFECYCLES = (None, "Production", "Deprecated", "Stock")
CONNECTIONS = (None, "Online", "Offline", "Unknown")
STATUSES = (None, "Enabled", "Disabled", "Faulted", "Unknown")
CHARGING = (None, "Yes", "No", "Unknown")
FREE, BROKEN = ("Available",), ("Unavailable", "Faulted")
BUSY = ("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved")
NOTHING = ("Unknown", "Offline", "Online", None)
CONNECTORS = (*FREE, *BUSY, *BROKEN, *NOTHING)

RULES = MappingRules(vocabulary="greenflux", prefixes=(parse_prefix("DE*ABC"),))
NOW = 1_800_000_000.0


def contract(
    lifecycle: str | None,
    connection: str | None,
    status: str | None,
    charging: str | None,
    connector: str | None,
) -> str:
    """The columns of GreenFlux reports, in their order."""
    if lifecycle in ("Deprecated", "Stock"):
        return "EvseNotFound"
    if connection not in ("Online", None):
        return "Unknown"
    if status in ("Disabled", "Faulted"):
        return "OutOfService"
    if connector not in NOTHING:
        return "Available" if connector in FREE else "Occupied" if connector in BUSY else "OutOfService"
    return "Occupied" if charging == "Yes" else "Unknown"


def test_every_combination_of_columns_becomes_what_the_contract_says() -> None:
    # One cell of 4,160: a charger in stock on the map, or a running session shown as free.
    combinations = list(product(LIFECYCLES, CONNECTIONS, STATUSES, CHARGING, CONNECTORS))
    assert len(combinations) == 4160
    fleet = map_fleet(
        (
            SourceRecord(
                evse_id=f"DE*ABC*E{number}",
                lifecycle=lifecycle,
                connection=connection,
                station_status=status,
                charging=charging,
                status=connector,
            )
            for number, (lifecycle, connection, status, charging, connector) in enumerate(combinations)
        ),
        RULES,
        now=NOW,
    )
    found = {number: str(fleet.desired[f"DEABCE{number}"].status) for number in range(len(combinations))}
    assert found == {number: contract(*columns) for number, columns in enumerate(combinations)}


connectors = st.builds(
    SourceRecord,
    evse_id=st.just("DE*ABC*E1"),
    station_id=st.just("S1"),
    connector_id=st.sampled_from(["0", "1", "2"]),
    lifecycle=st.sampled_from(LIFECYCLES),
    connection=st.sampled_from(CONNECTIONS),
    station_status=st.sampled_from(STATUSES),
    charging=st.sampled_from(CHARGING),
    status=st.sampled_from([*CONNECTORS, "Kaputt", ""]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(connectors, min_size=1, max_size=4), st.data())
def test_whatever_the_connectors_say_the_evse_has_one_status_in_any_order(
    rows: list[SourceRecord], data: st.DataObject
) -> None:
    # An EVSE without a status disappears; one whose status depends on the export's order flaps.
    fleet = map_fleet(rows, RULES, now=NOW)
    assert list(fleet.desired) == ["DEABCE1"]
    assert fleet.desired["DEABCE1"].status in set(EvseStatus) - {EvseStatus.RESERVED}
    assert map_fleet(data.draw(st.permutations(rows)), RULES, now=NOW) == fleet
