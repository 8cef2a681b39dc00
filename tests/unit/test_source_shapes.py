"""Exports in the shapes that backends really have: nested, wrapped, below a preamble, with other delimiters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oicp_adapter.core.formats import FileFormat
from oicp_adapter.core.model import SourceRead
from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.file import FileOptions, FileSource

NOW = 1_800_000_000.0
OUTLET = {"evseId": "DE*ABC*E1", "nativeStatus": "CHARGING"}


def read(
    tmp_path: Path, data: bytes | object, kind: FileFormat = FileFormat.JSON, **options: Any
) -> SourceRead:
    path = tmp_path / "export"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return FileSource(FileOptions(path=path, format=kind, **options)).read(NOW)


def told(one: SourceRead) -> list[tuple[str | None, str | None]]:
    return [(record.evse_id, record.status) for record in one.records]


FIELDS = {"evse_id": "evseId", "status": "nativeStatus", "station_id": "^.id", "vendor": "^^.company.name"}


@pytest.mark.parametrize(
    ("records", "wrap"),
    [
        ("stations[].outlets[]", lambda stations: {"stations": stations}),
        ("[].outlets[]", lambda stations: stations),
        ("result.page.stations[*].outlets[*]", lambda stations: {"result": {"page": {"stations": stations}}}),
        (
            "stations[?id].outlets[?evseId]",
            lambda stations: {"stations": [*stations, {"outlets": [{"evseId": "X"}]}]},
        ),
        ('"my stations"[].outlets[]', lambda stations: {"my stations": stations}),
    ],
)
def test_outlets_inside_of_stations_are_records_with_their_stations_fields(
    tmp_path: Path, records: str, wrap: Any
) -> None:
    # The station's own column says Available while both of its outlets are charging.
    stations = [
        {"id": 1, "status": "Available", "outlets": [OUTLET, {**OUTLET, "evseId": "DE*ABC*E2"}]},
        {"id": 2, "status": "Available", "outlets": []},
        {"id": 3, "status": "Available"},
        {"id": 4, "outlets": [{**OUTLET, "evseId": "DE*ABC*E3", "nativeStatus": "AVAILABLE"}]},
    ]
    fields = {ours: theirs for ours, theirs in FIELDS.items() if ours != "vendor"}
    found = read(tmp_path, wrap(stations), records=records, fields=fields)
    assert told(found) == [("DE*ABC*E1", "CHARGING"), ("DE*ABC*E2", "CHARGING"), ("DE*ABC*E3", "AVAILABLE")]
    assert [record.station_id for record in found.records] == ["1", "1", "4"]
    assert found.records[2].origin == "record 4.1"
    assert found.complete


def test_fields_reach_as_far_up_as_there_is_something(tmp_path: Path) -> None:
    # Operator, site, station, outlet: four levels in one export.
    sites = [{"company": {"name": "ACME"}, "stations": [{"id": "S1", "outlets": [OUTLET]}]}]
    found = read(tmp_path, {"sites": sites}, records="sites[].stations[].outlets[]", fields=FIELDS)
    (record,) = found.records
    assert (record.station_id, record.vendor) == ("S1", "ACME")
    too_far = {**FIELDS, "model": "^^^^^^^.x"}
    far = read(tmp_path, {"sites": sites}, records="sites[].stations[].outlets[]", fields=too_far)
    assert far.records[0].model is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"fecha": "x", "estaciones": [{"id": 1, "puntos": [OUTLET]}]}, "estaciones[].puntos[]"),
        ({"Stationen am Ort": [None, {"x": []}]}, '"Stationen am Ort"[]'),
        ({"meta": {"tags": ["a"]}, "result": {"x": 1}}, "result.stations[]"),
    ],
)
def test_where_the_records_may_be_is_suggested(tmp_path: Path, document: object, expected: str) -> None:
    # A newcomer does not know how an expression for his own export is written.
    with pytest.raises(SourceError) as caught:
        read(tmp_path, document)
    assert f"source.records = '{expected}'" in caught.value.hint


def test_a_bad_record_inside_costs_itself_and_completeness(tmp_path: Path) -> None:
    # One outlet that is a text must not take 200 others along, nor pass for gone.
    data = {"stations": [{"outlets": [OUTLET, "broken", {**OUTLET, "evseId": {"id": 1}}]}]}
    found = read(
        tmp_path, data, records="stations[].outlets[]", fields={"evse_id": "evseId", "status": "nativeStatus"}
    )
    assert told(found) == [("DE*ABC*E1", "CHARGING")]
    assert not found.complete
    assert [problem.partition(" cannot")[0] for problem in found.problems] == ["record 1.2", "record 1.3"]


@pytest.mark.parametrize("records", ["stations[", "stations[].[", "", "a b"])
def test_an_expression_that_is_none_is_refused_when_the_configuration_loads(
    tmp_path: Path, records: str
) -> None:
    # Every cycle would fail, at night.
    with pytest.raises(ConfigurationError, match=r"source\.records|JMESPath") as caught:
        FileSource(FileOptions(path=tmp_path / "x.json", records=records or " "))
    assert caught.value.hint


def test_an_expression_that_finds_no_array_is_a_failed_read_and_no_empty_fleet(tmp_path: Path) -> None:
    # The backend renames `stations`: 212 chargers would be gone.
    documents: list[object] = [{"stationen": []}, {"stations": None}, [1], {"error": "down"}]
    for data in documents:
        with pytest.raises(SourceError, match="finds no array"):
            read(tmp_path, data, records="stations[].outlets[]")
    with pytest.raises(SourceError, match="reports a failure"):
        read(tmp_path, {"stations": [], "error": "down"}, records="stations")
    assert read(tmp_path, {"stations": []}, records="stations[]").complete


EVSE = {"uid": "DE*ABC*E1", "id": "DE*ABC*E2", "status": "AVAILABLE", "last_updated": "2026-11-28T12:00:00Z"}
LOCATION = {"id": "L1", "evses": [{**EVSE, "evse_id": "DE*ABC*E3"}]}


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        ([LOCATION], True),
        (LOCATION, True),
        ({"data": [LOCATION], "status_code": 1000}, True),
        ({"data": LOCATION, "status_code": 1000}, True),
        ({"data": [LOCATION]}, True),
        ({"items": [LOCATION], "next": None}, True),
        ({"items": [LOCATION], "next": "cursor"}, False),
        (json.dumps(LOCATION).encode() + b"\n" + json.dumps({"id": "L2"}).encode() + b"\n", True),
        (json.dumps(LOCATION).encode() + b"\n" + b'{"id": "L2", "evses": [{"ui', False),
    ],
)
def test_ocpi_locations_are_read_in_every_wrapping(tmp_path: Path, data: object, complete: bool) -> None:
    # "The server reports a failure" was said of a page whose only fault was its name.
    found = read(tmp_path, data, FileFormat.OCPI_LOCATIONS)
    assert told(found) == [("DE*ABC*E3", "AVAILABLE")]
    assert found.complete is complete
    assert found.records[0].station_id == "L1"


def test_ocpi_names_can_be_others(tmp_path: Path) -> None:
    # A country-wide feed has the EvseID in uid, a public export in id.
    for theirs, expected in (("uid", "DE*ABC*E1"), ("id", "DE*ABC*E2")):
        found = read(tmp_path, [LOCATION], FileFormat.OCPI_LOCATIONS, fields={"evse_id": theirs})
        assert found.records[0].evse_id == expected
        assert found.records[0].updated_at == 1_795_867_200.0
    deep = read(tmp_path, {"result": {"locs": [LOCATION]}}, FileFormat.OCPI_LOCATIONS, records="result.locs")
    assert told(deep) == [("DE*ABC*E3", "AVAILABLE")]


@pytest.mark.parametrize(
    "data",
    [{"locations": [LOCATION]}, {}, {"data": [], "success": False}, {"message": "busy"}],
)
def test_what_is_no_ocpi_says_what_was_found(tmp_path: Path, data: object) -> None:
    # A wrong culprit costs an afternoon.
    with pytest.raises(SourceError) as caught:
        read(tmp_path, data, FileFormat.OCPI_LOCATIONS)
    assert "records" in caught.value.hint or "failure" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        {
            "ActionType": "fullLoad",
            "OperatorEvseStatus": {"OperatorID": "DE*ABC", "EvseStatusRecord": "HERE"},
        },
        {"EvseStatuses": {"OperatorEvseStatus": [{"OperatorID": "DE*ABC", "EvseStatusRecord": "HERE"}]}},
        {"EVSEStatusRecords": {"EvseStatusRecord": "HERE"}},
        {"evseStatusRecord": "HERE"},
    ],
)
def test_what_oicp_pushes_and_pulls_is_a_fleet_too(tmp_path: Path, data: object) -> None:
    # What the previous adapter pushed is often all there is of a fleet.
    records = [
        {"EvseID": "DE*ABC*E1", "EvseStatus": "Occupied"},
        {"evseID": "DE*ABC*E2", "evseStatus": "Available"},
    ]
    text = json.dumps(data).replace('"HERE"', json.dumps(records)).encode()
    found = read(tmp_path, text, FileFormat.OICP)
    assert told(found) == [("DE*ABC*E1", "Occupied"), ("DE*ABC*E2", "Available")]
    with pytest.raises(SourceError, match="no EvseStatusRecord"):
        read(tmp_path, {"StatusCode": {"Code": "021"}, "EvseStatuses": None}, FileFormat.OICP)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("above", [0, 1, 4, 11])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp1252"])
def test_a_table_is_read_whatever_stands_above_and_between(
    tmp_path: Path, delimiter: str, above: int, encoding: str
) -> None:
    # The national register has up to ten lines of text above its header, and Excel writes UTF-16.
    lines = ["Ladesäulenregister, Stand: 28.11.2026", "", ";;;", "Spalte A | Spalte B", *["Text"] * 20][
        :above
    ]
    lines += [
        delimiter.join(("Nr", "EVSE-ID", "Zustand")),
        delimiter.join(("1", "DE*ABC*E1", "besetzt über")),
    ]
    fields = {"evse_id": "EVSE-ID", "status": "Zustand"}
    text = "\r\n".join(lines) + "\r\n"
    found = read(tmp_path, text.encode(encoding), FileFormat.CSV, fields=fields, encoding=encoding)
    assert told(found) == [("DE*ABC*E1", "besetzt über")]
    assert found.records[0].origin == f"line {above + 2}"
    assert found.complete


def test_excels_own_line_names_the_delimiter(tmp_path: Path) -> None:
    # The header has one column by the delimiter, and two by a comma in a name.
    data = b'sep=|\r\n"evse_id"|"status"|"a, b, c"\r\nDE*ABC*E1|Available|x\r\n'
    assert told(read(tmp_path, data, FileFormat.CSV)) == [("DE*ABC*E1", "Available")]


def test_what_is_wrong_with_a_table_is_said_of_the_line_that_is_its_header(tmp_path: Path) -> None:
    # The message named the title of the export, or a line of data, as the header.
    german = "Ladepunkte, Stand heute;;\n\nEVSE-ID;S\u00e4ule;Zustand\nDE*ABC*E1;7;frei\n".encode("cp1252")
    with pytest.raises(SourceError, match="the header is not UTF-8") as caught:
        read(
            tmp_path,
            german,
            FileFormat.CSV,
            fields={"evse_id": "EVSE-ID", "status": "Zustand", "station_id": "S\u00e4ule"},
        )
    assert 'encoding = "cp1252"' in caught.value.hint
    data = b"EVSE,Zustand\nDE*ABC*E1,frei\n"
    with pytest.raises(SourceError, match="EVSE, Zustand"):
        read(tmp_path, data, FileFormat.CSV)
    with pytest.raises(SourceError, match="there is no line 9"):
        read(tmp_path, data, FileFormat.CSV, header_row=9)
    with pytest.raises(SourceError, match="UTF-16") as caught:
        read(tmp_path, "evse_id,status\n".encode("utf-16"), FileFormat.CSV)
    assert 'encoding = "utf-16"' in caught.value.hint
    with pytest.raises(SourceError, match="is not utf-16 text"):
        read(tmp_path, b"\xff\xfea\x00b", FileFormat.CSV, encoding="utf-16")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (FileFormat.CSV, {"records": "a[]"}),
        (FileFormat.JSON, {"delimiter": ";"}),
        (FileFormat.NDJSON, {"header_row": 2}),
        (FileFormat.OICP, {"fields": {"status": "x"}}),
        (FileFormat.OICP, {"records": "x"}),
        (FileFormat.OCPI_LOCATIONS, {"fields": {"station_id": "x"}}),
        (FileFormat.CSV, {"encoding": "no-such"}),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(kind: FileFormat, options: dict[str, Any]) -> None:
    # It is set, accepted, and does nothing.
    with pytest.raises(ConfigurationError) as caught:
        FileSource(FileOptions(path=Path("x"), format=kind, **options))
    assert caught.value.hint
