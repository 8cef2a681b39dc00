"""Source records that cannot be published, with the time since when: the second half of `quarantine list`.

The danger: a list rewritten every few seconds although nothing changed but its order, or since-times that start anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from oicp_adapter.core.model import Rejected
from oicp_adapter.ledger.scope import Scope

Since = tuple[Rejected, float]


class SqliteRejections(Scope):
    """The rejected records of one operator."""

    def save_rejected(self, rejected: Iterable[Rejected], *, now: float) -> None:
        """Replace the list; since-times of known ones are kept. The same records in another order cost no write."""
        before = self.rejected()
        after = with_since(rejected, before, now=now)
        if alike(after, before):
            return
        with self._database.writing() as connection:
            operator_id = self._id(connection)
            connection.execute("DELETE FROM rejected WHERE operator_id = ?", (operator_id,))
            connection.executemany(
                "INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (operator_id, position, item.evse_id, item.reason, item.origin, since)
                    for position, (item, since) in enumerate(after)
                ),
            )

    def rejected(self) -> list[Since]:
        """What cannot be published, in the source's order, and since when."""
        sql = "SELECT evse_id, reason, origin, since FROM rejected WHERE operator_id = ? ORDER BY position"
        with self._database.reading() as connection:
            found = connection.execute(sql, (self._id(connection),)).fetchall()
        return [
            (Rejected(evse_id=evse_id, reason=reason, origin=origin), since)
            for evse_id, reason, origin, since in found
        ]


def alike(after: Iterable[Since], before: Iterable[Since]) -> bool:
    """The same records, wherever they stand in the source."""
    return Counter(item.identity for item, _ in after) == Counter(item.identity for item, _ in before)


def with_since(rejected: Iterable[Rejected], before: Iterable[Since], *, now: float) -> list[Since]:
    """The new list with the since-times of the old one. A record that moved to another line is the same one."""
    known: dict[tuple[str, str], list[float]] = {}
    for item, since in before:
        known.setdefault(item.identity, []).append(since)
    return [(item, known[item.identity].pop(0) if known.get(item.identity) else now) for item in rejected]
