"""Pushes in the ledger file: begun before the first byte, finished with their outcome, kept for a while.

The danger: an intent that was not durable when the request left. `begin` returns only after the disk has it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.records import OpenPush, PushIntent, PushRow
from oicp_adapter.errors import LedgerError
from oicp_adapter.ledger import codec
from oicp_adapter.ledger.history import LIMITS, HistoryEntry, Kept, Limits, PushEntry, expired
from oicp_adapter.ledger.scope import Scope

_COLUMNS = """
push.id, cycle_id, action, count, started_at, finished_at, outcome, code, text, process_id, http_status, duration,
attempts
"""
_SLICE = 500
"""Pushes forgotten per transaction: another operator's intent never waits long."""


class SqlitePushes(Scope):
    """The pushes of one operator."""

    def begin(self, intent: PushIntent) -> int:
        """Make durable what is about to be sent, with the rows that change with it; returns the push's number."""
        rows = sorted(intent.rows, key=attrgetter("key"))
        with self._database.writing() as connection:
            operator_id = self._id(connection)
            sql = "INSERT INTO push (operator_id, cycle_id, action, count, started_at) VALUES (?, ?, ?, ?, ?)"
            values = (operator_id, intent.cycle_id, intent.action.value, intent.count, intent.started_at)
            push_id = connection.execute(sql, values).lastrowid
            assert push_id is not None
            connection.executemany(
                "INSERT INTO push_record VALUES (?, ?, ?, ?, ?)",
                (
                    (push_id, position, record.key, record.status and record.status.value, record.reason)
                    for position, record in enumerate(intent.records)
                ),
            )
            codec.upsert(connection, rows, operator_id)
            connection.execute("UPDATE operator SET last_push = ? WHERE id = ?", (push_id, operator_id))
            revision = self._revised(connection)
        self._kept.written(revision, rows, ())
        self._mark.note(push_id)
        return push_id

    def _finish(self, connection: sqlite3.Connection, push: PushRow) -> None:
        sql = """
        UPDATE push SET finished_at = ?, outcome = ?, code = ?, text = ?, process_id = ?, http_status = ?,
                        duration = ?, attempts = ?
        WHERE operator_id = ? AND id = ? AND finished_at IS NULL
        """
        values = (
            push.finished_at,
            push.outcome,
            push.code,
            push.text,
            push.process_id,
            push.http_status,
            push.duration,
            push.attempts,
            self._id(connection),
            push.push_id,
        )
        if connection.execute(sql, values).rowcount != 1:
            raise not_open(push.push_id)

    def _open_pushes(self, connection: sqlite3.Connection) -> tuple[OpenPush, ...]:
        sql = "SELECT id, action FROM push WHERE operator_id = ? AND finished_at IS NULL ORDER BY id"
        found = connection.execute(sql, (self._id(connection),)).fetchall()
        keys = "SELECT key FROM push_record WHERE push_id = ? ORDER BY position"
        with codec.readable("an open push"):
            return tuple(
                open_push(
                    push_id, ActionType(action), (key for (key,) in connection.execute(keys, (push_id,)))
                )
                for push_id, action in found
            )

    def recent_pushes(self, since: float) -> list[float]:
        """Start times of calls since then, oldest first; a push that needed three attempts counts three times."""
        sql = "SELECT started_at, attempts FROM push WHERE operator_id = ? AND started_at >= ? ORDER BY started_at"
        with self._database.reading() as connection:
            found = connection.execute(sql, (self._id(connection), since)).fetchall()
        return [started_at for started_at, attempts in found for _ in range(attempts)]

    def pushes(self, limit: int) -> list[PushEntry]:
        """The newest pushes, newest first."""
        sql = f"SELECT {_COLUMNS} FROM push WHERE operator_id = ? ORDER BY id DESC LIMIT ?"  # noqa: S608 - a constant
        with self._database.reading() as connection:
            found = connection.execute(sql, (self._id(connection), limit)).fetchall()
        with codec.readable("a push"):
            return [_entry(*row) for row in found]

    def history(self, key: str, limit: int) -> list[HistoryEntry]:
        """The pushes that named this EVSE, newest first."""
        sql = f"""
        SELECT status, reason, {_COLUMNS} FROM push_record JOIN push ON push.id = push_id
        WHERE key = ? AND operator_id = ? ORDER BY push_id DESC LIMIT ?
        """  # noqa: S608 - a constant
        with self._database.reading() as connection:
            found = connection.execute(sql, (key, self._id(connection), limit)).fetchall()
        with codec.readable(f"the history of {key!r}"):
            return [
                HistoryEntry(status=EvseStatus(status) if status else None, reason=reason, push=_entry(*push))
                for status, reason, *push in found
            ]

    def prune(self, now: float, *, limits: Limits = LIMITS) -> int:
        """Forget what is too old or too much (once a day is enough); returns how many pushes went."""
        with self._database.reading() as connection:
            operator_id = self._id(connection)
            sql = """
            SELECT id, started_at, (SELECT count(*) FROM push_record WHERE push_id = push.id)
            FROM push WHERE operator_id = ? AND finished_at IS NOT NULL ORDER BY id DESC
            """
            kept = [
                Kept(push_id=push_id, started_at=started_at, records=records)
                for push_id, started_at, records in connection.execute(sql, (operator_id,))
            ]
            sql = "SELECT DISTINCT push_id FROM evse WHERE operator_id = ?"
            last_pushes = {push_id for (push_id,) in connection.execute(sql, (operator_id,))}
        forget = expired(kept, last_pushes, now=now, limits=limits)
        for start in range(0, len(forget), _SLICE):
            with self._database.writing() as connection:
                part = [(push_id,) for push_id in forget[start : start + _SLICE]]
                connection.executemany("DELETE FROM push WHERE id = ?", part)
        with self._database.writing() as connection:
            sql = "DELETE FROM command WHERE operator_id = ? AND finished_at < ?"
            connection.execute(sql, (operator_id, now - limits.age))
        return len(forget)


def open_push(push_id: int, action: ActionType, keys: Iterable[str]) -> OpenPush:
    """A push found open; a fullLoad concerns every EVSE and names none."""
    return OpenPush(
        push_id=push_id, action=action, keys=() if action is ActionType.FULL_LOAD else tuple(keys)
    )


def without_outcome(push: OpenPush, *, now: float) -> PushRow:
    """How a push found open after a crash is closed: nobody knows what came of it."""
    return PushRow(push_id=push.push_id, finished_at=now, outcome="interrupted")


def not_open(push_id: int) -> LedgerError:
    """The caller finishes what it never began, or finished already."""
    return LedgerError(f"push {push_id} is not open")


def _entry(push_id: int, cycle_id: str, action: str, *rest: Any) -> PushEntry:
    count, started_at, finished_at, outcome, code, text, process_id, http_status, duration, attempts = rest
    return PushEntry(
        push_id=push_id,
        cycle_id=cycle_id,
        action=ActionType(action),
        count=count,
        started_at=started_at,
        finished_at=finished_at,
        outcome=outcome,
        code=code,
        text=text,
        process_id=process_id,
        http_status=http_status,
        duration=duration,
        attempts=attempts,
    )
