"""Clocks for tests. No test sleeps: a sleep moves the clock."""

from __future__ import annotations

import time
from collections.abc import Callable


class ManualClock:
    """Stands still but for sleeps and `step`."""

    def __init__(self, now: float = 1_700_000_000.0, *, on_sleep: Callable[[], None] | None = None) -> None:
        self.wall = now
        self.ticks = 1000.0
        self.sleeps: list[float] = []
        self.on_sleep = on_sleep

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.step(seconds)
        if self.on_sleep is not None:
            self.on_sleep()

    def step(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


class HurriedClock:
    """Real time, but a sleep takes none: for tests over real sockets."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return time.time() + self.skipped  # noqa: TID251 - certificates of these tests are dated by it

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.skipped += seconds
