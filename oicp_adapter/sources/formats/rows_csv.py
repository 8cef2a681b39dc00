"""Flat records in CSV: a header line, then one record per row; `,` `;` or tab, as the header has it.

The danger: a lost quote swallows the rows behind it, a shifted row reads a status from the wrong column. So
quotes are checked strictly, and a row with more or fewer columns than the header is not used.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import ID_FIELDS, STATE_FIELDS, Collected, useless
from oicp_adapter.sources.formats.values import is_utf8, readable


class CsvRows:
    """Reads CSV. `names`: ours → the header's. The columns of the fields `required` (ours) must be there."""

    def __init__(self, names: Mapping[str, str], *, required: Iterable[str]) -> None:
        self._names = names
        self._required = required

    def read(self, data: bytes, into: Collected) -> None:
        """Collect the rows. `data` must end with a newline. Raises SourceError for an unusable header."""
        # Bytes that are not UTF-8 become lone surrogates, which only the row that uses them pays for.
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="")
        header, delimiter = _header(text.readline())
        try:
            columns = self._columns(header)
        except SourceError as error:
            if all(map(is_utf8, header)):
                raise
            raise SourceError(
                f"the header is not UTF-8 text; {readable(error.message)}", hint="save the export as UTF-8"
            ) from error
        names = tuple(columns)
        values = itemgetter(*columns.values())  # at least two columns: an id and a state
        for line, row in _rows(text, delimiter, into):
            if len(row) == len(header):
                into.add(names, values(row), f"line {line}")
            else:
                into.undecodable(f"line {line}", f"{len(row)} columns, the header has {len(header)}")

    def _columns(self, header: list[str]) -> dict[str, int]:
        shown = ", ".join(header)
        for ours in self._required:
            if ours in self._names and self._names[ours] not in header:
                raise SourceError(
                    f"no column {self._names[ours]!r} (source.fields.{ours}) in the header: {shown}",
                    hint=f"correct source.fields.{ours}, or the export that writes the file",
                )
        columns = {ours: header.index(theirs) for ours, theirs in self._names.items() if theirs in header}
        for ours, index in columns.items():
            if header.count(header[index]) > 1:
                raise SourceError(
                    f"the column {header[index]!r} ({ours}) occurs twice in the header: {shown}",
                    hint="give the columns of the export different names",
                )
        for group in (ID_FIELDS, STATE_FIELDS):
            if columns.keys().isdisjoint(group):
                raise useless(group, what="no column", found=header)
        return columns


def _header(line: str) -> tuple[list[str], str]:
    """The column names and the delimiter: the one that finds most columns."""
    found: dict[str, list[str]] = {}
    for delimiter in ",;\t":
        try:
            found[delimiter] = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            found[delimiter] = []
    best = max(found, key=lambda delimiter: len(found[delimiter]))
    return found[best], best


def _rows(text: io.TextIOWrapper, delimiter: str, into: Collected) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 2  # the header was line 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            into.undecodable(f"line {line}", error)
        else:
            if row:
                yield line, row
