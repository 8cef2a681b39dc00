"""OCPI Location objects (2.1.1-d2, 2.2.1-d2, 2.3.0): bare, in an OCPI response, in `items`, one alone, or one a line.

One record per EVSE: OCPI keeps the status on the EVSE, connectors have none. The danger: some servers answer
`status_code` 3000 with `data: []` when one object is bad, so only 1xxx makes an empty list an empty fleet; and a page
is not the fleet, so one that names a next page lets no EVSE go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.collected import LOOSE_FIELDS, Collected
from oicp_adapter.sources.formats.envelope import Outcome, require_ocpi_success, require_success
from oicp_adapter.sources.formats.json_records import UNDECODABLE, RecordDecoder, decode_json
from oicp_adapter.sources.formats.nested import Nested, with_records
from oicp_adapter.sources.formats.values import Scalar

NAMES = {
    "evse_id": "evse_id",
    "evse_number": "uid",
    "status": "status",
    "updated_at": "last_updated",
    "parking_restrictions": "parking_restrictions",
}
"""Our field → OCPI's member of an EVSE."""
OF_LOCATION = ("publish", "publish_allowed_to")
"""Members of the Location that say something of all its EVSEs."""
_SHOWN = 10


class _Envelope(Outcome):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    next: Any = None
    id: Any = None
    evses: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Location(msgspec.Struct):
    id: str | int
    evses: list[msgspec.Raw] | None = None
    """Left undecoded, so that a bad EVSE does not cost its location."""
    publish: Any = None
    publish_allowed_to: Any = None


class OcpiLocations:
    """Reads OCPI Locations: station_id is the location's id, evse_number the EVSE's uid; connector_id stays None.

    `publish` and `publish_allowed_to` are the Location's. `fields`: our field → another member of the EVSE
    (`evse_id = "uid"`). `records`: where the Locations are, if not in one of OCPI's own places. Raises
    ConfigurationError for what cannot be.
    """

    def __init__(self, fields: Mapping[str, str], *, records: str | None = None) -> None:
        if "station_id" in fields:
            raise ConfigurationError(
                "source.fields.station_id has no meaning with format ocpi-locations",
                hint="the station is OCPI's Location; for other JSON use format json",
            )
        names = {ours: theirs for ours, theirs in {**NAMES, **fields}.items() if theirs}
        self._of_location = tuple(name for name in OF_LOCATION if name not in fields)
        self._names = ("station_id", *self._of_location, *names)
        self._records = None if records is None else Nested(records)
        self._locations = RecordDecoder(_Location)
        members = {theirs: f"m{at}" for at, theirs in enumerate(dict.fromkeys([*names.values(), "uid"]))}
        loose = {theirs for ours, theirs in names.items() if ours in LOOSE_FIELDS}
        loose -= {theirs for ours, theirs in names.items() if ours not in LOOSE_FIELDS}
        evse = msgspec.defstruct(
            "Evse",
            [(name, Any if theirs in loose else Scalar, None) for theirs, name in members.items()],
            rename={name: theirs for theirs, name in members.items()},
            gc=False,
        )
        self._evses = RecordDecoder(evse)
        self._values = attrgetter(*(members[theirs] for theirs in (*names.values(), "uid")))

    def read(self, data: bytes, into: Collected) -> None:
        """Collect every EVSE. Raises SourceError if the document is cut or its envelope not a success."""
        if self._records is not None:
            data = with_records(data, self._records)
        if data.lstrip()[:1] != b"{":
            return self._collect(self._locations.array(data, into, what="location"), into)
        try:
            envelope = msgspec.json.decode(data, type=_Envelope)
        except UNDECODABLE:
            if b"\n" in data.strip():
                return self._collect(self._locations.lines(_whole_lines(data, into), into), into)
            envelope = decode_json(data, _Envelope)
        array = _locations_in(envelope, data, into)
        return self._collect(self._locations.array(array, into, what="location"), into)

    def _collect(self, locations: Iterable[tuple[int, _Location]], into: Collected) -> None:
        for _, location in locations:
            of_location = [getattr(location, name) for name in self._of_location]
            for number, raw in enumerate(location.evses or (), 1):
                evse = self._evses.one(raw, into, origin=f"location {location.id}, EVSE no. {number}")
                if evse is not None:
                    *values, uid = self._values(evse)
                    into.add(
                        self._names,
                        (location.id, *of_location, *values),
                        f"location {location.id}, EVSE {uid}",
                    )


def _whole_lines(data: bytes, into: Collected) -> bytes:
    """One Location a line: the last line may be cut."""
    if data.endswith(b"\n"):
        return data
    into.incomplete("the last line has no line end, it may be cut and is not used")
    return data[: data.rfind(b"\n") + 1]


def _locations_in(envelope: _Envelope, data: bytes, into: Collected) -> bytes | msgspec.Raw:
    """The array of Locations in an object that is an answer, a page of one, or one Location."""
    if envelope.status_code is not msgspec.UNSET:
        require_ocpi_success(envelope)
        if isinstance(envelope.data, msgspec.Raw):
            return _as_array(envelope.data)
        raise SourceError(
            "the OCPI envelope has no `data`", hint="save the answer of a GET on the locations endpoint"
        )
    found = envelope.items if isinstance(envelope.items, msgspec.Raw) else envelope.data
    if isinstance(found, msgspec.Raw):
        array = _as_array(found)
        require_success(envelope, into, empty=bytes(memoryview(array)[1:]).lstrip()[:1] == b"]")
        if envelope.next not in (None, "", False):
            into.incomplete("it is one page of several: `next` names another")
        return array
    if envelope.id is not None and isinstance(envelope.evses, msgspec.Raw):
        return b"[" + data + b"]"
    members = list(decode_json(data, dict[str, msgspec.Raw]))
    shown = ", ".join(members[:_SHOWN]) + (" …" if len(members) > _SHOWN else "")
    raise SourceError(
        f"there are no OCPI Locations under data or items; found: {shown or 'nothing'}",
        hint='say where the array of Locations is, like source.records = "result.locations"',
    )


def _as_array(found: msgspec.Raw) -> bytes | msgspec.Raw:
    """`data` of the answer for one Location is that Location."""
    return found if bytes(memoryview(found)[:1]) == b"[" else b"[" + bytes(memoryview(found)) + b"]"
