"""Flat records in CSV."""

from __future__ import annotations

import pytest

from oicp_adapter.core.model import SourceRead
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.formats.collected import Collected, source_names
from oicp_adapter.sources.formats.rows_csv import CsvRows


def read(text: str | bytes, **fields: str) -> SourceRead:
    into = Collected()
    data = text if isinstance(text, bytes) else text.encode()
    CsvRows(source_names(fields), required=fields).read(data, into)
    return into.result()


def pairs(found: SourceRead) -> list[tuple[str | None, str | None]]:
    return [(record.evse_id, record.status) for record in found.records]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_spreadsheet_dialect_is_read(delimiter: str, end: str) -> None:
    # A German Excel writes semicolons: the whole line would be one column.
    lines = ["evse_id,status,note", "DE*ABC*E1,Available,", "DE*ABC*E2,Charging,"]
    text = "".join(line.replace(",", delimiter) + end for line in lines)
    found = read(text)
    assert pairs(found) == [("DE*ABC*E1", "Available"), ("DE*ABC*E2", "Charging")]
    assert found.complete


def test_quoted_fields_may_hold_delimiters_quotes_and_line_breaks() -> None:
    # An address with a comma would shift the status into another column.
    found = read('evse_id,address,status\nE1,"Main St 1, rear\n""court""",Available\nE2,x,Charging\n')
    assert pairs(found) == [("E1", "Available"), ("E2", "Charging")]
    assert [record.origin for record in found.records] == ["line 2", "line 4"]
    assert found.complete


def test_columns_are_renamed() -> None:
    # An export cannot always be changed.
    found = read("EVSE;ChargerState\nE1;Available\n", evse_id="EVSE", status="ChargerState")
    assert pairs(found) == [("E1", "Available")]


def test_a_column_left_unread_need_not_be_there() -> None:
    # `vendor = ""` in a configuration shared by several exports must not stop one of them.
    assert pairs(read("evse_id,status\nE1,x\n", vendor="")) == [("E1", "x")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("evse_id,State\nE1,x\n", ["'ChargerState'", "source.fields.status", "evse_id, State"]),
        ("evse_id,ChargerState,ChargerState\nE1,x,y\n", ["occurs twice"]),
        ("ChargerState,x\na,b\n", ["evse_id", "ChargerState, x"]),
    ],
)
def test_an_unusable_header_is_shown_with_the_setting(text: str, words: list[str]) -> None:
    # The engineer would have to guess what the adapter saw.
    with pytest.raises(SourceError) as caught:
        read(text, status="ChargerState")
    assert all(word in str(caught.value) for word in words)


def test_a_header_that_is_not_utf8_is_told_as_such() -> None:
    # Excel in Germany writes ISO-8859-1: "no column 'Zustand (Säule)'" beside that very name tells nothing.
    with pytest.raises(SourceError, match=r"not UTF-8.*: evse_id, Zustand \(S.ule\)") as caught:
        read("evse_id;Zustand (Säule)\nE1;frei\n".encode("latin-1"), status="Zustand (Säule)")
    assert caught.value.hint.startswith("save the export as UTF-8, or say what it is")


def test_a_column_nobody_reads_need_not_be_utf8() -> None:
    # A remark with an umlaut would stop an export that is good enough.
    found = read("evse_id;status;Straße\nE1;Available;Süd\n".encode("latin-1"))
    assert pairs(found) == [("E1", "Available")]


@pytest.mark.parametrize(
    "text", ["DE*ABC*E1,Available\n", "evse_id\n", "evse_id,address\n", "\n", '"evse_id,status\n']
)
def test_a_file_without_a_usable_header_is_never_an_empty_fleet(text: str) -> None:
    # The first row would be taken for the header and the rest for nothing.
    with pytest.raises(SourceError):
        read(text)


def test_a_header_alone_is_a_complete_read_of_nobody() -> None:
    # The query behind an export can rightly find nothing; the guards deal with that.
    found = read("evse_id,status\n")
    assert found.complete
    assert found.records == []


@pytest.mark.parametrize("row", ["E2", "E2,x,y", 'E2,"x"y', "E2,a\0b"])
def test_a_bad_row_costs_itself_and_the_completeness(row: str) -> None:
    # A shifted row reads the status from the wrong column.
    found = read(f"evse_id,status\nE1,Available\n{row}\nE3,Charging\n")
    assert pairs(found) == [("E1", "Available"), ("E3", "Charging")]
    assert not found.complete
    assert found.problems[0].startswith("line 3 cannot be decoded")


@pytest.mark.parametrize("row", ['"E2,x', 'E2,"x'])
def test_a_lost_quote_never_hides_rows_from_a_complete_read(row: str) -> None:
    # Everything behind the quote becomes one value: those EVSEs would count as gone.
    found = read(f"evse_id,status\nE1,Available\n{row}\nE3,Charging\nE4,Charging\n")
    assert not found.complete
    found = read(f'evse_id,status\nE1,Available\n{row}\nE3,Charging"\nE4,Charging\n')
    assert not found.complete


def test_bytes_that_are_not_utf8_cost_only_rows_that_need_them() -> None:
    # An umlaut in Latin-1 in an address must not stop a fleet; in an id it must not be guessed.
    found = read(b"evse_id,status,street\nE1,Available,Stra\xdfe\nE\xdf,Available,x\n")
    assert pairs(found) == [("E1", "Available")]
    assert not found.complete


def test_blank_lines_are_nothing() -> None:
    # Editors leave them at the end; they would block every removal.
    found = read("evse_id,status\nE1,Available\n\n\n")
    assert len(found.records) == 1
    assert found.complete
