"""Decodes JSON arrays and lines as a whole where it can, record by record where it must.

The danger: one bad record must cost one record, not the fleet. msgspec decodes a clean file in one typed
call; only when that refuses a value is the array taken apart and each record tried alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected

T = TypeVar("T")

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Everything msgspec raises for bytes it cannot decode."""


class RecordDecoder(Generic[T]):
    """Decodes many records of one type."""

    def __init__(self, record_type: type[T]) -> None:
        self._one = msgspec.json.Decoder(record_type)
        self._array = msgspec.json.Decoder(list[record_type])  # type: ignore[valid-type]

    def one(self, data: bytes | msgspec.Raw, into: Collected, *, origin: str) -> T | None:
        """One record, or None after noting in `into` that it cannot be decoded."""
        try:
            return self._one.decode(data)
        except UNDECODABLE as error:
            into.undecodable(origin, error)
            return None

    def array(self, data: bytes | msgspec.Raw, into: Collected, *, what: str) -> Iterator[tuple[int, T]]:
        """The records of a JSON array, numbered from 1. Raises SourceError if it is not one whole array."""
        try:
            yield from enumerate(self._array.decode(data), 1)
            return
        except UNDECODABLE:
            pass
        for number, raw in enumerate(decode_json(data, list[msgspec.Raw]), 1):
            record = self.one(raw, into, origin=f"{what} {number}")
            if record is not None:
                yield number, record

    def lines(self, data: bytes, into: Collected) -> Iterator[tuple[int, T]]:
        """The records of NDJSON with their line numbers; blank lines are skipped."""
        try:
            records = self._one.decode_lines(data)
            # Blank lines, or several records in a line, would shift the numbers: then line by line.
            regular = len(records) == data.count(b"\n")
        except UNDECODABLE:
            regular = False
        if regular:
            yield from enumerate(records, 1)
            return
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                record = self.one(line, into, origin=f"line {number}")
                if record is not None:
                    yield number, record


def decode_json(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode a whole document. Raises SourceError if it is not JSON or not of this kind."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNDECODABLE as error:
        raise SourceError(
            f"not the JSON expected: {error}",
            hint="the file is cut, damaged or of another format; let its writer write beside it and rename",
        ) from error
