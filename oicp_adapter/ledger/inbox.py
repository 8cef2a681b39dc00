"""Commands handed from one process to another through the ledger: `resync` asks, the daemon answers.

The danger: a command carried out twice, or one that its sender waits for while nobody works on it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from oicp_adapter.errors import LedgerError
from oicp_adapter.ledger import codec
from oicp_adapter.ledger.scope import Scope
from oicp_adapter.ports import Command, CommandState

ABANDONED = "the process that worked on it died"
_arguments = msgspec.json.Decoder(dict[str, int | str | None])
_COLUMNS = """
SELECT id, verb, arguments, state, requested_at, started_at, finished_at, exit_code, text FROM command
"""


class SqliteInbox(Scope):
    """`oicp_adapter.ports.Inbox` for processes that share the file."""

    def put(self, verb: str, arguments: dict[str, int | str | None], *, now: float) -> int:
        """Ask; returns the command's number."""
        sql = "INSERT INTO command (operator_id, verb, arguments, state, requested_at) VALUES (?, ?, ?, ?, ?)"
        with self._database.writing() as connection:
            values = (self._id(connection), verb, codec.to_json(arguments), CommandState.PENDING.value, now)
            number = connection.execute(sql, values).lastrowid
        assert number is not None
        return number

    def take(self, *, now: float) -> Command | None:
        """The oldest pending command, now running. Nobody else gets the same one."""
        with self._database.reading() as connection:
            if self._next(connection) is None:  # the usual case costs no write
                return None
        with self._database.writing() as connection:
            number = self._next(connection)
            if number is None:
                return None
            sql = "UPDATE command SET state = 'running', started_at = ? WHERE id = ?"
            connection.execute(sql, (now, number))
            return _command(connection.execute(_COLUMNS + "WHERE id = ?", (number,)).fetchone())

    def _next(self, connection: sqlite3.Connection) -> int | None:
        sql = "SELECT min(id) FROM command WHERE operator_id = ? AND state = 'pending'"
        number: int | None = connection.execute(sql, (self._id(connection),)).fetchone()[0]
        return number

    def report(self, command_id: int, text: str) -> None:
        """Progress of a running command; ignored when it is not running any more."""
        sql = "UPDATE command SET text = ? WHERE operator_id = ? AND id = ? AND state = 'running'"
        with self._database.writing() as connection:
            connection.execute(sql, (text, self._id(connection), command_id))

    def end(self, command_id: int, state: CommandState, *, exit_code: int, text: str, now: float) -> None:
        """A running command ended. Raises LedgerError if it is not running."""
        sql = """
        UPDATE command SET state = ?, exit_code = ?, text = ?, finished_at = ?
        WHERE operator_id = ? AND id = ? AND state = 'running'
        """
        with self._database.writing() as connection:
            values = (state.value, exit_code, text, now, self._id(connection), command_id)
            if connection.execute(sql, values).rowcount != 1:
                raise not_running(command_id)

    def command(self, command_id: int) -> Command:
        """Look it up. Raises LedgerError if there is none of this number."""
        with self._database.reading() as connection:
            values = (self._id(connection), command_id)
            row = connection.execute(_COLUMNS + "WHERE operator_id = ? AND id = ?", values).fetchone()
        if row is None:
            raise unknown(command_id)
        return _command(row)

    def withdraw(self, command_id: int, *, now: float) -> bool:
        """Take it back if nobody has taken it up; True if so."""
        sql = """
        UPDATE command SET state = 'cancelled', finished_at = ?
        WHERE operator_id = ? AND id = ? AND state = 'pending'
        """
        with self._database.writing() as connection:
            return connection.execute(sql, (now, self._id(connection), command_id)).rowcount == 1

    def abandon(self, *, now: float) -> int:
        """At a start: commands left running by a dead process are failed; returns how many."""
        sql = """
        UPDATE command SET state = 'failed', exit_code = 1, text = ?, finished_at = ?
        WHERE operator_id = ? AND state = 'running'
        """
        with self._database.writing() as connection:
            return connection.execute(sql, (ABANDONED, now, self._id(connection))).rowcount


def unknown(command_id: int) -> LedgerError:
    """There is no such command."""
    return LedgerError(f"there is no command {command_id} for this operator")


def not_running(command_id: int) -> LedgerError:
    """It cannot end: it never started, or has ended."""
    return LedgerError(f"command {command_id} is not running")


def _command(row: tuple[Any, ...]) -> Command:
    number, verb, arguments, state, requested_at, started_at, finished_at, exit_code, text = row
    with codec.readable(f"command {number}"):
        return Command(
            id=number,
            verb=verb,
            arguments=_arguments.decode(arguments),
            state=CommandState(state),
            requested_at=requested_at,
            started_at=started_at,
            finished_at=finished_at,
            exit_code=exit_code,
            text=text,
        )
