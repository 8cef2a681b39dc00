"""What every source promises, run over every source we have.

Complete, incomplete or failed: the difference decides whether an EVSE may be withdrawn from Hubject.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from oicp_adapter.core.columns import COLUMNS
from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.model import SourceRead, SourceRecord
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.memory import MemorySource

NOW = 1_775_131_200.0

FLEET = [
    SourceRecord(
        evse_id="DE*ABC*E1", station_id="S1", evse_number="1", status="AVAILABLE", updated_at=NOW - 60
    ),
    SourceRecord(
        evse_id="DE*ABC*E2", station_id="S1", evse_number="2", status="CHARGING", updated_at=NOW - 3600.5
    ),
    SourceRecord(evse_id="DE*ABC*E3", station_id="S2", evse_number="1", status="OUTOFORDER"),
]


@dataclass
class Backend:
    """A source under test, and what can happen to the backend behind it."""

    source: FileSource | MemorySource
    hold: Callable[[list[SourceRecord]], None]
    lose_the_end: Callable[[], None]
    vanish: Callable[[], None]
    never_empty: bool = False
    """An empty fleet cannot be told from a broken writer."""

    def read(self) -> SourceRead:
        return self.source.read(NOW)


def plain(record: SourceRecord) -> dict[str, object]:
    members = msgspec.structs.asdict(record)
    return {name: value for name, value in members.items() if name in COLUMNS and value is not None}


def as_json(records: list[SourceRecord]) -> str:
    return json.dumps([plain(record) for record in records])


def as_ndjson(records: list[SourceRecord]) -> str:
    return "".join(json.dumps(plain(record)) + "\n" for record in records)


def as_csv(records: list[SourceRecord]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["evse_id", "station_id", "evse_number", "status", "updated_at"])
    writer.writeheader()
    writer.writerows(plain(record) for record in records)
    return text.getvalue()


def as_ocpi(records: list[SourceRecord]) -> str:
    evses = [
        {"uid": record.evse_number, "last_updated": record.updated_at, **plain(record)} for record in records
    ]
    data = [{"id": evse["station_id"], "evses": [evse]} for evse in evses]
    return json.dumps({"status_code": 1000, "data": data})


def file_backend(path: Path, write: Callable[[list[SourceRecord]], str], options: FileOptions) -> Backend:
    def put(data: bytes) -> None:
        beside = path.with_name("beside")
        beside.write_bytes(data)
        beside.rename(path)

    def hold(records: list[SourceRecord]) -> None:
        data = write(records).encode()
        put(gzip.compress(data) if path.suffix == ".gz" else data)

    return Backend(
        source=FileSource(options),
        hold=hold,
        lose_the_end=lambda: put(path.read_bytes()[:-20]),
        vanish=path.unlink,
        never_empty=write is as_ndjson,
    )


def memory_backend() -> Backend:
    source = MemorySource()

    def hold(records: list[SourceRecord]) -> None:
        source.records, source.complete, source.failure = records, True, None

    def lose_the_end() -> None:
        source.records, source.complete = source.records[:-1], False

    def vanish() -> None:
        source.failure = SourceError("gone", hint="bring it back")

    return Backend(source=source, hold=hold, lose_the_end=lose_the_end, vanish=vanish)


WRITERS = {
    "fleet.json": as_json,
    "fleet.ndjson": as_ndjson,
    "fleet.csv": as_csv,
    "locations.json": as_ocpi,
}


@pytest.fixture(params=["memory", *WRITERS, *(f"{name}.gz" for name in WRITERS)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "memory":
        return memory_backend()
    path = tmp_path / request.param
    write = WRITERS[request.param.removesuffix(".gz")]
    kind: FileFormat = FileFormat.OCPI_LOCATIONS if write is as_ocpi else FileFormat.AUTO
    return file_backend(path, write, FileOptions(path=path, format=kind))


def test_a_good_read_is_complete_and_loses_nothing(backend: Backend) -> None:
    # An EVSE or a time that is lost on the way is withdrawn, or shown with a stale state.
    backend.hold(FLEET)
    read = backend.read()
    assert [plain(record) for record in read.records] == [plain(record) for record in FLEET]
    assert read.complete
    assert read.problems == ()


def test_every_read_sees_the_newest_state(backend: Backend) -> None:
    # A source that remembers would publish yesterday's states.
    backend.hold(FLEET)
    backend.read()
    backend.hold(FLEET[1:])
    read = backend.read()
    assert [record.evse_id for record in read.records] == ["DE*ABC*E2", "DE*ABC*E3"]
    assert read.complete


def test_a_read_that_lost_its_end_is_incomplete_or_fails(backend: Backend) -> None:
    # The EVSEs behind the cut would be withdrawn from Hubject.
    backend.hold(FLEET)
    backend.lose_the_end()
    try:
        read = backend.read()
    except SourceError:
        return
    assert not read.complete
    assert read.problems
    assert all(plain(record) in map(plain, FLEET) for record in read.records)


def test_a_backend_that_is_gone_is_a_failed_read_with_a_way_out(backend: Backend) -> None:
    # Nobody there is not nobody left: an outage of the backend would empty the fleet.
    backend.hold(FLEET)
    backend.vanish()
    with pytest.raises(SourceError) as caught:
        backend.read()
    assert caught.value.hint


def test_a_source_recovers_by_itself(backend: Backend) -> None:
    # The daemon runs for months: a source that stays broken needs a restart at 03:00.
    backend.hold(FLEET)
    backend.vanish()
    with pytest.raises(SourceError):
        backend.read()
    backend.hold(FLEET)
    assert backend.read().complete


def test_an_empty_fleet_is_complete_or_refused_never_guessed(backend: Backend) -> None:
    # An incomplete empty read would be reported for ever; a failed one says what to do.
    backend.hold([])
    if backend.never_empty:
        with pytest.raises(SourceError):
            backend.read()
    else:
        read = backend.read()
        assert read.complete
        assert read.records == []
