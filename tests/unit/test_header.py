"""What `init` finds in an export that nobody has configured yet: its columns, where its records are, its encoding."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from oicp_adapter.core.formats import FileFormat
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.header import Header, header_of

NOW = 2_000_000_000.0


def seen(place: Path, name: str, text: str | bytes, *, kind: FileFormat = FileFormat.AUTO) -> Header:
    path = place / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return header_of(FileOptions(path=path, format=kind), NOW)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("EVSE;Plug;State\nDE*ABC*E1;1;ok, a, b, c, d\n", ("EVSE", "Plug", "State")),
        ("Export, all\nof, today\n\nEvseID;Plug;Status\nDE*ABC*E1;1;x\n", ("EvseID", "Plug", "Status")),
        ("Export\nLadepunkt\tZustand\nDE*ABC*E1\tfrei\n", ("Ladepunkt", "Zustand")),
        ("sep=|\r\nPDC|Etat\r\nFR*ABC*E1|libre\r\n", ("PDC", "Etat")),
        ("PDC,Etat\n", ("PDC", "Etat")),
        ("\n", ()),
    ],
    ids=["semicolon", "preamble", "unknown names", "sep", "no rows", "blank"],
)
def test_the_header_of_csv_is_found_under_names_nobody_knows(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    # A line of the preamble, or a row with commas in it, shown as the columns.
    if not names:
        with pytest.raises(SourceError, match="is empty"):
            seen(tmp_path, "a.csv", text)
        return
    assert seen(tmp_path, "a.csv", text).names == names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_told_with_the_names(tmp_path: Path, encoding: str) -> None:
    # Störung shown as St�rung, written so into the configuration, and never found again.
    found = seen(tmp_path, "a.csv", "Säule;Störung\r\nDE*ABC*E1;nein\r\n".encode(encoding))
    assert found.names == ("Säule", "Störung")
    assert found.encoding == encoding.removesuffix("-sig")


@pytest.mark.parametrize(
    ("document", "records", "names"),
    [
        ([{"evseId": "a", "State": 1}, {"later": None}], "", ("evseId", "State", "later")),
        ({"data": [{"evse": {"id": "a"}, "tags": [1]}]}, "", ("evse.id",)),
        ({"stations": [{"id": 1, "outlets": [{"uid": 2}]}]}, "stations[].outlets[]", ("uid", "^.id")),
        ([{"id": 1, "outlets": [{"uid": 2}]}], "[].outlets[]", ("uid", "^.id")),
        ({"result": [{"uid": 2}]}, "result[]", ("uid",)),
        ({"data": [{"evse_id": "a", "status": "x", "plugs": [{"n": 1}]}]}, "", ("evse_id", "status")),
        ([], "", ()),
        ({}, "", ()),
        (5, "", ()),
        ([5, None], "", ()),
    ],
)
def test_members_of_the_first_records_wherever_these_lie(
    tmp_path: Path, document: object, records: str, names: tuple[str, ...]
) -> None:
    found = seen(tmp_path, "a.json", json.dumps(document))
    assert (found.records, found.names) == (records, names)


def test_lines_of_json_of_which_the_last_is_cut(tmp_path: Path) -> None:
    found = seen(tmp_path, "a.ndjson", '{"id": 1, "plugs": [{"n": 1}]}\n\n{"id": 2}\n{"i')
    assert (found.records, found.names) == ("plugs[]", ("n", "^.id"))


def test_what_was_found_is_read_so(tmp_path: Path) -> None:
    # In the field: the first configuration is written from it.
    document = {"stations": [{"site": "DE*ABC*E1", "outlets": [{"info": {"state": "Charging"}}]}]}
    found = seen(tmp_path, "a.json", json.dumps(document))
    fields = {"evse_id": "^.site", "status": "info.state"}
    assert set(fields.values()) == set(found.names)
    read = FileSource(FileOptions(path=tmp_path / "a.json", fields=fields, records=found.records)).read(NOW)
    assert [(one.evse_id, one.status) for one in read.records] == [("DE*ABC*E1", "Charging")]


def test_ocpi_locations_are_recognised_and_a_format_that_is_given_is_believed(tmp_path: Path) -> None:
    document = json.dumps({"data": [{"id": 1, "evses": [{"uid": 2, "connectors": [{"id": 3}]}]}]})
    assert seen(tmp_path, "a.json", document).format is FileFormat.OCPI_LOCATIONS
    found = seen(tmp_path, "a.json", document, kind=FileFormat.JSON)
    assert (found.format, found.records) == (FileFormat.JSON, "data[].evses[].connectors[]")


def test_packed_and_unreadable_files(tmp_path: Path) -> None:
    assert seen(tmp_path, "a.csv.gz", gzip.compress(b"a;b\n1;2\n")).names == ("a", "b")
    with pytest.raises(SourceError, match="not the JSON expected"):
        seen(tmp_path, "a.json", "{")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="is not a regular file"):
        header_of(FileOptions(path=tmp_path / "pipe", format=FileFormat.CSV), NOW)


def test_it_is_said_what_is_read_as_what_and_what_only_a_person_can_tell(tmp_path: Path) -> None:
    found = seen(tmp_path, "a.csv", "EvseID;connectorId;Connector ID;State;inaktiv;Ort\na;1;1;x;0;y\n")
    said = found.said({"status": "State", "connection": "!inaktiv"})
    assert said[:2] == [
        "columns read: State as status, inaktiv as connection, EvseID as evse_id",
        "columns not read: Ort",
    ]
    assert said[2].startswith("connector_id is not read: 'connectorId' and 'Connector ID' fit alike; set ")
