"""The program on a clock that a test drives: `python -m tests.acceptance.stage FILE … oicp_adapter VERB …`.

An outage of ten minutes then takes a second, with the settings as they are shipped. FILE has two numbers: the seconds
by which the wall clock and the monotonic clock are ahead of the real ones. What the wall clock alone has is a clock
step.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import apscheduler.schedulers.base
import structlog

from oicp_adapter.clock import SystemClock


class Stage:
    """The clock of every process of a test."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.wall, self.ticks = 0.0, 0.0
        self._write()

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.wall += seconds
        self.ticks += seconds
        self._write()

    def steps(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.wall += seconds
        self._write()

    def _write(self) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{self.wall} {self.ticks}")
        os.replace(beside, self.file)


def now(file: Path) -> float:
    """The wall clock on this stage."""
    return time.time() + float(file.read_text().split()[0])  # noqa: TID251 - the real clock is what it moves


def monotonic(file: Path) -> float:
    """The monotonic clock on this stage."""
    return time.monotonic() + float(file.read_text().split()[1])


def main(file: Path) -> None:
    """Be the program, on this stage: its clock, its scheduler's and its log's are this one."""

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.fromtimestamp(now(file), tz)

    def stamped(*_args: object, **_kwargs: object) -> structlog.typing.Processor:
        def stamp(
            _logger: object, _name: str, line: structlog.typing.EventDict
        ) -> structlog.typing.EventDict:
            return {**line, "timestamp": datetime.fromtimestamp(now(file), UTC).isoformat()}

        return stamp

    SystemClock.now = lambda self: now(file)  # type: ignore[method-assign]
    SystemClock.monotonic = lambda self: monotonic(file)  # type: ignore[method-assign]
    apscheduler.schedulers.base.datetime = Moved
    structlog.processors.TimeStamper = stamped  # type: ignore[misc, assignment]
    sys.argv = sys.argv[sys.argv.index("oicp_adapter") :]
    runpy.run_module("oicp_adapter", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
