"""A file beside the ledger that remembers the last push, so that a ledger gone back in time is noticed.

The danger: an old copy of the ledger put back, believed, and every change since then never pushed again. The mark
is not in the ledger, so restoring one does not restore the other. It is no authority: a missing or torn mark says
nothing, and only a mark that is ahead of the ledger speaks.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from oicp_adapter.ledger import faults


class Mark:
    """The number of the last push, per Hubject, of one operator."""

    def __init__(self, ledger: Path, *, operator: str, base_url: str) -> None:
        self._ledger = ledger
        self._path = ledger.with_name(f"{ledger.name}.{operator.replace('*', '-')}.mark")
        self._base_url = base_url

    def value(self) -> int:
        """The last push noted; 0 if nothing is known."""
        return self._all().get(self._base_url, 0)

    def note(self, push_id: int) -> None:
        """Remember a push that is durable in the ledger. Not synced: losing the newest notes does no harm."""
        text = msgspec.json.encode({**self._all(), self._base_url: push_id})
        with faults.translated(self._ledger):
            self._path.write_bytes(text)

    def _all(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (OSError, ValueError):
            return {}
