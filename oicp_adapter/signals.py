"""Signals before the daemon can act on them: noted from the process's first moment, acted on when it runs.

The danger: a stop or a reload in the first second meets the system's own answer to a signal, which is to kill the
process; a supervisor that restarts only after failures then leaves it dead. So this is imported before everything else,
and imports next to nothing itself.
"""

from __future__ import annotations

import signal
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)
HANDLED = (*ENDING, signal.SIGUSR1, signal.SIGHUP)

_noted: list[int] = []


def note_from_now_on() -> None:
    """Note the daemon's signals until it has handlers of its own. A second one to end raises KeyboardInterrupt: then
    nobody wants to wait any longer."""
    for number in HANDLED:
        signal.signal(number, _note)


def _note(number: int, _frame: FrameType | None) -> None:
    if number in ENDING and asked_to_end():
        raise KeyboardInterrupt
    _noted.append(number)


def asked_to_end() -> bool:
    """Whether the process was asked to end before it could."""
    return any(number in ENDING for number in _noted)


def taken() -> list[int]:
    """What was noted, in order; from now on it is the caller's."""
    found = list(_noted)
    _noted.clear()
    return found
