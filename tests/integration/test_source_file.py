"""The file source on real files: every way a file can be missing, odd, damaged or in motion."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.file import FileOptions, FileSource

NOW = 1_775_131_200.0
COUNT = 40

JSON = b"[%s]" % b",".join(b'{"evse_id":"DE*ABC*E%d","status":"Available"}' % n for n in range(COUNT))
NDJSON = b"".join(b'{"evse_id":"DE*ABC*E%d","status":"Available"}\n' % n for n in range(COUNT))
CSV = b"evse_id;note;status\r\n" + b"".join(b'DE*ABC*E%d;"a\nb";Available\r\n' % n for n in range(COUNT))
OCPI = b'{"status_code":1000,"data":[%s]}' % b",".join(
    b'{"id":"L%d","evses":[{"uid":"1","evse_id":"DE*ABC*E%d","status":"AVAILABLE"}]}' % (n, n)
    for n in range(COUNT)
)
IDS = [f"DE*ABC*E{n}" for n in range(COUNT)]

FILES: dict[str, tuple[bytes, FileFormat]] = {
    "fleet.json": (JSON, FileFormat.AUTO),
    "fleet.ndjson": (NDJSON, FileFormat.AUTO),
    "fleet.jsonl": (NDJSON, FileFormat.AUTO),
    "fleet.csv": (CSV, FileFormat.AUTO),
    "locations.json": (OCPI, FileFormat.OCPI_LOCATIONS),
    "fleet": (NDJSON, FileFormat.NDJSON),
}


def source(path: Path, kind: FileFormat = FileFormat.AUTO, *, max_age: float | None = None) -> FileSource:
    return FileSource(FileOptions(path=path, format=kind, max_age=max_age))


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.ndjson"
    path.write_bytes(NDJSON)
    os.utime(path, (NOW - 100, NOW - 100))
    return path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_whole_file_is_read_completely_whatever_its_format(
    tmp_path: Path, name: str, suffix: str, bom: bytes
) -> None:
    # A format that is never complete never lets an EVSE go; Excel's BOM would rename the first column.
    data, kind = FILES[name]
    path = tmp_path / (name + suffix)
    path.write_bytes(gzip.compress(bom + data) if suffix else bom + data)
    read = source(path, kind).read(NOW)
    assert [record.evse_id for record in read.records] == IDS
    assert read.complete


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_cut_at_any_byte_never_passes_for_a_whole_one(tmp_path: Path, name: str, suffix: str) -> None:
    # A writer that dies or a disk that is full leaves half a file: the other half would be withdrawn.
    data, kind = FILES[name]
    whole = gzip.compress(data, mtime=0) if suffix else data
    path = tmp_path / (name + suffix)
    reader = source(path, kind)
    refused = 0
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            read = reader.read(NOW)
        except SourceError:
            refused += 1
            continue
        found = [record.evse_id for record in read.records]
        assert found == IDS[: len(found)]
        assert {record.status for record in read.records} <= {"Available", "AVAILABLE"}
        at_line_end = not suffix and kind is not FileFormat.OCPI_LOCATIONS and whole[end - 1 : end] == b"\n"
        if read.complete:
            # Between whole lines there is no telling: `missing_after` and the guard protect there.
            assert at_line_end
            assert len(found) == whole[:end].count(b"}\n" if b"}\n" in whole else b"Available\r\n")
    assert refused
    if b"\n" not in data:
        assert refused == len(whole)


@pytest.mark.parametrize(
    ("name", "options"),
    [("fleet.txt", {}), ("fleet", {}), ("fleet.gz", {}), ("l.json", {"format": FileFormat.OICP})],
)
def test_options_that_cannot_work_are_refused_at_the_start(name: str, options: dict[str, FileFormat]) -> None:
    # The daemon would start, and fail in every cycle.
    with pytest.raises(ConfigurationError) as caught:
        FileSource(FileOptions(path=Path(name), fields={"status": "x"}, **options))  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t ", b"\0" * 100, b"\xef\xbb\xbf", b"\xff\xfe[\0]\0"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_nothing_in_it_is_a_failed_read(tmp_path: Path, data: bytes, name: str) -> None:
    # A full disk leaves zero bytes, a crash zeroes, PowerShell UTF-16: none of them is an empty fleet.
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        source(path, FILES[name][1]).read(NOW)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_what_cannot_be_a_fleet_file_is_refused_with_the_fix(tmp_path: Path) -> None:
    # A named pipe would block the worker for ever, a directory would end in a stack trace.
    fifo, link, folder = tmp_path / "pipe.json", tmp_path / "loop.json", tmp_path / "folder.json"
    os.mkfifo(fifo)
    link.symlink_to(link)
    folder.mkdir()
    for path, words in {
        fifo: "not a regular file",
        Path("/dev/null"): "not a regular file",
        link: "symbolic links",
        folder: "directory",
        tmp_path / "missing.json": "No such file",
    }.items():
        with pytest.raises(SourceError, match=words) as caught:
            source(path, FileFormat.JSON).read(NOW)
        assert str(path) in caught.value.message
        assert caught.value.hint


@pytest.fixture
def ordinary_user(fleet: Path) -> Iterator[int]:
    """The id of a user who is not root and may not read the fleet; it is ours during the test."""
    fleet.chmod(0)
    before = os.geteuid()
    os.seteuid(before or 65534)
    yield os.geteuid()
    os.seteuid(before)


def test_a_file_we_may_not_read_names_the_user_who_needs_the_right(fleet: Path, ordinary_user: int) -> None:
    # "Permission denied" does not say whose permission.
    with pytest.raises(SourceError, match="Permission denied") as caught:
        source(fleet).read(NOW)
    assert f"uid {ordinary_user}" in caught.value.hint


def test_the_age_of_the_picture_is_the_file_s(fleet: Path) -> None:
    # The warning about an export that stopped is computed from it.
    assert source(fleet).read(NOW).as_of == NOW - 100


def test_a_file_older_than_max_age_is_unreadable(fleet: Path) -> None:
    # The export stopped days ago and drivers are sent by its last states.
    assert source(fleet, max_age=100).read(NOW).complete
    with pytest.raises(SourceError, match="max_age"):
        source(fleet, max_age=99).read(NOW)


class MovingSource(FileSource):
    """Something happens to the file before or after its bytes are read."""

    def __init__(self, path: Path, event: Callable[[Path], None], *, late: bool) -> None:
        super().__init__(FileOptions(path=path))
        self._event, self._late = event, late

    def _contents(self, file: BinaryIO) -> bytes:
        if not self._late:
            self._event(self._path)
        data = super()._contents(file)
        if self._late:
            self._event(self._path)
        return data


def replace(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes())
    stat = path.stat()
    os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    beside.rename(path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(NDJSON)


def shorten(path: Path) -> None:
    os.truncate(path, len(NDJSON) // 2)


def append_unseen(path: Path) -> None:
    """Some network file systems and copying tools keep the modification time."""
    append(path)
    os.utime(path, (NOW - 100, NOW - 100))


def overwrite(path: Path) -> None:
    path.write_bytes(NDJSON.replace(b"Available", b"AVAILABLE"))


@pytest.mark.parametrize("event", [replace, append, append_unseen, shorten, overwrite, Path.unlink])
@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_moves_while_it_is_read_is_incomplete(
    fleet: Path, event: Callable[[Path], None], late: bool
) -> None:
    # A mixture of two exports, or the beginning of one, would be taken for the fleet.
    read = MovingSource(fleet, event, late=late).read(NOW)
    assert not read.complete
    assert "changed or replaced" in read.problems[0]
    assert read.records


class ShortSource(FileSource):
    """The file system hands out fewer bytes than it said."""

    def _contents(self, file: BinaryIO) -> bytes:
        return b"".join(super()._contents(file).splitlines(keepends=True)[: COUNT // 2])


def test_fewer_bytes_than_the_size_says_are_incomplete(fleet: Path) -> None:
    # A network share in trouble may end a read early without an error.
    assert not ShortSource(FileOptions(path=fleet)).read(NOW).complete


def test_a_file_that_is_touched_by_nobody_is_complete(fleet: Path) -> None:
    # If reading itself looked like a change, no EVSE would ever be withdrawn.
    assert MovingSource(fleet, lambda path: None, late=True).read(NOW).complete


def test_several_gzip_members_and_padding_are_one_file(tmp_path: Path) -> None:
    # Rotating writers append members; reading only the first would lose the others.
    path = tmp_path / "fleet.ndjson.gz"
    half = NDJSON.index(b"E20") + 30
    half = NDJSON.index(b"\n", half) + 1
    path.write_bytes(gzip.compress(NDJSON[:half]) + gzip.compress(NDJSON[half:]) + b"\0" * 512)
    read = source(path).read(NOW)
    assert [record.evse_id for record in read.records] == IDS
    assert read.complete


def test_whole_lines_of_a_cut_gzip_file_may_update(tmp_path: Path) -> None:
    # An export that is always cut by its transport would freeze every state.
    noise = os.urandom(4000).hex().encode()  # so that half the bytes hold about half the lines
    lines = [
        b'{"evse_id":"DE*ABC*E%d","status":"Available","x":"%s"}\n' % (n, noise[n * 200 : n * 200 + 200])
        for n in range(COUNT)
    ]
    packed = gzip.compress(b"".join(lines))
    path = tmp_path / "fleet.ndjson.gz"
    path.write_bytes(packed[: len(packed) // 2])
    read = source(path).read(NOW)
    assert 0 < len(read.records) < COUNT
    assert not read.complete
    assert "gzip" in read.problems[0]


@pytest.mark.parametrize("name", ["fleet.ndjson.gz", "fleet.json.gz", "fleet.csv.gz"])
def test_gzip_with_a_wrong_checksum_is_a_failed_read(tmp_path: Path, name: str) -> None:
    # A flipped bit may turn one status into another.
    data = FILES[name.removesuffix(".gz")][0]
    packed = bytearray(gzip.compress(data))
    packed[-8:-4] = (zlib.crc32(data) ^ 1).to_bytes(4, "little")
    path = tmp_path / name
    path.write_bytes(packed)
    with pytest.raises(SourceError, match="damaged"):
        source(path).read(NOW)


@pytest.mark.parametrize(("name", "data"), [("fleet.ndjson.gz", NDJSON), ("fleet.json", gzip.compress(JSON))])
def test_a_suffix_that_lies_about_gzip_is_explained(tmp_path: Path, name: str, data: bytes) -> None:
    # Proxies unpack files in passing; "not JSON" would send people looking in the wrong place.
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        source(path).read(NOW)
    assert ".gz" in caught.value.hint


def test_a_read_names_the_writing_and_not_the_bytes(tmp_path: Path) -> None:
    # Two reads of one snapshot count as two, and what it missed is gone; or what was written anew counts as old.
    path = tmp_path / "fleet.json"
    source = FileSource(FileOptions(path=path))

    def writing() -> str:
        return source.read(NOW).writing

    path.write_text(text := '[{"evse_id": "DE*ABC*E1", "status": "AVAILABLE"}]')
    first = writing()
    assert first
    assert writing() == first
    beside = tmp_path / "new"
    beside.write_text(text)
    os.utime(beside, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    kept = path.open("rb")  # its inode is not given away
    beside.replace(path)
    second = writing()
    kept.close()
    os.utime(path, ns=(1, 1))
    assert len({first, second, writing()}) == 3


@pytest.mark.parametrize("name", ["f.json", "f.csv", "f.ndjson", "f.jsonl.gz"])
def test_a_flag_that_says_the_opposite_is_turned_round_in_every_format(tmp_path: Path, name: str) -> None:
    # The dead chargers are published as free, and the living ones as Unknown.
    rows = [("DE*ABC*E1", True), ("DE*ABC*E2", False), ("DE*ABC*E3", None)]
    records = [{"evse_id": evse, "status": "Available", "inactive": flag} for evse, flag in rows]
    if ".csv" in name:
        text = "evse_id,status,inactive\n" + "".join(
            f"{evse},Available,{flag or ''}\n" for evse, flag in rows[:1]
        )
        text += "DE*ABC*E2,Available,f\nDE*ABC*E3,Available,\n"
    elif name == "f.json":
        text = json.dumps(records)
    else:
        text = "".join(json.dumps(record) + "\n" for record in records)
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    read = FileSource(FileOptions(path=file, fields={"connection": "!inactive"})).read(0.0)
    said = [(record.connection or "").casefold() for record in read.records]
    assert said in (["!true", "!false", ""], ["!true", "!f", ""])
    rules = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))
    fleet = map_fleet(read.records, rules, now=0.0)
    assert [str(one.status) for one in fleet.desired.values()] == ["Unknown", "Available", "Available"]


def test_only_a_flag_can_be_turned_round(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="status is no flag"):
        FileSource(FileOptions(path=tmp_path / "f.csv", fields={"status": "!state"}))
