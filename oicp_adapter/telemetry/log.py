"""Log lines: JSON on stdout for machines, readable text on a terminal; only events of the catalogue.

The danger: a secret in a line. Nothing here ever logs settings, headers or request bodies.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol, TextIO

import structlog

from oicp_adapter.telemetry.events import Event

Field = str | int | float | bool | None | Sequence[str] | Mapping[str, int]


_CURRENT: ContextVar[Mapping[str, Field]] = ContextVar(
    "fields of the push in flight", default=MappingProxyType({})
)


class Logger(Protocol):
    """Where lines go."""

    def log(self, level: int, event: str, **fields: object) -> object:
        """Write one line."""


class EventLog:
    """Emits catalogued events with bound fields (operator, cycle_id, push_id)."""

    def __init__(self, logger: Logger, **bound: Field) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **fields: Field) -> EventLog:
        """The same log with more bound fields."""
        return EventLog(self._logger, **{**self._bound, **fields})

    @contextmanager
    def current(self) -> Iterator[None]:
        """Meanwhile, lines that know less (a retry deep in the client) carry this log's fields, too."""
        token = _CURRENT.set(self._bound)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def emit(self, event: Event, **fields: Field) -> None:
        """Write one line. Fields that are None are left out."""
        self._write(event, fields)

    def crash(self, event: Event, error: BaseException, **fields: Field) -> None:
        """Write one line with the traceback of an error nobody foresaw."""
        self._write(event, fields, exc_info=error)

    def _write(self, event: Event, fields: Mapping[str, Field], **extra: object) -> None:
        known = {**_CURRENT.get(), **self._bound, **fields}
        merged = {name: value for name, value in known.items() if value is not None}
        # A full disk or a reader that went away costs lines, never pushes.
        with suppress(OSError):
            self._logger.log(event.level, event.name, **merged, **extra)


def _in_order(_logger: object, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """When, how bad, what; then the rest: a person reads JSON lines too."""
    first = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **line}


def configure(
    *, as_json: bool | None = None, level: int = logging.INFO, stream: TextIO | None = None
) -> EventLog:
    """Set up rendering once and return the root log. `as_json` None: JSON unless stdout is a terminal."""
    out = stream if stream is not None else sys.stdout
    json_lines = not out.isatty() if as_json is None else as_json
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json_lines:
        processors += [_in_order]
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        colours = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        processors += [structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=22, sort_keys=False)]
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return EventLog(logger)
