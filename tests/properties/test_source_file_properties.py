"""The file source against fleets and damage nobody thought of."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from oicp_adapter.core.columns import COLUMNS, EMPTY_VALUES
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.model import SourceRead, SourceRecord
from oicp_adapter.core.text import harmless
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.formats.collected import TIME_FIELDS

EMPTY = {word.casefold() for word in EMPTY_VALUES}
texts = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
    .map(lambda text: harmless(text.strip()))
    .filter(lambda text: text != "" and text == text.strip() and text.casefold() not in EMPTY)
)
times = st.integers(min_value=1263 * 10**9, max_value=4 * 10**12).map(
    lambda milliseconds: milliseconds / 1000
)
records = st.builds(
    SourceRecord,
    **{
        **{name: st.none() | (times if name in TIME_FIELDS else texts) for name in COLUMNS},
        "evse_id": texts,
        "status": texts,
    },
)
fleets = st.lists(records, min_size=1, max_size=8)
KEPT = {
    FileFormat.OCPI_LOCATIONS: {"evse_id", "status", "updated_at"},
    FileFormat.OICP: {"evse_id", "status"},
}
"""What a format has places for; the others have them for everything."""
damage = st.lists(
    st.tuples(
        st.integers(0, 2000), st.integers(0, 20), st.binary(max_size=6) | st.sampled_from([b'"', b"\n", b","])
    ),
    min_size=1,
    max_size=3,
)
formats: st.SearchStrategy[FileFormat] = st.sampled_from(
    [one for one in FileFormat if one is not FileFormat.AUTO]
)


def plain(record: SourceRecord) -> dict[str, object]:
    members = msgspec.structs.asdict(record)
    return {name: value for name, value in members.items() if name in COLUMNS and value is not None}


def write(fleet: list[SourceRecord], kind: FileFormat, *, delimiter: str = ",") -> bytes:
    rows = [plain(record) for record in fleet]
    if kind == "json":
        return json.dumps(rows, ensure_ascii=False).encode()
    if kind == "ndjson":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    if kind == "oicp":
        pairs = [{"EvseID": row["evse_id"], "EvseStatus": row["status"]} for row in rows]
        return json.dumps({"OperatorEvseStatus": {"EvseStatusRecord": pairs}}).encode()
    evses = [{**row, "last_updated": row.get("updated_at")} for row in rows]
    return json.dumps([{"id": row.get("station_id", "L"), "evses": [row]} for row in evses]).encode()


def read(data: bytes, kind: FileFormat) -> SourceRead:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return FileSource(FileOptions(path=Path(file.name), format=kind)).read(0.0)


@given(fleets, formats, st.sampled_from(",;\t"))
def test_what_is_written_is_read(fleet: list[SourceRecord], kind: FileFormat, delimiter: str) -> None:
    # An id or a state that changes on the way reaches the wrong charger, or none.
    found = read(write(fleet, kind, delimiter=delimiter), kind)
    kept = KEPT.get(kind, set(COLUMNS))
    expected = [{name: value for name, value in plain(record).items() if name in kept} for record in fleet]
    assert [
        {name: value for name, value in plain(record).items() if name in kept} for record in found.records
    ] == expected
    assert found.complete
    assert found.problems == ()


@given(fleets, formats, st.integers(1, 2000))
def test_a_cut_file_is_never_a_smaller_complete_fleet(
    fleet: list[SourceRecord], kind: FileFormat, cut: int
) -> None:
    # The EVSEs behind the cut would be withdrawn.
    data = write(fleet, kind)
    left = data[: max(0, len(data) - cut)]
    try:
        found = read(left, kind)
    except SourceError:
        return
    assert not found.complete or (kind in ("ndjson", "csv") and left.endswith(b"\n"))
    assert [plain(record) for record in found.records] == [plain(r) for r in fleet[: len(found.records)]]


@given(fleets, formats, damage)
@settings(max_examples=300)
def test_damage_is_refused_or_read_but_never_crashes(
    fleet: list[SourceRecord], kind: FileFormat, changes: list[tuple[int, int, bytes]]
) -> None:
    # Any other exception ends the worker's cycle with a stack trace instead of a sentence.
    data = write(fleet, kind)
    for start, length, replacement in changes:
        start %= len(data)
        data = data[:start] + replacement + data[start + length :]
        data = data or b" "
    try:
        found = read(data, kind)
    except SourceError:
        return
    assert found.complete or found.problems
    for record in found.records:
        for name in COLUMNS:
            kinds = float if name in TIME_FIELDS else str
            assert isinstance(getattr(record, name), kinds | None)
