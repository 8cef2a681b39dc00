"""Flat records in CSV: a header line, then one record per row; `,` `;` `|` or tab, as the header has it.

The header may stand below some lines of text, and Excel's `sep=;` above it. The danger: a lost quote swallows the rows
behind it, a shifted row reads a status from the wrong column. So quotes are checked strictly, and a row with more or
fewer columns than the header is not used.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import ID_FIELDS, STATE_FIELDS, Collected, useless
from oicp_adapter.sources.formats.headings import Recognise, renamed
from oicp_adapter.sources.formats.values import is_utf8, readable

DELIMITERS = ",;\t|"
LONGEST_PREAMBLE = 30
"""Lines in which the header is looked for; registers have up to ten lines of text above it."""
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n\Z", re.IGNORECASE)
"""What Excel writes above the header."""


class CsvRows:
    """Reads CSV. `names`: ours → the header's. The columns of the fields `required` (ours) must be there.

    `delimiter`: None: the one that finds most columns. `header_row`: the header's line, from 1; None: the first line
    that can be one.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        *,
        required: Iterable[str],
        delimiter: str | None = None,
        header_row: int | None = None,
        recognise: Recognise | None = None,
    ) -> None:
        self._names = names
        self._required = required
        self._recognise = recognise
        self._delimiter = delimiter
        self._header_row = header_row

    def read(self, data: bytes, into: Collected) -> None:
        """Collect the rows. `data` must end with a newline. Raises SourceError for an unusable header."""
        # Bytes that are not UTF-8 become lone surrogates, which only the row that uses them pays for.
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="")
        before, header, columns, delimiter = self._find_header(text)
        into.columns = None if self._recognise is None else self._recognise(header)
        names = tuple(columns)
        values = itemgetter(*columns.values())  # at least two columns: an id and a state
        for line, row in _rows(text, delimiter, into, before=before):
            if len(row) == len(header):
                into.add(names, values(row), f"line {line}")
            else:
                into.undecodable(f"line {line}", f"{len(row)} columns, the header has {len(header)}")

    def _find_header(self, text: io.TextIOWrapper) -> tuple[int, list[str], dict[str, int], str]:
        """The header's line number, its columns, ours among them, and the delimiter. Raises SourceError."""
        delimiter, likeliest, error_there = self._delimiter, -1, None
        for number in range(1, (self._header_row or LONGEST_PREAMBLE) + 1):
            line = text.readline()
            if not line:
                break
            if number == 1 and (said := SEPARATOR_LINE.match(line)):
                delimiter = self._delimiter or said[1]
                continue
            if self._header_row not in (None, number):
                continue
            header, found = split_header(line, delimiter)
            try:
                return number, header, self._columns(header), found
            except SourceError as error:
                # If no line will do, what is wrong with the one that names most of our columns is the answer.
                named = len(set(header).intersection(self._names.values()))
                if named > likeliest:
                    likeliest, error_there = named, _readable_error(header, error)
        raise error_there or SourceError(
            f"there is no line {self._header_row}" if self._header_row else "there is no header",
            hint="correct source.header_row, or the export that writes the file",
        )

    def _columns(self, header: list[str]) -> dict[str, int]:
        shown = ", ".join(header)
        for ours in self._required:
            if ours in self._names and self._names[ours] not in header:
                raise SourceError(
                    f"no column {self._names[ours]!r} (source.fields.{ours}) in the header: {shown}",
                    hint=f"correct source.fields.{ours}, or the export that writes the file",
                )
        names = self._names if self._recognise is None else renamed(self._names, self._recognise(header))
        columns = {ours: header.index(theirs) for ours, theirs in names.items() if theirs in header}
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


def _readable_error(header: list[str], error: SourceError) -> SourceError:
    if all(map(is_utf8, header)):
        return error
    return SourceError(
        f"the header is not UTF-8 text; {readable(error.message)}",
        hint='save the export as UTF-8, or say what it is, like source.encoding = "cp1252"',
    )


def split_header(line: str, given: str | None) -> tuple[list[str], str]:
    """The column names and the delimiter: the one that is given, or else finds most columns."""
    found: dict[str, list[str]] = {}
    for delimiter in given or DELIMITERS:
        try:
            found[delimiter] = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            found[delimiter] = []
    best = max(found, key=lambda delimiter: len(found[delimiter]))
    return found[best], best


def _rows(
    text: io.TextIOWrapper, delimiter: str, into: Collected, *, before: int
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + before + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            into.undecodable(f"line {line}", error)
        else:
            if row:
                yield line, row
