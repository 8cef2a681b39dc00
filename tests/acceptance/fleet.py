"""A fleet as the operator's backend exports it: OCPI Locations of our own making, rewritten as exports are rewritten.

The danger: a test that edits its file in place would test half-written files by accident, so files are replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

PUBLISHED = {
    "AVAILABLE": "Available",
    "CHARGING": "Occupied",
    "INOPERATIVE": "OutOfService",
    "OUTOFORDER": "OutOfService",
}
"""What Hubject should hold for an OCPI status, written down a second time so that the mapping is checked."""


def fleet(count: int, status: str = "AVAILABLE", *, operator: str = "DE*SLB") -> dict[str, str]:
    """EvseID → OCPI status, all alike."""
    return {f"{operator}*E{number:04d}*1": status for number in range(1, count + 1)}


def city_fleet() -> dict[str, str]:
    """273 EVSEs in the mix of a real city: 226 free, 40 charging, 7 out of service."""
    statuses = ["AVAILABLE"] * 226 + ["CHARGING"] * 40 + ["INOPERATIVE"] * 6 + ["OUTOFORDER"]
    return {
        evse_id: statuses[number * 100 % 273] for number, evse_id in enumerate(fleet(273))
    }  # 100 and 273 have no common factor: every status is used once, spread over the fleet


def published(evses: Mapping[str, str]) -> dict[str, str]:
    """What Hubject should hold for this fleet."""
    return {evse_id: PUBLISHED[status] for evse_id, status in evses.items()}


def write_locations(path: Path, evses: Mapping[str, str], *, locations: int = 100) -> None:
    """OCPI 2.2.1 Location objects, the EVSEs spread over them; locations without EVSEs stay in the file."""
    spread: list[list[dict[str, object]]] = [[] for _ in range(locations)]
    for number, (evse_id, status) in enumerate(evses.items()):
        connector = {"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}
        spread[number % locations].append(
            {
                "uid": f"uid-{evse_id}",
                "evse_id": evse_id,
                "status": status,
                "connectors": [connector],
                "last_updated": "2026-01-31T12:00:00Z",
            }
        )
    replace(path, json.dumps([_location(number, found) for number, found in enumerate(spread, 1)], indent=1))


def _location(number: int, evses: list[dict[str, object]]) -> dict[str, object]:
    return {
        "country_code": "DE",
        "party_id": "SLB",
        "id": f"location-{number}",
        "publish": True,
        "name": f"Charging place {number}",
        "city": "Exampletown",
        "country": "DEU",
        "coordinates": {"latitude": "48.90000", "longitude": "9.20000"},
        "time_zone": "Europe/Berlin",
        "evses": evses,
        "last_updated": "2026-01-31T12:00:00Z",
    }


def lines_of(evses: Mapping[str, str], *, suffix: str) -> list[str]:
    """The same fleet as lines with their ends: CSV with its header, or NDJSON."""
    if suffix == ".csv":
        return ["evse_id,status\n", *(f"{evse_id},{status}\n" for evse_id, status in evses.items())]
    return [json.dumps({"evse_id": evse_id, "status": status}) + "\n" for evse_id, status in evses.items()]


def replace(path: Path, text: str | bytes) -> None:
    """Write beside the file and rename, as a careful export does."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(text.encode() if isinstance(text, str) else text)
    os.replace(beside, path)


def without(evses: Mapping[str, str], gone: Iterable[str]) -> dict[str, str]:
    """The fleet without some EVSEs."""
    missing = set(gone)
    return {evse_id: status for evse_id, status in evses.items() if evse_id not in missing}
