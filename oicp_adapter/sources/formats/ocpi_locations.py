"""OCPI Location objects (2.1.1-d2, 2.2.1-d2, 2.3.0), bare in an array or in an OCPI response envelope.

One record per EVSE: OCPI keeps the status on the EVSE, connectors have none. The danger: some servers answer
`status_code` 3000 with `data: []` when one object is bad; only 1xxx makes an empty list an empty fleet.
"""

from __future__ import annotations

import msgspec

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected
from oicp_adapter.sources.formats.envelope import Outcome, require_ocpi_success
from oicp_adapter.sources.formats.json_records import RecordDecoder, decode_json
from oicp_adapter.sources.formats.values import Scalar

_NAMES = ("evse_id", "station_id", "evse_number", "status", "updated_at")


class _Envelope(Outcome):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Location(msgspec.Struct):
    id: str | int
    evses: list[msgspec.Raw] | None = None
    """Left undecoded, so that a bad EVSE does not cost its location."""


class _Evse(msgspec.Struct, gc=False):
    uid: Scalar = None
    evse_id: Scalar = None
    status: Scalar = None
    last_updated: Scalar = None


class OcpiLocations:
    """Reads OCPI Locations: station_id is the location's id, evse_number the EVSE's uid; connector_id stays None."""

    def __init__(self) -> None:
        self._locations = RecordDecoder(_Location)
        self._evses = RecordDecoder(_Evse)

    def read(self, data: bytes, into: Collected) -> None:
        """Collect every EVSE. Raises SourceError if the document is cut or its envelope not a success."""
        array = _data_of(data) if data.lstrip()[:1] == b"{" else data
        for _, location in self._locations.array(array, into, what="location"):
            for number, raw in enumerate(location.evses or (), 1):
                evse = self._evses.one(raw, into, origin=f"location {location.id}, EVSE no. {number}")
                if evse is not None:
                    values = (evse.evse_id, location.id, evse.uid, evse.status, evse.last_updated)
                    into.add(_NAMES, values, f"location {location.id}, EVSE {evse.uid}")


def _data_of(data: bytes) -> msgspec.Raw:
    envelope = decode_json(data, _Envelope)
    require_ocpi_success(envelope)
    if not isinstance(envelope.data, msgspec.Raw):
        raise SourceError(
            "the OCPI envelope has no `data`", hint="save the answer of a GET on the locations endpoint"
        )
    return envelope.data
