"""Flat records in JSON and NDJSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oicp_adapter.core.model import SourceRead
from oicp_adapter.errors import ConfigurationError, SourceError
from oicp_adapter.sources.formats.collected import Collected, source_names
from oicp_adapter.sources.formats.rows_json import JsonRows

E1: dict[str, Any] = {"evse_id": "DE*ABC*E1", "status": "Available"}
E2: dict[str, Any] = {"evse_id": "DE*ABC*E2", "status": "Charging"}


def read_json(document: object, **fields: str) -> SourceRead:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    into = Collected()
    JsonRows(source_names(fields)).read_json(data, into)
    return into.result()


def read_ndjson(data: bytes) -> SourceRead:
    into = Collected()
    JsonRows(source_names({})).read_ndjson(data, into)
    return into.result()


def ids(read: SourceRead) -> list[str | None]:
    return [record.evse_id for record in read.records]


@pytest.mark.parametrize("member", ["evses", "data", "records"])
def test_an_object_with_one_array_is_read_like_the_array(member: str) -> None:
    # Most exports wrap their list; a user would have to write a converter.
    read = read_json({"generated": "now", "count": 2, member: [E1, E2]})
    assert ids(read) == ["DE*ABC*E1", "DE*ABC*E2"]
    assert read.complete


@pytest.mark.parametrize("document", [{}, {"items": [E1]}, {"evses": [E1], "data": []}, {"error": None}])
def test_an_object_that_does_not_say_which_array_is_refused(document: object) -> None:
    # An error object of the backend read as "no EVSEs" would empty the fleet.
    with pytest.raises(SourceError, match="evses, data and records"):
        read_json(document)


@pytest.mark.parametrize(
    "envelope",
    [
        {"status_code": 3001, "status_message": "Unable to use the client's API", "data": []},
        {"status_code": 2000, "data": [E1]},
        {"status_code": "3000", "data": None},
        {"status_code": 500, "evses": []},
        {"success": False, "data": []},
        {"status": "error", "data": []},
        {"error": {"code": 7}, "records": []},
        {"errors": ["timeout"], "data": []},
        {"error": "no db"},
    ],
    ids=json.dumps,
)
def test_an_envelope_that_reports_a_failure_is_no_empty_fleet(envelope: dict[str, Any]) -> None:
    # OCPI saved as `json`: "0 records, complete", and a minute later the whole fleet is gone from the source.
    for data in (json.dumps(envelope).encode(), json.dumps(envelope, indent=4).encode()):
        with pytest.raises(SourceError, match=r"status_code|reports a failure"):
            read_json(data)


@pytest.mark.parametrize(
    "said",
    [
        {"status_code": 1000, "status_message": "Success"},
        {"status_code": 200},
        {"status_code": None, "error": None, "errors": [], "success": True, "status": "ok"},
    ],
)
def test_an_envelope_that_reports_success_is_one(said: dict[str, Any]) -> None:
    # An export that says that all is well would be refused for saying so.
    assert ids(read_json({**said, "data": [E1]})) == ["DE*ABC*E1"]
    assert read_json({**said, "data": []}).complete


def test_errors_beside_records_make_the_read_incomplete() -> None:
    # One station did not answer: the others are published, and its EVSEs do not leave the map.
    read = read_json({"errors": ["station 7: timeout"], "data": [E1]})
    assert (ids(read), read.complete) == (["DE*ABC*E1"], False)
    assert "station 7: timeout" in read.problems[0]


def test_names_of_fields_have_an_end() -> None:
    # A row of dots by mistake, and every start or reload ends in a traceback.
    with pytest.raises(ConfigurationError, match="levels"):
        read_json([E1], status=".".join("x" * 5000))


@pytest.mark.parametrize("document", [{"meta": 1, "data": {"chargers": [E1]}}, {"meta": 1, "items": [E1]}])
def test_an_array_that_lies_elsewhere_is_told_with_the_members_there_are(document: object) -> None:
    # "The file is cut or damaged" would send the engineer to its writer, who is not to blame.
    with pytest.raises(SourceError, match=r"found: meta, (data|items)\n") as caught:
        read_json(document)
    assert "source.records" in caught.value.hint


def test_an_object_keyed_by_evse_does_not_fill_the_screen() -> None:
    # The message of a fleet of 10,000 would be 200 kB, in the log of every hour.
    with pytest.raises(SourceError) as caught:
        read_json({f"DE*ABC*E{number}": "Available" for number in range(10_000)})
    assert len(str(caught.value)) < 500


def test_ocpi_locations_read_as_flat_records_name_the_format() -> None:
    # `fields` cannot help there; the suffix .json does not tell the two apart.
    with pytest.raises(SourceError) as caught:
        read_json([{"id": "LOC1", "evses": []}])
    assert 'format = "ocpi-locations"' in caught.value.hint


@pytest.mark.parametrize("document", [{"data": None}, {"data": {}}, {"data": "x"}, "text", 7, None])
def test_anything_but_an_array_is_refused(document: object) -> None:
    # null instead of a list is how a failed query is often serialised.
    with pytest.raises(SourceError):
        read_json(document)


def test_an_empty_array_is_a_complete_read_of_nobody() -> None:
    # A fleet that was really dissolved could never be withdrawn, not even by a person.
    read = read_json([])
    assert read.complete
    assert read.records == []


def test_all_fields_are_read_and_numbers_and_flags_become_text() -> None:
    # A column that is read but dropped silently never takes part in the mapping.
    record = {
        "evse_id": "DE*ABC*E1",
        "station_id": 17,
        "connector_id": 1,
        "status": "Available",
        "vocabulary": "ocpp1.6",
        "updated_at": "2026-04-02T12:00:00Z",
        "last_heartbeat": 1775131200,
        "last_seen": "1775131200000",
        "connection": True,
        "station_status": "Enabled",
        "charging": False,
        "lifecycle": "Production",
        "error_code": "NoError",
        "vendor": "ACME",
        "model": "X 1",
    }
    (read,) = read_json([record]).records
    times = dict.fromkeys(("updated_at", "last_heartbeat", "last_seen"), 1775131200.0)
    texts = {"station_id": "17", "connector_id": "1", "connection": "true", "charging": "false"}
    assert {name: getattr(read, name) for name in record} == {**record, **times, **texts}
    assert read.origin == "record 1"


def test_members_are_renamed_and_reached_by_dotted_paths() -> None:
    # Users would have to change their export before they can try the adapter.
    document = [
        {"evse": {"id": "DE*ABC*E1", "state": {"now": "Available"}}, "status": "ignored"},
        {"evse": None, "box": "S2"},
        {"evse": {"state": None, "id": "DE*ABC*E3"}},
        {"box": "S4"},
    ]
    read = read_json(document, evse_id="evse.id", status="evse.state.now", station_id="box")
    found = [(record.evse_id, record.status, record.station_id) for record in read.records]
    assert found == [
        ("DE*ABC*E1", "Available", None),
        (None, None, "S2"),
        ("DE*ABC*E3", None, None),
        (None, None, "S4"),
    ]
    assert read.complete


def test_a_field_set_to_nothing_is_left_unread() -> None:
    # An object that happens to be called like a field of ours would make every record undecodable.
    document = [{**E1, "vendor": {"name": "ACME"}, "connection": {"seen": 1775131200}}]
    with pytest.raises(SourceError, match=r"\$\.connection|\$\.vendor"):
        read_json(document)
    read = read_json(document, vendor="", connection="", last_seen="connection.seen")
    assert read.complete
    assert [record.last_seen for record in read.records] == [1775131200.0]


def test_one_member_may_serve_two_fields() -> None:
    # A station that is its own EVSE has one state column for both.
    (record,) = read_json([{**E1}], station_status="status").records
    assert record.status == record.station_status == "Available"


@pytest.mark.parametrize(
    "bad",
    [{"evse_id": ["x"]}, {"status": {}}, 5, None, [], {"evse_id": "a\nb"}, {"evse": "text"}],
)
def test_a_bad_record_costs_itself_and_the_completeness(bad: object) -> None:
    # Either one bad record stops the fleet, or its EVSE silently counts as gone.
    read = read_json([E1, bad, E2], model="evse.model")
    assert ids(read) == ["DE*ABC*E1", "DE*ABC*E2"]
    assert not read.complete
    assert "record 2 cannot be decoded" in read.problems[0]
    assert read.records[1].origin == "record 3"


def test_bytes_that_are_not_utf8_cost_only_their_record() -> None:
    # One vendor name in Latin-1 would keep a whole fleet from being read.
    data = json.dumps([E1, {**E2, "vendor": "?"}]).encode().replace(b"?", b"\xfc")
    read = read_json(data)
    assert ids(read) == ["DE*ABC*E1"]
    assert not read.complete


def test_endless_nesting_is_a_bad_record_or_a_failed_read() -> None:
    # A crafted or damaged file would end the worker with a RecursionError.
    with pytest.raises(SourceError):
        read_json(b"[" * 100_000)
    read = read_ndjson(b'{"evse_id":"A","status":"x"}\n{"evse_id":' + b'{"a":' * 100_000 + b"\n")
    assert ids(read) == ["A"]
    assert not read.complete


def test_problems_are_bounded() -> None:
    # 100,000 bad records would make a log line of megabytes, every ten seconds.
    read = read_json([E1, *[7] * 500])
    assert len(read.problems) == 21
    assert read.problems[-1] == "and 480 more records that cannot be decoded"


def test_a_file_without_one_usable_record_is_a_failed_read() -> None:
    # A changed export format would look like a fleet that is gone.
    with pytest.raises(SourceError, match="none of the 30 records"):
        read_json([7] * 30)


@pytest.mark.parametrize(
    ("records", "missing"),
    [([{"EVSE": "DE*ABC*E1", "status": "x"}], "evse_id"), ([{"evse_id": "x", "State": "y"}], "status")],
)
def test_a_file_without_ids_or_without_states_names_the_members_it_has(records: object, missing: str) -> None:
    # One misspelt member name would publish the whole fleet as Unknown.
    with pytest.raises(SourceError, match=rf"{missing}.*found: (EVSE|evse_id)"):
        read_json(records)


def test_unreadable_times_are_counted_not_fatal() -> None:
    # A date format of one vendor would block every removal for good.
    read = read_json([{**E1, "updated_at": "soon"}, {**E2, "updated_at": "later"}])
    assert [record.updated_at for record in read.records] == [None, None]
    assert read.complete
    assert [record.unread for record in read.records] == [
        (("updated_at", "'soon'"),),
        (("updated_at", "'later'"),),
    ]
    assert read.problems == (
        "updated_at is unreadable in 2 record(s); first: 'soon' is not a time (expected like 2026-04-02T14:20:11Z) "
        "(record 1); if times are written so, say it with source.time_format",
    )


def test_lines_keep_their_numbers_around_blank_and_bad_ones() -> None:
    # The on-call engineer would look at the wrong line.
    read = read_ndjson(b'{"evse_id":"A","status":"x"}\n\n{"evse_id":[]}\r\n{"evse_id":"B","status":"x"}\r\n')
    assert [record.origin for record in read.records] == ["line 1", "line 4"]
    assert read.problems[0].startswith("line 3 cannot be decoded")
    assert not read.complete


def test_two_records_in_one_line_are_a_bad_line() -> None:
    # Two writers without a lock interleave: what they wrote cannot be trusted.
    read = read_ndjson(
        b'{"evse_id":"A","status":"x"}{"evse_id":"B","status":"x"}\n{"evse_id":"C","status":"x"}\n'
    )
    assert ids(read) == ["C"]
    assert not read.complete


@pytest.mark.parametrize(
    "fields",
    [
        {"evseid": "x"},
        {"last_seen": "connection.seen"},
        {"status": "evse", "evse_id": "evse.id"},
        {"origin": "x"},
    ],
)
def test_impossible_fields_are_configuration_errors(fields: dict[str, str]) -> None:
    # A typo in the configuration would show up only as missing data.
    with pytest.raises(ConfigurationError, match=r"source\.fields"):
        JsonRows(source_names(fields))
