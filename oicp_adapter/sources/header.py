"""What the columns of an export are called, before anybody has said how to read it: for the first configuration.

All of it is a guess that a person confirms. Nothing is read by it.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from oicp_adapter.core.columns import INVERTED
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.model import Columns
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.formats.collected import ID_FIELDS, STATE_FIELDS, doubt
from oicp_adapter.sources.formats.headings import recognised
from oicp_adapter.sources.formats.json_records import decode_json
from oicp_adapter.sources.formats.nested import UP, Nested, likely
from oicp_adapter.sources.formats.rows_csv import LONGEST_PREAMBLE, SEPARATOR_LINE, split_header
from oicp_adapter.sources.formats.rows_json import ARRAYS

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOKED_AT = 100
"""Records; in a fleet that names a column only where there is something to say, most are seen by then."""
_DEEPEST = 3
_LOCATIONS = re.compile(r"\]\.evses\[\]")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file."""

    names: tuple[str, ...] = ()
    """Its columns, or the members of its first records: dotted, with ^ for those of what a record lies in."""
    format: FileFormat
    """What it looks like; as given, if that may be right."""
    records: str = ""
    """Where the records are (JMESPath), if not where they are looked for."""
    encoding: str = "utf-8"
    headings: Mapping[str, str] = {}
    wordless: tuple[str, ...] = ()
    """Our columns that are read only if they are named, because the vocabulary has no words for them."""

    def columns(self, fields: Mapping[str, str]) -> Columns:
        """What is read of it with these names (ours → theirs)."""
        bare = {ours: theirs.removeprefix(INVERTED) for ours, theirs in fields.items()}
        return recognised(self.names, bare, self.headings)

    def said(self, fields: Mapping[str, str]) -> list[str]:
        """The same in words: what is read as what, what is not, and what nobody but a person can tell."""
        columns = self.columns(fields)
        sentences = [f"columns {one}" for one in columns.said(set(self.wordless) - fields.keys())]
        return sentences + [doubt(ours, fits) for ours, fits in columns.doubtful]


def header_of(options: FileOptions, now: float, *, wordless: Iterable[str] = ()) -> Header:
    """Look into a file. Raises SourceError or ConfigurationError if it cannot be read, or is nothing we know."""
    source = FileSource(options)
    data = source.unpacked(now)
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8" if _is_utf8(data) else "cp1252"
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    seen = Header(
        format=options.format,
        encoding=encoding,
        records=options.records or "",
        headings=options.headings,
        wordless=tuple(wordless),
    )
    if source.format is FileFormat.CSV:
        return msgspec.structs.replace(seen, names=tuple(_csv(text, seen)))
    if source.format is FileFormat.NDJSON:
        whole = text.split("\n")[:-1]  # the last one may be cut
        lines = islice((line for line in whole if line.strip()), _LOOKED_AT)
        return _json([decode_json(line.encode(), Any) for line in lines], seen, lines=True)
    return _json(decode_json(text.encode(), Any), seen, lines=False)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _useful(names: Iterable[str], seen: Header) -> bool:
    """An EVSE is named, and a state, in words we know."""
    known = {ours for _, ours in recognised(names, {}, seen.headings).read}
    return not known.isdisjoint(ID_FIELDS) and not known.isdisjoint(STATE_FIELDS)


def _csv(text: str, seen: Header) -> list[str]:
    """The header: the first line that can be one, else the widest of those with as wide a row below."""
    lines = list(islice(text.splitlines(keepends=True), LONGEST_PREAMBLE + 1))
    said = SEPARATOR_LINE.match(lines[0]) if lines else None
    lines = lines[1:] if said else lines
    likeliest: tuple[bool, list[str]] = (False, [])
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        names, delimiter = split_header(line, said[1] if said else None)
        if _useful(names, seen):
            return names
        try:
            paired = len(next(csv.reader([below], delimiter=delimiter), [])) == len(names)
        except csv.Error:
            paired = False
        likeliest = max(likeliest, (paired, names), key=lambda one: (one[0], len(one[1])))
    return likeliest[1]


def _json(document: Any, seen: Header, *, lines: bool) -> Header:
    inner = likely(document)
    path = f"[].{inner}" if inner and isinstance(document, list) else inner
    if seen.format is FileFormat.AUTO and not seen.records and _LOCATIONS.search(path):
        return msgspec.structs.replace(seen, format=FileFormat.OCPI_LOCATIONS)
    flat = [] if seen.records else _records(document)
    names = tuple(dict.fromkeys(name for record in flat for name in _members(record)))
    if seen.records:
        path = f"[].{seen.records}" if lines else seen.records
    elif not path or _useful(names, seen) or (names and path.count("[]") == 1):
        return msgspec.structs.replace(seen, names=names)
    deeper = dict.fromkeys(
        f"{UP * up}{'.' if up else ''}{name}"
        for chain, _ in Nested(path).find(document)[:_LOOKED_AT]
        for up, one in enumerate(reversed(chain[1:]))
        if isinstance(one, dict)
        for name in _members(one)
    )
    return msgspec.structs.replace(
        seen, names=tuple(deeper), records=path.removeprefix("[].") if lines else path
    )


def _records(document: Any) -> list[dict[str, Any]]:
    """The first records where they are looked for if nobody says where they are."""
    if isinstance(document, dict):
        arrays = [document[name] for name in ARRAYS if isinstance(document.get(name), list)]
        document = arrays[0] if len(arrays) == 1 else []
    found = document[:_LOOKED_AT] if isinstance(document, list) else []
    return [record for record in found if isinstance(record, dict)]


def _members(record: Mapping[str, Any], at: str = "", depth: int = 1) -> Iterator[str]:
    """The members that are values, those of objects in it under their dotted names."""
    for name, value in record.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _members(value, f"{at}{name}.", depth + 1)
        elif not isinstance(value, (dict, list)):
            yield f"{at}{name}"
