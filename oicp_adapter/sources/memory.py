"""A source in memory, for tests of whatever needs one; it passes the contract suite of the real ones."""

from __future__ import annotations

from collections.abc import Iterable

from oicp_adapter.core.model import SourceRead, SourceRecord
from oicp_adapter.errors import SourceError


class MemorySource:
    """Answers what it was given last. `failure` makes every read fail, `complete` casts doubt on it."""

    def __init__(self, records: Iterable[SourceRecord] = (), *, as_of: float | None = None) -> None:
        self.records = list(records)
        self.complete = True
        self.problems: tuple[str, ...] = ()
        """What was odd."""
        self.failure: SourceError | None = None
        self.as_of = as_of
        self.writing = ""
        """Which writing the records are; "": every read is fresh."""

    def read(self, now: float) -> SourceRead:
        """The records, or `failure`."""
        if self.failure:
            raise self.failure
        return SourceRead(
            records=list(self.records),
            complete=self.complete,
            problems=self.problems if self.complete else ("declared incomplete", *self.problems),
            as_of=self.as_of,
            writing=self.writing,
        )
