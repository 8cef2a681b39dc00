"""How long a test waits: until what it means is so. It gives up at the pace of the machine, not of the clock.

The danger: a patience in seconds is a bet on an idle machine. Where ten programs share two cores, Python alone needs
twenty seconds to start, and a test that gives up then accuses an innocent. So patience is counted twice: in seconds,
and after these in starts of Python made one after the other, each as slow as everything else is just now.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import pytest

from tests import leash

PATIENCE = 20.0
"""Seconds until a test gives up on an idle machine: far more than anything takes there."""
AT_MOST = 600.0
"""Seconds after which even a machine that stands still is no excuse."""
GLANCE = 0.02
"""Seconds between looks."""
STARTS_PER_SECOND = 6.0
"""Starts of Python to wait for beyond each second of patience: half of what an idle machine makes of it."""
_START = (sys.executable, "-I", "-c", "import asyncio, sqlite3, ssl")
"""A piece of work as the tests themselves wait for: files to read, code to load."""

Found = TypeVar("Found")
Done = TypeVar("Done")


class Patience:
    """Runs out after so many seconds and the starts of Python that belong to them. A context, for it may start some."""

    def __init__(self, seconds: float, *, at_most: float = AT_MOST) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + max(at_most, seconds)
        self._start: subprocess.Popen[bytes] | None = None
        self.renew()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._start is not None:
            leash.end(self._start)

    def renew(self) -> None:
        """Something has moved: all of it again, but for what there is at most."""
        self._until = time.monotonic() + self._seconds
        self._starts = self._seconds * STARTS_PER_SECOND

    @property
    def over(self) -> bool:
        """Whether it has run out. To be asked again and again: this is what counts the starts."""
        now = time.monotonic()
        if now < self._until:
            return False
        if now >= self._ends_at or self._starts <= 0:
            return True
        if self._start is None:
            self._start = leash.begin(_START, stdin=subprocess.DEVNULL)
        elif self._start.poll() is not None:
            self._start = None
            self._starts -= 1
        return False


def awaited(
    look: Callable[[], Found],
    *,
    within: float = PATIENCE,
    moving: Callable[[], object] | None = None,
    at_most: float = AT_MOST,
) -> Found:
    """Look until there is something to see or patience is over; what was seen last.

    `moving`: what changes while there is progress. Each change renews the patience, but never beyond `at_most` seconds.
    """
    with Patience(within, at_most=at_most) as patience:
        before = moving() if moving else None
        while not (found := look()):
            if patience.over:
                return look()
            if moving and (now := moving()) != before:
                before = now
                patience.renew()
            time.sleep(GLANCE)  # noqa: TID251 - other processes and threads need real time
        return found


def wait_until(
    look: Callable[[], Found | None], what: str | Callable[[], str], *, within: float = PATIENCE
) -> Found:
    """Look until there is something to see, and return it; fail with `what` if patience is over before."""
    if not (found := awaited(look, within=within)):
        told = what if isinstance(what, str) else what()
        pytest.fail(f"not within {within:g} s and {within * STARTS_PER_SECOND:.0f} starts of Python: {told}")
    return found


def set_in_the_end(event: threading.Event, *, within: float = PATIENCE) -> None:
    """Set it when patience is over, so that who waits for it fails instead of hanging. Set before, it is left alone."""

    def mind() -> None:
        with Patience(within) as patience:
            while not event.wait(GLANCE):
                if patience.over:
                    event.set()

    threading.Thread(target=mind, daemon=True).start()


def done_within(seconds: float, act: Callable[[], Done], what: str) -> Done:
    """Do it in a thread of its own, wait for its end no longer than that, and return its outcome."""
    outcomes: list[Done] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcomes.append(act())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: not thread.is_alive(), what, within=seconds)
    if errors:
        raise errors[0]
    return outcomes[0]
