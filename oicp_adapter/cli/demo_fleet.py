"""The demo's fleet: 200 EVSEs of a made-up operator whose chargers live through charging sessions.

Also the text of config/fleet.example.csv (a test keeps them equal).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

OPERATOR_ID = "DE*DMO"
HEADER = "evse_id,status,vendor,model"
_MODELS = (("Voltwerk", "W22"), ("Voltwerk", "W11"), ("Nordstrom", "HPC-150"))

# What an OCPP 1.6 connector does next, and how likely.
_NEXT = {
    "Available": (("Preparing", 0.9), ("Unavailable", 0.05), ("Faulted", 0.05)),
    "Preparing": (("Charging", 0.95), ("Available", 0.05)),
    "Charging": (("SuspendedEV", 0.4), ("Finishing", 0.6)),
    "SuspendedEV": (("Finishing", 1.0),),
    "Finishing": (("Available", 1.0),),
    "Unavailable": (("Available", 1.0),),
    "Faulted": (("Available", 1.0),),
}
OICP = {
    "Available": "Available",
    "Preparing": "Occupied",
    "Charging": "Occupied",
    "SuspendedEV": "Occupied",
    "Finishing": "Occupied",
    "Unavailable": "OutOfService",
    "Faulted": "OutOfService",
}
"""What drivers should see, written down here a second time so that the demo checks the adapter's mapping."""


class DemoFleet:
    """A fleet that changes when told to; the same seed gives the same story."""

    def __init__(self, *, stations: int = 100, seed: int = 7) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a story, not a secret
        self.states: dict[str, str] = {}
        self.hidden: set[str] = set()
        """EVSEs the export has lost."""
        for station in range(1, stations + 1):
            for evse in (1, 2):
                state = self._random.choices(("Available", "Charging", "Faulted"), (75, 22, 3))[0]
                self.states[f"{OPERATOR_ID}*E{station:04d}*{evse}"] = state

    def live(self, changes: int) -> list[tuple[str, str, str]]:
        """Let so many EVSEs go on with their lives; (EvseID, before, after) each."""
        told = []
        seen = [key for key in self.states if key not in self.hidden]
        busy = [key for key in seen if self.states[key] != "Available"]
        free = [key for key in seen if self.states[key] == "Available"]
        crowded = len(busy) > len(seen) // 3  # then nobody else arrives for a while
        going_on = changes if crowded else min(changes - 1, len(busy) // 10)
        for evse_id in self._random.sample(busy, going_on) + self._random.sample(free, changes - going_on):
            before = self.states[evse_id]
            names, weights = zip(*_NEXT[before], strict=True)
            self.states[evse_id] = self._random.choices(names, weights)[0]
            told.append((evse_id, before, self.states[evse_id]))
        return told

    def text(self) -> str:
        """The export as CSV."""
        lines = [HEADER]
        for index, (evse_id, state) in enumerate(self.states.items()):
            if evse_id not in self.hidden:
                vendor, model = _MODELS[index // 2 % len(_MODELS)]
                lines.append(f"{evse_id},{state},{vendor},{model}")
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Replace the export as a backend should: write beside it, then rename."""
        beside = path.with_suffix(".new")
        beside.write_text(self.text(), encoding="utf-8")
        os.replace(beside, path)

    def expected(self) -> dict[str, str]:
        """What drivers should see."""
        return {evse_id: OICP[state] for evse_id, state in self.states.items()}
