"""EVSEs between memory and the table `evse`: a million of them in seconds.

The danger: a column in the wrong place silently changes what Hubject is believed to hold. The order of columns is
written once per direction, and a property test sends every field through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from sys import intern
from typing import Any

import msgspec

from oicp_adapter.core.model import Cause, ConnectorState, EvseStatus, Flaw
from oicp_adapter.core.records import EvseRow, OperatorState, Presence, Quarantine
from oicp_adapter.errors import LedgerUnreadable

SELECT = """
SELECT key, wire_id, presence, status, status_at, push_id, in_doubt_since, reassert_at, quarantine, withdrawn_at,
       source_id, desired, cause, value, rule, source_time, connectors, changed_at, first_missing, last_seen, withheld,
       doubted_at, turned_at, fallback, unread_since, said_at, flaw
FROM evse WHERE operator_id = ?
"""
_UPSERT = """
INSERT OR REPLACE INTO evse (
    operator_id, key, wire_id, presence, status, status_at, push_id, in_doubt_since, reassert_at, quarantine,
    withdrawn_at, source_id, desired, cause, value, rule, source_time, connectors, changed_at, first_missing,
    last_seen, withheld, doubted_at, turned_at, fallback, unread_since, said_at, flaw
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_STATUS: dict[str | None, EvseStatus | None] = {None: None, **{item.value: item for item in EvseStatus}}
_PRESENCE = {item.value: item for item in Presence}
_CAUSE = {item.value: item for item in Cause}
_FLAW = {item.value: item for item in Flaw}
_connectors = msgspec.json.Decoder(tuple[ConnectorState, ...])
_quarantine = msgspec.json.Decoder(Quarantine)
_state = msgspec.json.Decoder(OperatorState)
_unreadable = (msgspec.MsgspecError, KeyError, ValueError)


def to_json(value: object) -> str:
    """JSON for a column."""
    return msgspec.json.encode(value).decode()


def upsert(connection: sqlite3.Connection, rows: list[EvseRow], operator_id: int) -> None:
    """Store rows. Quickest in the order of the primary key."""
    connection.executemany(_UPSERT, _encoded(rows, operator_id))


def _encoded(rows: Iterable[EvseRow], operator_id: int) -> Iterator[tuple[Any, ...]]:
    """Parameters for _UPSERT."""
    for row in rows:
        yield (
            operator_id,
            row.key,
            row.wire_id,
            row.presence.value,
            row.status.value if row.status else None,
            row.status_at,
            row.push_id,
            row.in_doubt_since,
            row.reassert_at,
            to_json(row.quarantine) if row.quarantine else None,
            row.withdrawn_at,
            row.source_id,
            row.desired.value if row.desired else None,
            row.cause.value,
            row.value,
            row.rule,
            row.source_time,
            to_json(row.connectors) if row.connectors else None,
            row.changed_at,
            row.first_missing,
            row.last_seen,
            row.withheld,
            row.doubted_at,
            row.turned_at,
            row.fallback.value if row.fallback else None,
            row.unread_since,
            row.said_at,
            row.flaw.value,
        )


def decoded(columns: Iterable[tuple[Any, ...]]) -> dict[str, EvseRow]:
    """What SELECT gives, by key. Raises LedgerUnreadable for a row no version of ours wrote."""
    rows = {}
    for column in columns:
        try:
            rows[column[0]] = _decoded(*column)
        except _unreadable as error:
            raise _not_ours(f"EVSE {column[0]!r}", error) from error
    return rows


def _decoded(
    key: str,
    wire_id: str,
    presence: str,
    status: str | None,
    status_at: float | None,
    push_id: int | None,
    in_doubt_since: float | None,
    reassert_at: float | None,
    quarantine: str | None,
    withdrawn_at: float | None,
    source_id: str,
    desired: str | None,
    cause: str,
    value: str,
    rule: str,
    source_time: float | None,
    connectors: str | None,
    changed_at: float | None,
    first_missing: float | None,
    last_seen: float | None,
    withheld: str,
    doubted_at: float | None,
    turned_at: float | None,
    fallback: str | None,
    unread_since: float | None,
    said_at: float | None,
    flaw: str,
) -> EvseRow:
    return EvseRow(
        key=key,
        wire_id=wire_id,
        presence=_PRESENCE[presence],
        status=_STATUS[status],
        status_at=status_at,
        push_id=push_id,
        in_doubt_since=in_doubt_since,
        reassert_at=reassert_at,
        quarantine=_quarantine.decode(quarantine) if quarantine else None,
        withdrawn_at=withdrawn_at,
        source_id=wire_id
        if source_id == wire_id
        else source_id,  # one string instead of two, a million times
        desired=_STATUS[desired],
        cause=_CAUSE[cause],
        value=intern(value),
        rule=intern(rule),
        source_time=source_time,
        connectors=_connectors.decode(connectors) if connectors else (),
        changed_at=changed_at,
        first_missing=first_missing,
        last_seen=last_seen,
        withheld=withheld,
        doubted_at=doubted_at,
        turned_at=turned_at,
        fallback=_STATUS[fallback],
        unread_since=unread_since,
        said_at=said_at,
        flaw=_FLAW[flaw],
    )


def decoded_state(text: str) -> OperatorState:
    """The operator's state: members this version does not know are dropped, missing ones have their default."""
    with readable("the operator's state"):
        return _state.decode(text)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Decode inside: what this program did not write raises LedgerUnreadable."""
    try:
        yield
    except _unreadable as error:
        raise _not_ours(what, error) from error


def _not_ours(what: str, error: Exception) -> LedgerUnreadable:
    return LedgerUnreadable(
        f"the ledger holds something unreadable: {what} ({error})",
        hint="the file was changed by hand or is damaged: restore a backup (docs/operations.md)",
    )
