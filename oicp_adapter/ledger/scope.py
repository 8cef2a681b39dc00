"""One operator at one Hubject inside the ledger file.

The danger: what QA holds taken for what PROD holds. The scope is the base URL and the operator together.
"""

from __future__ import annotations

import sqlite3

from oicp_adapter.ledger.database import Database
from oicp_adapter.ledger.kept import KeptRows
from oicp_adapter.ledger.mark import Mark


class Scope:
    """The part of the file that belongs to one operator. Base of everything that reads or writes there."""

    def __init__(self, database: Database, *, base_url: str, operator: str) -> None:
        self._database = database
        self._name = (base_url.rstrip("/"), operator)
        self._known: int | None = None
        self._kept = KeptRows()
        self._mark = Mark(database.path, operator=operator, base_url=self._name[0])
        with database.reading() as connection:
            found = self._id(connection)
        if not found and not database.read_only:
            with database.writing() as connection:
                connection.execute(
                    "INSERT OR IGNORE INTO operator (base_url, operator) VALUES (?, ?)", self._name
                )

    def _revised(self, connection: sqlite3.Connection) -> int:
        """Count a writing of the operator's rows or state, inside its transaction; returns its number."""
        operator_id = self._id(connection)
        connection.execute("UPDATE operator SET revision = revision + 1 WHERE id = ?", (operator_id,))
        sql = "SELECT revision FROM operator WHERE id = ?"
        return int((connection.execute(sql, (operator_id,)).fetchone() or (-1,))[0])

    def _id(self, connection: sqlite3.Connection) -> int:
        """The operator's number; 0, which no row has, for a reader that came before the first writer."""
        if self._known is None:
            sql = "SELECT id FROM operator WHERE base_url = ? AND operator = ?"
            row = connection.execute(sql, self._name).fetchone()
            self._known = row[0] if row else None
        return self._known or 0
