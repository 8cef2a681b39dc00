"""The rows as of their last reading or writing, so that a cycle does not read a whole fleet again that did not change.

The danger: rows that are not those of the file. So they count only while the file's own number of writings is the one
they were kept under, which every writing of the operator's rows moves within its transaction, whoever does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from oicp_adapter.core.records import EvseRow


class KeptRows:
    """Of one operator. Not for two threads at once."""

    def __init__(self) -> None:
        self._rows: dict[str, EvseRow] | None = None
        self._revision = -1

    def at(self, revision: int, read: Callable[[], dict[str, EvseRow]]) -> dict[str, EvseRow]:
        """The rows at this revision: those kept, or what `read` gives. The caller's to change."""
        if self._rows is None or self._revision != revision:
            self._rows, self._revision = read(), revision
        return dict(self._rows)

    def written(self, revision: int, rows: Iterable[EvseRow], gone: Iterable[str]) -> None:
        """A transaction that made this revision is durable, with these rows and without those keys."""
        if self._rows is None or revision != self._revision + 1:
            self._rows = None  # somebody else has written in between
            return
        self._rows.update((row.key, row) for row in rows)
        for key in gone:
            self._rows.pop(key, None)
        self._revision = revision

    def drop(self) -> None:
        """Nothing is certain: read anew."""
        self._rows = None
