"""The real clock, in one place: everything else gets time as an argument."""

from __future__ import annotations

import threading
import time


class SystemClock:
    """Real time. Sleeping ends early when `stop` is set: a daemon asked to end does not finish its naps."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop if stop is not None else threading.Event()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, or return early when asked to stop."""
        self._stop.wait(max(0.0, seconds))
