"""`oicp-adapter map` as a person types it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app

CONFIGURATION = """\
[hubject]
base_url = "http://127.0.0.1:9400/api/oicp"

[operators.one]
id = "DE*ABC"
name = "One"
source = { type = "file", path = "one.csv", vocabulary = "ocpp1.6", fields = { status = "State" } }
mapping.overrides = { Preparing = "Available" }
mapping.rules.weak = { value = "Faulted", error_code = "WeakSignal", to = "Available" }
"""
SECOND = """
[operators.two]
id = "DE*DEF"
name = "Two"
source = { type = "file", path = "two.csv", vocabulary = "ocpi" }
"""


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OICP_ADAPTER_CONFIG", raising=False)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["map", *arguments], input=stdin)


def told(*arguments: str, stdin: str | None = None) -> Any:
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def outcome(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    (found,) = told(*arguments, stdin=stdin)["outcomes"]
    return dict(found)


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "adapter.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return str(file)


def test_a_value_is_tried_without_any_configuration() -> None:
    # The first question of a newcomer needs a configuration to be answered.
    result = run("Preparing", "--vocabulary", "ocpp1.6")
    assert result.exit_code == 0
    first, *lines = result.stdout.splitlines()
    assert first == "Preparing → Occupied"
    shown = dict(line.split(maxsplit=1) for line in lines)
    assert shown["rule"] == "ocpp1.6 Preparing"
    assert shown["because"].endswith(".")
    assert shown["source"].startswith("OCPP 1.6")
    assert shown["change"] == "mapping.overrides.Preparing"


def test_the_other_columns_of_a_record_count() -> None:
    # A four-column platform is tried by one of its columns.
    columns = (
        "--connection",
        "Online",
        "--station-status",
        "Enabled",
        "--charging",
        "Yes",
        "--lifecycle",
        "Production",
    )
    assert outcome("Unknown", "--vocabulary", "greenflux", *columns)["status"] == "Occupied"
    assert outcome("", "--vocabulary", "greenflux", "--lifecycle", "Stock")["status"] == "EvseNotFound"


def test_with_an_operator_its_rules_and_vocabulary_count(config: str) -> None:
    # The rule is tried, and another one is in service.
    assert outcome("Faulted", "--error-code", "weaksignal", "--config", config)["rule"] == "rule weak"
    assert outcome("Preparing", "--config", config)["rule"] == "override Preparing"
    assert outcome("CHARGING", "--config", config, "--vocabulary", "ocpi")["rule"] == "ocpi CHARGING"


def test_a_record_is_read_as_a_source_reads_it() -> None:
    # A time or number that the daemon understands is refused here, or the other way round.
    record = {
        "evse_id": "DE*ABC*E1",
        "status": "AVAILABLE",
        "last_heartbeat": "2020-01-01T00:00:00Z",
        "model": 7,
    }
    found = outcome("--record", "--vocabulary", "ocpi", stdin=json.dumps(record))
    assert (found["status"], found["rule"]) == ("Unknown", "offline: last sign of life older than 45min")


def test_several_records_are_joined_into_their_evses() -> None:
    # The connector rule cannot be tried.
    rows = [
        {"evse_id": "DE*ABC*E1", "connector_id": 1, "status": "Available"},
        {"evse_id": "DE*ABC*E1", "connector_id": 2, "status": "Charging"},
    ]
    found = outcome("--record", "--vocabulary", "ocpp1.6", stdin=json.dumps(rows))
    assert found["rule"] == "any connector in use (2: ocpp1.6 Charging)"


def test_a_record_that_cannot_be_published_says_why() -> None:
    # Nothing is printed, and the person believes all is well.
    result = run("--record", "--vocabulary", "ocpi", stdin='{"evse_id": "E 1", "status": "AVAILABLE"}')
    assert (result.exit_code, result.stdout) == (0, "")
    assert "not publishable: E 1: not an EvseID" in result.stderr
    number = run("--record", "--vocabulary", "ocpi", stdin='{"evse_id": 17, "status": "AVAILABLE"}')
    assert "not publishable: 17: not an EvseID" in number.stderr


def test_a_table_is_printed_and_told_as_json() -> None:
    # The page in the documentation is of another version than the program.
    assert "REMOVED" in run("--table", "ocpi").stdout
    rows = {row["value"]: row["status"] for row in told("--table", "ocpi")["values"]}
    assert (rows["REMOVED"], rows["PLANNED"]) == ("EvseNotFound", "not published")


def test_a_fleet_is_counted_and_its_unmapped_values_are_listed(tmp_path: Path) -> None:
    # Ten minutes to a dry run: one's own column names, one's own words.
    fleet = tmp_path / "export.csv"
    fleet.write_text("Id,State\nDE*ABC*E1,Available\nDE*ABC*E2,Available\nDE*ABC*E3,Frei\nE 4,Frei\n")
    arguments = (
        "--file",
        str(fleet),
        "--vocabulary",
        "ocpp1.6",
        "--field",
        "evse_id=Id",
        "--field",
        "status=State",
    )
    found = told(*arguments)
    assert found["statuses"] == {"Available": 2, "Unknown": 1}
    assert [(one["value"], one["count"]) for one in found["unmapped"]] == [("Frei", 1)]
    assert [one["origin"] for one in found["rejected"]] == ["line 5"]
    assert (found["complete"], found["prefixes"]) == (True, ["DE*ABC"])
    shown = run(*arguments)
    assert "total: Available 2, Unknown 1" in shown.stdout
    assert "unmapped: ocpp1.6 'Frei' (1 records) → Unknown" in shown.stdout
    assert 'mapping.overrides."Frei"' in shown.stdout
    assert "not publishable: E 4" in shown.stderr


def test_a_fleet_is_read_with_the_operators_own_field_names(config: str, tmp_path: Path) -> None:
    # What `map` counts is not what `sync` would push.
    fleet = tmp_path / "export.csv"
    fleet.write_text("evse_id,State\nDE*ABC*E1,Preparing\nDE*DEF*E1,Preparing\n")
    found = told("--file", str(fleet), "--operator", "one", "--config", config)
    assert found["statuses"] == {"Available": 1}
    assert len(found["rejected"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "map needs one thing to try"),
        (("Available", "--table", "ocpi"), 2, "map needs one thing to try"),
        (("Available",), 2, "--vocabulary is missing"),
        (("Available", "--vocabulary", "ocpp"), 2, "did you mean"),
        (("--table", "ocpp"), 2, "did you mean"),
        (("Available", "--operator", "one"), 2, "there is no configuration file"),
        (("--file", "nothing.csv", "--vocabulary", "ocpi"), 5, "nothing.csv: cannot be read"),
        (("--file", "x.csv", "--vocabulary", "ocpi", "--field", "status"), 2, "has no ="),
        (
            ("--file", "x.csv", "--vocabulary", "ocpi", "--field", "state=s"),
            2,
            "'state' is not a field of ours",
        ),
        (("--file", "x.xls", "--vocabulary", "ocpi"), 2, "cannot tell the format"),
        (("--record", "--vocabulary", "ocpi"), 5, "stdin is not a record"),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_message(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    # A traceback, or an exit code that a script takes for success.
    result = run(*arguments, stdin="{")
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("oicp-adapter: ")
    assert said in result.stderr
    assert "fix: " in result.stderr


def test_a_misspelt_member_of_a_record_is_refused() -> None:
    # The condition under test silently does not apply.
    result = run("--record", "--vocabulary", "ocpi", stdin='{"status": "AVAILABLE", "errorcode": "x"}')
    assert result.exit_code == 2
    assert "errorcode: not a field of ours" in result.stderr


def test_a_table_needs_no_operator(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # In the container of two operators, "which of them?" is asked of somebody who wants to read a table.
    Path(config).write_text(CONFIGURATION + SECOND, encoding="utf-8")
    monkeypatch.setenv("OICP_ADAPTER_CONFIG", config)
    assert told("--table", "greenflux")["vocabulary"] == "greenflux"
    assert outcome("Available", "--vocabulary", "ocpp1.6")["status"] == "Available"
    note = run("--table", "ocpp1.6")
    assert (note.exit_code, "as delivered" in note.stderr, "--operator: one, two" in note.stderr) == (
        0,
        True,
        True,
    )


def test_several_operators_need_a_name(config: str) -> None:
    # The rules of the wrong operator are tried.
    Path(config).write_text(CONFIGURATION + SECOND, encoding="utf-8")
    result = run("Available", "--config", config)
    assert result.exit_code == 2
    assert "--operator: one, two" in result.stderr
    assert outcome("AVAILABLE", "--config", config, "--operator", "two")["rule"] == "ocpi AVAILABLE"


def test_a_register_as_a_spreadsheet_exports_it_is_read_by_the_settings(tmp_path: Path) -> None:
    # Text above the header, bars between the columns, Windows' umlauts: it took a converter.
    config = tmp_path / "adapter.toml"
    config.write_text(
        CONFIGURATION.replace(
            'source = { type = "file", path = "one.csv", vocabulary = "ocpp1.6", fields = { status = "State" } }',
            'source = { type = "file", path = "one.csv", vocabulary = "ocpp1.6", delimiter = "|", header_row = 3, '
            'encoding = "cp1252", fields = { evse_id = "S\u00e4ule", status = "State" } }',
        ),
        encoding="utf-8",
    )
    register = "Stand|evse_id|State\n28.11.2026|1|Available\nS\u00e4ule|Ort|State\nDE*ABC*E1|K\u00f6ln, West|Charging\n"
    (tmp_path / "one.csv").write_bytes(register.encode("cp1252"))
    found = outcome("--file", "one.csv", "--config", str(config))
    assert (found["status"], found["example"]) == ("Occupied", "DE*ABC*E1")
    wrong = config.read_text(encoding="utf-8").replace("header_row = 3", "header_row = 2")
    config.write_text(wrong, encoding="utf-8")
    result = run("--file", "one.csv", "--config", str(config))
    assert result.exit_code == 5
    assert "28.11.2026" in result.stderr


def test_the_configuration_in_the_working_directory_counts(tmp_path: Path) -> None:
    # A person sets an override, tries it, and is shown the table as delivered.
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "adapter.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    assert outcome("Preparing")["rule"] == "override Preparing"
    assert outcome("PREPARING")["rule"] == "override Preparing", "in any spelling"
    file.write_text("not TOML", encoding="utf-8")
    result = run("Preparing", "--vocabulary", "ocpp1.6")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "Preparing → Occupied")
    assert "as delivered, because" in result.stderr
    assert run("Preparing").exit_code == 2


def test_the_tables_that_map_prints_are_whole_and_can_be_copied(config: str, tmp_path: Path) -> None:
    # Words of two columns, one of them with an override already: pasted, they load, and nothing is lost.
    fleet = tmp_path / "export.csv"
    fleet.write_text(
        "evse_id,State,connection\nDE*ABC*E1,Frei,ja\nDE*ABC*E2,Besetzt,nein\nDE*ABC*E3,Preparing,ja\n"
    )
    said = run("--file", str(fleet), "--config", config).stdout
    lines = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    begins = next(number for number, line in enumerate(lines) if line.startswith("[operators.one.mapping"))
    assert 'Preparing = "Available"' in lines
    text = CONFIGURATION.replace('mapping.overrides = { Preparing = "Available" }\n', "").replace(
        "mapping.rules.weak =", "#"
    )
    Path(config).write_text(text + "\n".join(lines[begins:]) + "\n", encoding="utf-8")
    found = told("--file", str(fleet), "--config", config)
    assert found["unmapped"] == []
