"""Reads a request body as sternly as OICP allows: exact members, exact types, exact patterns.

A valid body is decoded once into structs (a million records in well under a second). Only an invalid one is
walked a second time, generically, to name every field at fault the way Hubject does:
`operatorEvseStatus.evseStatusRecord[3].evseID` (docs/oicp-notes.md "Answers").
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct, UnsetType

from oicp_adapter.simulator.ids import EVSE_PATTERN, OPERATOR_PATTERN, evse_key, operator_key

Action = Literal["fullLoad", "insert", "update", "delete"]
Status = Literal["Available", "Reserved", "Occupied", "OutOfService", "EvseNotFound", "Unknown"]

ACTIONS: tuple[str, ...] = get_args(Action)
STATUSES: tuple[str, ...] = get_args(Status)
_MOST_ERRORS = 1000
_NAME_LENGTH = 100


class _Record(Struct, forbid_unknown_fields=True, gc=False):
    EvseID: str
    EvseStatus: Status


class _OperatorEvseStatus(Struct, forbid_unknown_fields=True):
    OperatorID: str
    EvseStatusRecord: list[_Record]
    OperatorName: Annotated[str, Meta(max_length=_NAME_LENGTH)] | UnsetType = msgspec.UNSET


class _StatusBody(Struct, forbid_unknown_fields=True):
    ActionType: Action
    OperatorEvseStatus: _OperatorEvseStatus


class _DataRecord(Struct, gc=False):
    EvseID: str


class _OperatorEvseData(Struct):
    OperatorID: str
    EvseDataRecord: list[_DataRecord]


class _DataBody(Struct):
    ActionType: Action
    OperatorEvseData: _OperatorEvseData


class PullByOperator(Struct, forbid_unknown_fields=True):
    """Read-back of everything some operators hold."""

    ProviderID: str
    OperatorID: list[str]


class PullById(Struct, forbid_unknown_fields=True):
    """Read-back of at most 100 EVSEs."""

    ProviderID: str
    EvseID: Annotated[list[str], Meta(max_length=100)]


_status_decoder = msgspec.json.Decoder(_StatusBody)
_data_decoder = msgspec.json.Decoder(_DataBody)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of Hubject's `validationErrors`."""

    reference: str
    message: str
    unknown_member: bool = False


@dataclass(frozen=True, slots=True)
class Invalid:
    """A body that is refused with 400 before anything is applied. No errors: it is not JSON at all."""

    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusPush:
    """A well-formed status push. `keys` are the identities of `records` (wire id, status), in the same
    order.
    """

    action: str
    operator: str
    records: list[tuple[str, str]]
    keys: list[str] = field(repr=False)
    operator_name: str = ""

    def items(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Identity and (wire id, status), in the order sent."""
        return zip(self.keys, self.records, strict=True)


@dataclass(frozen=True, slots=True)
class DataPush:
    """As much of a data push as registering EVSEs needs."""

    action: str
    operator: str
    keys: list[str]


def status_push(body: bytes) -> StatusPush | Invalid:
    """The request of a body, or every field at fault."""
    try:
        raw = _status_decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return _explain(body, _status_errors)
    records: list[tuple[str, str]] = [
        (record.EvseID, record.EvseStatus) for record in raw.OperatorEvseStatus.EvseStatusRecord
    ]
    keys = [key for wire, _ in records if (key := evse_key(wire)) is not None]
    operator = raw.OperatorEvseStatus.OperatorID
    if len(keys) != len(records) or operator_key(operator) is None:
        return _explain(body, _status_errors)
    return StatusPush(raw.ActionType, operator, records, keys, raw.OperatorEvseStatus.OperatorName or "")


def data_push(body: bytes) -> DataPush | Invalid:
    """The EVSEs a data push registers, or the fields at fault; all other members are taken as they are."""
    try:
        raw = _data_decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return Invalid((FieldError("operatorEvseData", "must be a data push"),))
    data = raw.OperatorEvseData
    keys = [evse_key(record.EvseID) for record in data.EvseDataRecord]
    errors = tuple(
        FieldError(f"operatorEvseData.evseDataRecord[{i}].evseID", _must_match(EVSE_PATTERN))
        for i, key in enumerate(keys)
        if key is None
    )
    if errors:
        return Invalid(errors)
    return DataPush(raw.ActionType, data.OperatorID, [key for key in keys if key is not None])


def _must_match(pattern: str) -> str:
    return f'must match "{pattern}"'


def _one_of(values: tuple[str, ...]) -> str:
    return f"must be one of {', '.join(values)}"


def _explain(body: bytes, walk: Callable[[object], Iterator[FieldError]]) -> Invalid:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return Invalid()
    return Invalid(tuple(error for error, _ in zip(walk(value), range(_MOST_ERRORS), strict=False)))


def _reference(path: str, member: str) -> str:
    camel = member[:1].lower() + member[1:]
    return f"{path}.{camel}" if path else camel


def _members(
    value: object, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError(path, "must be an object")
        return
    for name in required:
        if value.get(name) is None:
            yield FieldError(_reference(path, name), "must not be null")
    for name in value:
        if name not in required and name not in optional:
            yield FieldError(_reference(path, name), "unknown member", unknown_member=True)


def _status_errors(value: object) -> Iterator[FieldError]:
    yield from _members(value, "", ("ActionType", "OperatorEvseStatus"))
    if not isinstance(value, dict):
        return
    action = value.get("ActionType")
    if action is not None and action not in ACTIONS:
        yield FieldError("actionType", _one_of(ACTIONS))
    if (status := value.get("OperatorEvseStatus")) is not None:
        yield from _operator_errors(status)


def _operator_errors(value: object) -> Iterator[FieldError]:
    path = "operatorEvseStatus"
    yield from _members(value, path, ("OperatorID", "EvseStatusRecord"), ("OperatorName",))
    if not isinstance(value, dict):
        return
    operator = value.get("OperatorID")
    if operator is not None and (not isinstance(operator, str) or operator_key(operator) is None):
        yield FieldError(f"{path}.operatorID", _must_match(OPERATOR_PATTERN))
    name = value.get("OperatorName", "")
    if not isinstance(name, str) or len(name) > _NAME_LENGTH:
        yield FieldError(f"{path}.operatorName", f"size must be between 0 and {_NAME_LENGTH}")
    records = value.get("EvseStatusRecord")
    if isinstance(records, list):
        for i, record in enumerate(records):
            yield from _record_errors(record, f"{path}.evseStatusRecord[{i}]")
    elif records is not None:
        yield FieldError(f"{path}.evseStatusRecord", "must be a list")


def _record_errors(value: object, path: str) -> Iterator[FieldError]:
    yield from _members(value, path, ("EvseID", "EvseStatus"))
    if not isinstance(value, dict):
        return
    evse_id, status = value.get("EvseID"), value.get("EvseStatus")
    if evse_id is not None and (not isinstance(evse_id, str) or evse_key(evse_id) is None):
        yield FieldError(f"{path}.evseID", _must_match(EVSE_PATTERN))
    if status is not None and status not in STATUSES:
        yield FieldError(f"{path}.evseStatus", _one_of(STATUSES))
