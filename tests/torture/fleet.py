"""A backend that never rests: a CSV export replaced every second, with a few changed, gone and returned EVSEs.

The danger: letting go of so many that the withdrawal guard steps in, which is another test's subject.
"""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

from tests.acceptance.fleet import PUBLISHED, lines_of, published, replace

MOST_AWAY = 0.03
"""Share of the fleet that is gone at the same time; the guard allows 10 %."""
RECENT = 30
"""Changes that may be taken back: those of the last second or two."""
STATUSES = sorted(PUBLISHED)


class RestlessFleet:
    """So many EVSEs, EvseID → OCPI status, and those that are gone for the moment."""

    def __init__(self, path: Path, *, size: int, rng: random.Random) -> None:
        self._path = path
        self._rng = rng
        self._ids = [f"DE*SLB*E{number:06d}" for number in range(1, size + 1)]
        self._states = {evse_id: rng.choice(STATUSES) for evse_id in self._ids}
        self._away: dict[str, str] = {}
        self._recent: deque[tuple[str, str]] = deque(maxlen=RECENT)
        self.changes = 0
        self.write()

    @property
    def expected(self) -> dict[str, str]:
        """What Hubject should hold."""
        return published(self._states)

    def change(self, count: int) -> None:
        """So many changes, then the export: most are other statuses or go back to the last, some leave or return."""
        for _ in range(count):
            chance = self._rng.random()
            if chance < 0.6:
                self._another_status(self._rng.choice(self._ids))
            elif chance < 0.9:
                self._back()
            elif len(self._away) < MOST_AWAY * len(self._ids) and self._rng.random() < 0.5:
                self._leave(self._rng.choice(self._ids))
            elif self._away:
                evse_id = self._rng.choice(sorted(self._away))
                self._states[evse_id] = self._away.pop(evse_id)
        self.changes += count
        self.write()

    def write(self) -> None:
        """Replace the export."""
        replace(self._path, "".join(lines_of(self._states, suffix=self._path.suffix)))

    def _another_status(self, evse_id: str) -> None:
        if evse_id in self._states:
            self._recent.append((evse_id, self._states[evse_id]))
            self._states[evse_id] = self._rng.choice(
                [one for one in STATUSES if PUBLISHED[one] != PUBLISHED[self._states[evse_id]]]
            )

    def _back(self) -> None:
        """What was pushed meanwhile, and got no answer, must not be taken for undone."""
        if self._recent:
            evse_id, status = self._rng.choice(self._recent)
            if evse_id in self._states:
                self._states[evse_id] = status

    def _leave(self, evse_id: str) -> None:
        if evse_id in self._states:
            self._away[evse_id] = self._states.pop(evse_id)
