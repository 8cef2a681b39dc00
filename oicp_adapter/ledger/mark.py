"""A file beside the ledger that remembers the last push and how large the fleet was.

The danger: an old copy of the ledger put back, believed, and every change since then never pushed again; or a lost
ledger beside an empty export, and a full load that deletes everything. The mark is not in the ledger, so restoring or
losing one does not restore or lose the other. A missing mark says nothing; of a torn one, or one that an older version
wrote, only what can be read speaks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import msgspec

from oicp_adapter.ledger import faults


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """What is noted about one operator at one Hubject."""

    push: int = 0
    """Number of the last push."""
    peak: dict[str, int] | None = None
    """The largest published sets of the last 90 days, see `OperatorState`; None: not known."""


NOTHING = Noted(peak={})
"""There is no mark."""
UNREADABLE = Noted()


class HighWaterMark(Protocol):
    """Remembers beside the ledger."""

    def read(self) -> Noted:
        """What is noted."""

    def note(self, push_id: int) -> None:
        """Remember a push that is durable in the ledger."""

    def remember(self, peak: dict[str, int]) -> None:
        """Remember how large the fleet was."""


class Mark:
    """The file: one operator, by Hubject."""

    def __init__(self, ledger: Path, *, operator: str, base_url: str) -> None:
        self._ledger = ledger
        self._path = ledger.with_name(f"{ledger.name}.{operator.replace('*', '-')}.mark")
        self._base_url = base_url

    def read(self) -> Noted:
        """What is noted; `NOTHING` without a file, `UNREADABLE` where it cannot be read."""
        try:
            return _noted(self._all().get(self._base_url))
        except FileNotFoundError:
            return NOTHING
        except (OSError, ValueError):
            return UNREADABLE

    def note(self, push_id: int) -> None:
        """Not synced: losing the newest notes of pushes does no harm."""
        self._write(msgspec.structs.replace(self.read(), push=push_id), durable=False)

    def remember(self, peak: dict[str, int]) -> None:
        """Durable: once a day, or when the fleet grows."""
        self._write(msgspec.structs.replace(self.read(), peak=peak), durable=True)

    def _write(self, noted: Noted, *, durable: bool) -> None:
        try:
            before = self._all()
        except (OSError, ValueError):
            before = {}
        text = msgspec.json.encode({**before, self._base_url: noted})
        beside = self._path.with_name(self._path.name + ".new")
        with faults.translated(self._ledger):
            with beside.open("wb") as file:
                file.write(text)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            beside.replace(self._path)  # whole or not at all: a torn one would forget the other Hubject, too

    def _all(self) -> dict[str, int | Noted]:
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int | Noted])


class MemoryMark:
    """The same inside one process; it can be kept while the ledger is lost."""

    def __init__(self, noted: Noted = NOTHING) -> None:
        self._noted = noted

    def read(self) -> Noted:
        """What is noted."""
        return self._noted

    def note(self, push_id: int) -> None:
        """Remember a push."""
        self._noted = msgspec.structs.replace(self._noted, push=push_id)

    def remember(self, peak: dict[str, int]) -> None:
        """Remember how large the fleet was."""
        self._noted = msgspec.structs.replace(self._noted, peak=dict(peak))


def _noted(found: int | Noted | None) -> Noted:
    """An older version noted the number of the push and nothing else."""
    if found is None:
        return NOTHING
    return found if isinstance(found, Noted) else Noted(push=found)
