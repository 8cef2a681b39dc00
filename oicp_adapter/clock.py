"""The real clock, in one place: everything else gets time as an argument."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


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


def rfc3339(seconds: float | None) -> str | None:
    """A time for people and machines: UTC, whole seconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
