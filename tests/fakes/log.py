"""A log that keeps its lines, so that a test can ask what the operator was told."""

from __future__ import annotations

import logging
from typing import Any, cast

import structlog

from oicp_adapter.telemetry.log import EventLog


class Lines:
    """Log lines as (event name, fields), in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []
        self.alarms: list[str] = []
        """Names of warnings and errors, in order."""

    def log(self, level: int, event: str, **fields: Any) -> None:
        self.all.append((event, fields))
        if level >= logging.WARNING:
            self.alarms.append(event)

    def of(self, name: str) -> list[dict[str, Any]]:
        """The fields of every line of one event."""
        return [fields for event, fields in self.all if event == name]

    def clear(self) -> None:
        self.all.clear()
        self.alarms.clear()


def collecting(lines: Lines) -> EventLog:
    """An EventLog that writes to `lines`."""
    return EventLog(cast("structlog.typing.FilteringBoundLogger", lines), operator="test")
