"""Status records in the shapes of OICP 2.3: what was pushed (OperatorEvseStatus), or pulled (EvseStatuses).

One record per EvseStatusRecord, wherever in the document such an array stands. The danger: an answer that reports a
failure taken for an empty fleet, so a document without any such array is a failed read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected
from oicp_adapter.sources.formats.json_records import decode_json

_RECORDS = "evsestatusrecord"
_NAMES = ("evse_id", "status")
_DEEPEST = 5


class OicpRecords:
    """Reads OICP status records; OICP has neither times nor stations in them."""

    def read(self, data: bytes, into: Collected) -> None:
        """Collect every record. Raises SourceError if there is no array of them."""
        arrays = list(_arrays(decode_json(data, Any), _DEEPEST))
        if not arrays:
            raise SourceError(
                "there is no EvseStatusRecord in it",
                hint="format oicp is for what is pushed to Hubject or pulled from it; your own JSON is format json",
            )
        number = 0
        for array in arrays:
            for record in array:
                number += 1
                origin = f"EvseStatusRecord {number}"
                if not isinstance(record, dict):
                    into.undecodable(origin, "it is no object")
                    continue
                folded = {name.casefold(): value for name, value in record.items()}
                into.add(_NAMES, (folded.get("evseid"), folded.get("evsestatus")), origin)


def _arrays(value: object, depth: int) -> Iterator[list[Any]]:
    if isinstance(value, list) and depth:
        for one in value:
            yield from _arrays(one, depth - 1)
    elif isinstance(value, dict) and depth:
        for name, inner in value.items():
            if name.casefold() == _RECORDS and isinstance(inner, list):
                yield inner
            else:
                yield from _arrays(inner, depth - 1)
