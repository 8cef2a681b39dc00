"""The `file` source: one file that the operator's backend rewrites while we may be reading it.

The danger: half a file taken for the whole fleet withdraws the other half. A read is complete only if the
file stayed the same during it, ends as its format ends, and every record could be decoded.
"""

from __future__ import annotations

import codecs
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec

from oicp_adapter import open_files
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.model import SourceRead
from oicp_adapter.core.text import one_line
from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.collected import Cells, Collected, source_names, turned
from oicp_adapter.sources.formats.headings import Recognise, recognised
from oicp_adapter.sources.formats.nested import NestedRows
from oicp_adapter.sources.formats.ocpi_locations import OcpiLocations
from oicp_adapter.sources.formats.oicp_records import OicpRecords
from oicp_adapter.sources.formats.rows_csv import CsvRows
from oicp_adapter.sources.formats.rows_json import JsonRows

_LINE_FORMATS = (FileFormat.NDJSON, FileFormat.CSV)
Parser: TypeAlias = Callable[[bytes, Collected], None]
_UTF16, _GZIP = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), b"\x1f\x8b"
ERROR = 1000
"""Characters of an error: a path, and the columns of a wide file."""
_CUT = "look at the job that writes it: it should write beside the file and rename it into place"


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read the file."""

    path: Path
    format: FileFormat = FileFormat.AUTO
    """AUTO: by suffix, also with .gz."""
    fields: Mapping[str, str] = {}
    """Our field name → the file's column or member (`status = "ChargerState"`); JSON members may be dotted
    paths. Fields not named here are looked for under our own names; "" leaves a field unread."""
    records: str | None = None
    """Where the records of a JSON document are (JMESPath)."""
    delimiter: str | None = None
    """Of CSV; None: the one that finds most columns."""
    header_row: int | None = None
    """The line of CSV's header, from 1; None: it is found."""
    encoding: str = "utf-8"
    """As Python names it."""
    headings: Mapping[str, str] = {}
    """Theirs → ours, as the exports of the vocabulary name them."""
    cells: Cells = Cells()
    """How its values are written."""
    max_age: float | None = None
    """Seconds; a file not written for longer is unreadable. None: any age will do."""


class FileSource:
    """Reads the whole file each time. Raises ConfigurationError at once for options that contradict."""

    def __init__(self, options: FileOptions) -> None:
        self._path = options.path
        self._max_age = options.max_age
        fields, inverted = turned(options.fields)
        self._cells = msgspec.structs.replace(options.cells, inverted=inverted)
        options = msgspec.structs.replace(options, fields=fields)
        self._format = _format_of(options)
        self._encoding = _codec(options.encoding)
        self._parse = _parser(self._format, options)

    def read(self, now: float) -> SourceRead:
        """Read every record. Raises SourceError if the file cannot be read or is not of its format."""
        into = Collected(self._cells)
        try:
            data, found = self._read_bytes(now, into)
            self._parse(self._whole(data, into), into)
            return into.result(as_of=found.st_mtime, writing=_writing(found))
        except SourceError as error:
            # The source's own words are in it, such as the names of columns.
            raise SourceError(
                one_line(f"{self._path}: {error.message}", limit=ERROR), hint=error.hint
            ) from error

    @property
    def format(self) -> FileFormat:
        """The format it is read as; never AUTO."""
        return self._format

    def unpacked(self, now: float) -> bytes:
        """The file's bytes, unpacked, whatever they are. Raises SourceError if it cannot be read."""
        into = Collected(self._cells)
        return self._unpacked(self._read_bytes(now, into)[0], into)

    def _read_bytes(self, now: float, into: Collected) -> tuple[bytes, os.stat_result]:
        """The file's bytes and what it was when they were read; notes in `into` if it changed meanwhile."""
        try:
            # O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
            with open(
                self._path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)
            ) as file:
                before = os.fstat(file.fileno())
                self._require_usable(before, now)
                data = self._contents(file)
                # While ours is open its inode cannot be given to a new file: equal means the same file.
                unchanged = _identity(before) == self._identity_by_path()
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", hint=_hint(error)) from error
        if not unchanged or len(data) != before.st_size:
            into.incomplete("the file was changed or replaced while it was read")
        return data, before

    def _contents(self, file: BinaryIO) -> bytes:
        # A step of its own: the tests move the file here.
        return file.read()

    def _identity_by_path(self) -> tuple[int, ...] | None:
        try:
            return _identity(os.stat(self._path))
        except OSError:
            return None

    def _require_usable(self, found: os.stat_result, now: float) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise SourceError("is not a regular file", hint="name a file, not a pipe or device")
        age = now - found.st_mtime
        if self._max_age is not None and age > self._max_age:
            raise SourceError(
                f"was last written {age:.0f} s ago, max_age is {self._max_age:.0f} s",
                hint="find out why its writer stopped, or raise max_age of the source",
            )

    def _whole(self, data: bytes, into: Collected) -> bytes:
        """Unpacked text of which every line is whole; notes in `into` what had to be left out."""
        data = self._as_utf8(self._unpacked(data, into)).removeprefix(codecs.BOM_UTF8)
        if self._format in _LINE_FORMATS and not data.endswith(b"\n"):
            # The last line may be cut inside a value: DE*ABC*E1 may have been DE*ABC*E100.
            into.incomplete("the last line has no line end, it may be cut and is not used")
            data = data[: data.rfind(b"\n") + 1]
            if not data or data.isspace():
                raise SourceError("has no whole line", hint=_CUT)
        return data

    def _unpacked(self, data: bytes, into: Collected) -> bytes:
        if self._path.suffix == ".gz":
            data, whole = _gunzip(data)
            if not whole and self._format not in _LINE_FORMATS:
                raise SourceError("the gzip data ends too early", hint=_CUT)
            if not whole:
                into.incomplete("the gzip data ends too early")
        if not data or data.isspace():
            raise SourceError("is empty", hint=_CUT)
        return data

    def _as_utf8(self, data: bytes) -> bytes:
        if data.startswith(_GZIP):
            raise SourceError("is packed with gzip", hint="a packed file must end in .gz")
        if self._encoding == "utf-8":
            if data.startswith(_UTF16):
                raise SourceError(
                    "is UTF-16 text", hint='set source.encoding = "utf-16", or write it as UTF-8'
                )
            return data
        try:
            return data.decode(self._encoding).encode()
        except UnicodeError as error:
            raise SourceError(
                f"is not {self._encoding} text: {getattr(error, 'reason', error)}",
                hint="correct source.encoding, or look at the job that writes it: the file may be cut",
            ) from error


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ConfigurationError(
            f"source.encoding: there is no encoding {name!r}", hint='write it like "cp1252" or "utf-16"'
        ) from None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _writing(found: os.stat_result) -> str:
    """Names this writing of the file. Without its device: a share that is mounted anew was not written anew."""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _gunzip(data: bytes) -> tuple[bytes, bool]:
    """Unpack all gzip members; False if the last one has no trailer. A wrong checksum is a SourceError."""
    parts = []
    while data:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            parts.append(member.decompress(data))
        except zlib.error as error:
            raise SourceError(
                f"is damaged or not gzip: {error}", hint="write it anew; only packed files may end in .gz"
            ) from error
        if not member.eof:
            return b"".join(parts), False
        data = member.unused_data.lstrip(b"\0")  # padding after a member is legal
    return b"".join(parts), True


def _format_of(options: FileOptions) -> FileFormat:
    if options.format is not FileFormat.AUTO:
        return options.format
    told = FileFormat.of_suffix(Path(options.path.name.removesuffix(".gz")).suffix)
    if told is None:
        names = [one.value for one in FileFormat if one is not FileFormat.AUTO]
        raise ConfigurationError(
            f"source.path: cannot tell the format of {options.path.name!r} by its suffix",
            hint=f"set format of the source to {', '.join(names[:-1])} or {names[-1]}",
        )
    return told


def _parser(kind: FileFormat, options: FileOptions) -> Parser:
    reader = _READERS[kind]
    for name in ("fields", "records", "delimiter", "header_row"):
        if getattr(options, name) and name not in reader.options:
            able = ", ".join(one.value for one, other in _READERS.items() if name in other.options)
            raise ConfigurationError(
                f"source.{name} has no meaning with format {kind.value}", hint=f"remove it; it is for {able}"
            )
    return reader.make(options)


def _csv(options: FileOptions) -> Parser:
    names = source_names(options.fields)
    given = {
        "delimiter": options.delimiter,
        "header_row": options.header_row,
        "recognise": _recognise(options),
    }
    return CsvRows(names, required=options.fields, **given).read  # type: ignore[arg-type]


def _recognise(options: FileOptions) -> Recognise:
    return partial(recognised, fields=options.fields, headings=options.headings)


def _json(options: FileOptions) -> Parser:
    return _rows(options).read_json


def _ndjson(options: FileOptions) -> Parser:
    return _rows(options).read_ndjson


def _rows(options: FileOptions) -> JsonRows | NestedRows:
    names, recognise = source_names(options.fields), _recognise(options)
    if options.records:
        return NestedRows(names, records=options.records, recognise=recognise)
    return JsonRows(names, recognise=recognise)


def _ocpi_locations(options: FileOptions) -> Parser:
    source_names(options.fields)  # refuses what is no field of ours
    return OcpiLocations(options.fields, records=options.records).read


def _oicp(_: FileOptions) -> Parser:
    return OicpRecords().read


class _Reader(msgspec.Struct, frozen=True):
    """How a format is read, and which options mean something to it."""

    make: Callable[[FileOptions], Parser]
    options: tuple[str, ...]


_READERS: Mapping[FileFormat, _Reader] = {
    FileFormat.CSV: _Reader(_csv, ("fields", "delimiter", "header_row")),
    FileFormat.JSON: _Reader(_json, ("fields", "records")),
    FileFormat.NDJSON: _Reader(_ndjson, ("fields", "records")),
    FileFormat.OCPI_LOCATIONS: _Reader(_ocpi_locations, ("fields", "records")),
    FileFormat.OICP: _Reader(_oicp, ()),
}


def _hint(error: OSError) -> str:
    if open_files.too_many(error):
        return open_files.ADVICE
    if isinstance(error, FileNotFoundError):
        return "check source.path, and that the job that writes the file has run"
    if isinstance(error, PermissionError):
        return f"let the user of this process (uid {os.geteuid()}) read the file and enter its directories"
    if isinstance(error, IsADirectoryError):
        return "source.path must name a file in this directory"
    return "check the disk or network share that holds the file"
