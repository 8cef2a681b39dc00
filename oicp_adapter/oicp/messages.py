"""Wire messages (OICP 2.3 eRoamingPushEvseStatus): exactly the documented members, nothing else.

The danger: a body that can be read only once is empty when the request is repeated, and an empty fullLoad
deletes the fleet. A `Body` gives the same bytes each time it is iterated, and knows their number beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from oicp_adapter.core.model import ActionType, EvseStatus

_CHUNK = 5_000
"""Records encoded at a time: a million records then need about a megabyte at once, not 56."""

_encode = msgspec.json.Encoder().encode


class PushRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One PushEvseStatus request, before encoding. `records` are (EvseID, EvseStatus) in wire order."""

    action: ActionType
    operator_id: str
    operator_name: str
    records: Sequence[tuple[str, EvseStatus]]


class _Record(msgspec.Struct, frozen=True, gc=False):
    evse_id: str = msgspec.field(name="EvseID")
    status: EvseStatus = msgspec.field(name="EvseStatus")


class Body:
    """The UTF-8 JSON of one request: iterate as often as needed, `length` is the number of bytes.

    Big bodies are encoded anew by every pass, once to count them: `records` must not change meanwhile.
    """

    def __init__(self, request: PushRequest) -> None:
        self._request = request
        self._whole = b"".join(_parts(request)) if len(request.records) <= _CHUNK else None
        parts = _parts(request) if self._whole is None else (self._whole,)
        self.length = sum(len(part) for part in parts)

    def __iter__(self) -> Iterator[bytes]:
        return _parts(self._request) if self._whole is None else iter((self._whole,))


def body(request: PushRequest) -> Body:
    """Encode one request."""
    return Body(request)


def _parts(request: PushRequest) -> Iterator[bytes]:
    yield b'{"ActionType":%b,"OperatorEvseStatus":{"OperatorID":%b,"OperatorName":%b,"EvseStatusRecord":[' % (
        _encode(request.action),
        _encode(request.operator_id),
        _encode(request.operator_name),
    )
    for start in range(0, len(request.records), _CHUNK):
        records = [_Record(evse_id, status) for evse_id, status in request.records[start : start + _CHUNK]]
        yield (b"," if start else b"") + _encode(records)[1:-1]
    yield b"]}}"
