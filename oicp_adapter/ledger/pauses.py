"""Pauses and the audit of what people did: in a table of their own, because the worker rewrites its state.

The danger: a pause that is forgotten keeps Hubject's picture still for weeks. So it says until when and why, it
ends by itself, and `status` shows it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from oicp_adapter.ledger.scope import Scope
from oicp_adapter.ports import AuditEntry, Pause

AUDIT_KEPT = 1000
"""Entries per operator."""


class SqlitePauses(Scope):
    """`oicp_adapter.ports.Pauses` in the ledger file."""

    def pause(self, pause: Pause) -> None:
        """Stop pushes; replaces an earlier pause."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pause VALUES (?, ?, ?, ?, ?)",
                (self._id(connection), pause.since, pause.until, pause.reason, pause.by),
            )
        self.note(paused_note(pause))

    def resume(self, *, now: float, by: str) -> bool:
        """Let pushes flow again; False if nothing was paused."""
        with self._database.writing() as connection:
            found = connection.execute(
                "DELETE FROM pause WHERE operator_id = ?", (self._id(connection),)
            ).rowcount
        if found:
            self.note(AuditEntry(at=now, by=by, what="resumed"))
        return bool(found)

    def paused(self, *, now: float) -> Pause | None:
        """The pause in force now; None if there is none or it has ended by itself."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT since, until, reason, by FROM pause WHERE operator_id = ?", (self._id(connection),)
            ).fetchone()
        if row is None or (row[1] is not None and row[1] <= now):
            return None
        return Pause(since=row[0], until=row[1], reason=row[2], by=row[3])

    def note(self, entry: AuditEntry) -> None:
        """Remember what a person did."""
        with self._database.writing() as connection:
            operator_id = self._id(connection)
            connection.execute(
                "INSERT INTO audit (operator_id, at, by, what) VALUES (?, ?, ?, ?)",
                (operator_id, entry.at, entry.by, entry.what),
            )
            connection.execute(
                "DELETE FROM audit WHERE operator_id = ? AND id NOT IN "
                "(SELECT id FROM audit WHERE operator_id = ? ORDER BY id DESC LIMIT ?)",
                (operator_id, operator_id, AUDIT_KEPT),
            )

    def audit(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT at, by, what FROM audit WHERE operator_id = ? ORDER BY id DESC LIMIT ?",
                (self._id(connection), limit),
            ).fetchall()
        return [AuditEntry(at=row[0], by=row[1], what=row[2]) for row in rows]


def paused_note(pause: Pause) -> AuditEntry:
    """The audit entry of a pause."""
    until = "until somebody resumes"
    if pause.until is not None:
        until = "until " + datetime.fromtimestamp(pause.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return AuditEntry(at=pause.since, by=pause.by, what=f"paused {until}: {pause.reason}")
