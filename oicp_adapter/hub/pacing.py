"""Keeps calls below Hubject's limit in every 60 s window, retries and calls before a restart included.

The danger: above the limit Hubject answers 429 to all of an operator's calls; and a window kept by the wall
clock would block for hours after a clock step, so it is kept by the monotonic one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oicp_adapter.ports import Clock

_WINDOW = 60.0
_SHORTEST_SLEEP = 0.001
"""Rounding may leave a wait too small to move the clock."""


class Pacer:
    """A sliding window over the times of the last calls."""

    def __init__(self, calls_per_minute: int, *, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._calls: deque[float] = deque(maxlen=calls_per_minute)
        self._clock = clock
        self._stopping = stopping
        self._held_until = float("-inf")

    def seed(self, times: Iterable[float]) -> None:
        """Take over calls of an earlier process: epoch seconds. Times in the future count as just now."""
        wall, now = self._clock.now(), self._clock.monotonic()
        ages = sorted((max(0.0, wall - time) for time in times), reverse=True)
        self._calls.extend(now - age for age in ages)

    def hold(self, seconds: float) -> None:
        """No call before then: Hubject said so."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def held(self) -> float:
        """Seconds left of a `hold`."""
        return max(0.0, self._held_until - self._clock.monotonic())

    def wait(self) -> bool:
        """Wait for the next free place and take it. False, and nothing taken, when asked to stop."""
        while not self._stopping():
            delay = self._delay()
            if delay <= 0:
                self._calls.append(self._clock.monotonic())
                return True
            self._clock.sleep(max(delay, _SHORTEST_SLEEP))
        return False

    def _delay(self) -> float:
        full = len(self._calls) == self._calls.maxlen
        window = self._calls[0] + _WINDOW - self._clock.monotonic() if full else 0.0
        return max(window, self.held())
