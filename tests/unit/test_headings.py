"""Which column is which of our fields: near misses are read where nothing else fits as well, and never chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules
from oicp_adapter.core.verdicts import known_words, wordless
from oicp_adapter.core.vocabulary import load_vocabulary
from oicp_adapter.errors import SourceError
from oicp_adapter.sources.file import FileOptions, FileSource
from oicp_adapter.sources.formats.collected import Cells
from oicp_adapter.sources.formats.headings import recognised

GREENFLUX = load_vocabulary("greenflux").headings
RULES = MappingRules(vocabulary="ocpp1.6", prefixes=(parse_prefix("DE*ABC"),))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("connectorId", "connector_id"),
        ("Connector ID", "connector_id"),
        ("CONNECTOR-ID", "connector_id"),
        ("EvseID", "evse_id"),
        ("lastHeartbeat", "last_heartbeat"),
        ("last seen", "last_seen"),
        ("evse number", "evse_number"),
        ("StationStatus", "station_status"),
    ],
)
def test_case_blanks_and_dashes_of_a_name_do_not_count(theirs: str, ours: str) -> None:
    # Two connectors become the same row twice, and a dead charger is never offline.
    found = recognised([theirs, "status"], {}, {})
    assert (theirs, ours) in found.read
    assert found.near == ((theirs, ours),)
    assert found.ignored == ()


def test_an_exact_name_and_a_configured_one_win() -> None:
    found = recognised(["Status", "status", "connectorId", "Plug"], {"connector_id": "Plug"}, {})
    assert dict(found.read) == {"status": "status", "Plug": "connector_id"}
    assert found.ignored == ("Status", "connectorId")
    assert found.doubtful == ()


def test_two_that_fit_alike_are_told_and_not_chosen() -> None:
    # Which one is read depends on the order of an export's columns.
    found = recognised(["evse_id", "Connector ID", "connectorId", "STATUS"], {}, {})
    assert found.doubtful == (("connector_id", ("Connector ID", "connectorId")),)
    assert dict(found.read) == {"evse_id": "evse_id", "STATUS": "status"}


def test_a_field_that_is_left_unread_by_the_settings_stays_so() -> None:
    assert recognised(["evse_id", "status", "Vendor"], {"vendor": ""}, {}).ignored == ("Vendor",)


def test_what_looks_like_a_misspelt_name_is_told() -> None:
    found = recognised(["evse_id", "status", "conector_id", "last_hartbeat", "colour"], {}, {})
    assert found.nearly == (("conector_id", "connector_id"), ("last_hartbeat", "last_heartbeat"))
    assert "colour" in found.said()[1]


def test_the_headings_of_a_vocabularys_exports_are_known_before_ours_in_another_case() -> None:
    # GreenFlux calls the station's status Status, and the connector's Connectors.
    found = recognised(["evse_id", "Connection", "Status", "Charging", "Connectors"], {}, GREENFLUX)
    assert dict(found.read) == {
        "evse_id": "evse_id",
        "Connection": "connection",
        "Status": "station_status",
        "Charging": "charging",
        "Connectors": "status",
    }
    assert found.near == ()
    lower = recognised(["evse_id", "CONNECTORS", "Status"], {}, GREENFLUX)
    assert dict(lower.read)["CONNECTORS"] == "status"


def test_a_column_in_a_vocabulary_without_words_for_it_is_listed() -> None:
    # It stands there under our own name, and does not decide.
    found = recognised(["evse_id", "status", "lifecycle"], {}, {})
    assert not found.plain(wordless(RULES))
    assert "not read, because the vocabulary has no words for it: lifecycle" in found.said(wordless(RULES))


def read(path: Path, text: str, **fields: str) -> FileSource:
    path.write_text(text, encoding="utf-8")
    return FileSource(FileOptions(path=path, fields=fields, cells=Cells(knows=known_words(RULES))))


def test_json_members_are_found_in_every_record(tmp_path: Path) -> None:
    # The first hundred have no heartbeat; the dead charger is the last.
    rows = [{"EVSE-ID": f"DE*ABC*E{number}", "Status": "Available"} for number in range(100)]
    rows.append({"EVSE-ID": "DE*ABC*E100", "Status": "Available", "lastHeartbeat": 1})  # type: ignore[dict-item]
    for name, text in (
        ("f.json", json.dumps({"data": rows})),
        ("f.ndjson", "".join(json.dumps(row) + "\n" for row in rows)),
    ):
        found = read(tmp_path / name, text).read(0.0)
        assert [record.evse_id for record in found.records][:2] == ["DE*ABC*E0", "DE*ABC*E1"]
        assert found.records[-1].last_heartbeat is not None
        assert found.columns is not None
        assert ("lastHeartbeat", "last_heartbeat") in found.columns.near


def test_a_broken_record_costs_nobody_its_names(tmp_path: Path) -> None:
    rows = '{"EvseId": "DE*ABC*E1", "Status": "Available"}\n{"EvseId": \n{"EvseId": "DE*ABC*E2", "Status": "Faulted"}\n'
    found = read(tmp_path / "f.ndjson", rows).read(0.0)
    assert [record.status for record in found.records] == ["Available", "Faulted"]
    assert not found.complete


def test_a_column_whose_words_are_others_is_not_taken_for_ours(tmp_path: Path) -> None:
    # Charging holds kilowatt hours; Connection a SIM card's number. Each would turn the fleet Unknown.
    text = "evse_id,status,Charging,Connection\nDE*ABC*E1,Available,12.5,8949\nDE*ABC*E2,Charging,0.4,8950\n"
    found = read(tmp_path / "f.csv", text).read(0.0)
    assert [(record.charging, record.connection) for record in found.records] == [(None, None)] * 2
    assert found.columns is not None
    assert dict(found.columns.doubtful) == {"charging": ("Charging",), "connection": ("Connection",)}
    assert any("charging is not read" in problem for problem in found.problems)
    named = read(tmp_path / "g.csv", text, connection="Connection", charging="").read(0.0)
    assert [record.connection for record in named.records] == ["8949", "8950"], "who names it, gets it"


def test_states_in_words_that_nobody_knows_are_a_failed_read_where_the_name_only_nearly_fits(
    tmp_path: Path,
) -> None:
    # A first run in the wrong vocabulary would publish nothing but Unknown.
    with pytest.raises(SourceError, match="nothing tells a state: status is not read") as caught:
        read(tmp_path / "f.csv", "evse_id,Status\nDE*ABC*E1,frei\nDE*ABC*E2,besetzt\n").read(0.0)
    assert "fields" in caught.value.hint


def test_an_object_that_is_called_nearly_as_a_field_of_ours_costs_no_record(tmp_path: Path) -> None:
    # Every record would be undecodable, and no EVSE could ever go.
    rows = [{"evse_id": "DE*ABC*E1", "status": "Available", "Model": {"name": "X"}, "Connector-Id": [1, 2]}]
    found = read(tmp_path / "f.json", json.dumps(rows)).read(0.0)
    assert found.complete
    assert [record.status for record in found.records] == ["Available"]
    assert found.columns is not None
    assert found.columns.ignored == ("Connector-Id", "Model")
