"""OCPI Location objects, with the dirt that real servers add."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oicp_adapter.core.model import SourceRead, SourceRecord
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected
from oicp_adapter.sources.formats.ocpi_locations import OcpiLocations


def evse(number: int, **members: Any) -> dict[str, Any]:
    return {
        "uid": str(number),
        "evse_id": f"DE*ABC*E{number}",
        "status": "AVAILABLE",
        "connectors": [{"id": "1", "standard": "IEC_62196_T2"}],
        "last_updated": "2026-04-02T12:00:00Z",
        **members,
    }


LOCATION: dict[str, Any] = {"id": "LOC1", "name": "Straße", "evses": [evse(1), evse(2, status="CHARGING")]}


def read(document: object) -> SourceRead:
    into = Collected()
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    OcpiLocations({}).read(data, into)
    return into.result()


def ids(found: SourceRead) -> list[str | None]:
    return [record.evse_id for record in found.records]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: {"data": data, "status_code": 1000, "timestamp": "2026-04-02T12:00:00Z"},
        lambda data: {"status_code": "1000", "status_message": None, "data": data},
    ],
)
def test_one_record_per_evse_bare_or_in_an_envelope(wrap: Any) -> None:
    # A record per connector would count one charger twice.
    found = read(wrap([LOCATION]))
    assert found.complete
    assert found.records[1] == SourceRecord(
        evse_id="DE*ABC*E2",
        station_id="LOC1",
        evse_number="2",
        status="CHARGING",
        updated_at=1775131200.0,
        origin="location LOC1, EVSE 2",
    )
    assert ids(found) == ["DE*ABC*E1", "DE*ABC*E2"]


@pytest.mark.parametrize("code", [2000, 2001, 3000, 4001, 200, None, "", True, [1000]])
@pytest.mark.parametrize("data", [[], [LOCATION]])
def test_an_envelope_that_reports_a_failure_is_a_failed_read(code: object, data: object) -> None:
    # Seen in the field: HTTP 200 with status_code 3000 and data [] because one object was bad.
    with pytest.raises(SourceError):
        read({"status_code": code, "status_message": "Generic server error", "data": data})


@pytest.mark.parametrize(
    "envelope",
    [
        {"status_code": 1000},
        {"status_code": 1000, "data": None},
        {"status_code": 1000, "items": [LOCATION]},
        {"id": "L1"},
        {"items": None, "next": "abc"},
    ],
)
def test_an_envelope_without_a_list_is_a_failed_read(envelope: object) -> None:
    # Reading "no data" as "no EVSEs" would empty the fleet.
    with pytest.raises(SourceError):
        read(envelope)


def test_the_server_s_words_are_shown() -> None:
    # The engineer needs to know whose fault it is.
    with pytest.raises(SourceError, match="3000, not 1xxx: database down"):
        read({"status_code": 3000, "status_message": "database down", "data": []})


def test_a_location_without_evses_has_none() -> None:
    # Planned sites have none yet; they must not make the read incomplete for months.
    found = read([{"id": "LOC0"}, {"id": "LOC2", "evses": None}, {"id": 3, "evses": []}, LOCATION])
    assert len(found.records) == 2
    assert found.complete


def test_an_evse_without_an_id_is_reported_not_dropped() -> None:
    # evse_id is optional in OCPI: dropped silently, nobody would learn why it is not at Hubject.
    without = evse(7)
    del without["evse_id"]
    (record,) = read([{"id": "LOC1", "evses": [without]}]).records
    assert record.evse_id is None
    assert record.origin == "location LOC1, EVSE 7"


@pytest.mark.parametrize("bad", [evse(9, evse_id=["x"]), evse(9, status={}), 7, None, []])
def test_a_bad_evse_costs_itself_and_the_completeness(bad: object) -> None:
    # A bad EVSE must not take its whole location with it, nor count as gone.
    found = read([{"id": "LOC1", "evses": [evse(1), bad, evse(2)]}])
    assert ids(found) == ["DE*ABC*E1", "DE*ABC*E2"]
    assert not found.complete
    assert "location LOC1, EVSE no. 2 cannot be decoded" in found.problems[0]


@pytest.mark.parametrize("bad", [{"evses": [evse(9)]}, {"id": None}, {"id": "LOC9", "evses": {}}, "x", None])
def test_a_bad_location_costs_itself_and_the_completeness(bad: object) -> None:
    # OCPI: process the good objects of a list with bad ones.
    found = read([bad, LOCATION])
    assert len(found.records) == 2
    assert not found.complete
    assert found.problems[0].startswith("location 1 cannot be decoded")


def test_other_json_is_not_taken_for_ocpi() -> None:
    # A wrong `format` must not look like a fleet without EVSEs.
    with pytest.raises(SourceError, match="none of the 1 records"):
        read([{"evse_id": "DE*ABC*E1", "status": "Available"}])
