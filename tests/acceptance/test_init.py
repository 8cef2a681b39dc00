"""`init`: the first configuration, by flags and by questions; never over a file, never half of one."""

from __future__ import annotations

import os
import shlex
import signal
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from oicp_adapter.settings import Settings, load_settings
from tests.acceptance.house import House
from tests.acceptance.terminal import Terminal

FLAGS = {
    "--operator-id": "DE*ABC",
    "--name": "ABC Charging",
    "--source": "export.csv",
    "--vocabulary": "ocpp1.6",
}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OICP_ADAPTER_CONFIG", raising=False)


def init(*words: str, **flags: str | None) -> Result:
    given = FLAGS | {"--" + name.replace("_", "-"): value for name, value in flags.items()}
    listed = [word for name, value in given.items() if value is not None for word in (name, value)]
    return CliRunner().invoke(app, ["init", *listed, *words])


def written(path: str = "config/adapter.toml") -> Settings:
    return load_settings(Path(path), {})


def left() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_flags_alone_write_a_configuration_for_the_test_system(tmp_path: Path) -> None:
    # In the field: an installation script; PROD by default would publish a trial to drivers.
    result = init()
    assert (result.exit_code, result.stdout) == (0, "config/adapter.toml\n")
    assert "oicp-adapter check " in result.stderr
    settings = written()
    operator = settings.operators["abc"]
    assert (settings.hubject.environment, settings.hubject.base_url) == ("qa", None)
    assert (operator.id, operator.name, operator.source.vocabulary) == ("DE*ABC", "ABC Charging", "ocpp1.6")
    assert operator.source.path == tmp_path / "export.csv"
    assert operator.certificate == tmp_path / "client.pem"
    assert left() == ["config/adapter.toml"]


@pytest.mark.parametrize(
    ("words", "environment", "base_url", "certificate"),
    [
        (("--environment", "prod"), "prod", None, True),
        (("--base-url", "http://127.0.0.1:9400/api/oicp"), "qa", "http://127.0.0.1:9400/api/oicp", False),
        (("--base-url", "https://hub.example.com/api/oicp"), "qa", "https://hub.example.com/api/oicp", True),
    ],
    ids=["prod", "http", "https"],
)
def test_the_system_decides_about_certificates(
    words: tuple[str, ...], environment: str, base_url: str | None, certificate: bool
) -> None:
    # In the field: a simulator needs none, and a system that needs one without it is refused at the start.
    assert init(*words).exit_code == 0
    settings = written()
    assert (settings.hubject.environment, settings.hubject.base_url) == (environment, base_url)
    assert (settings.operators["abc"].certificate is not None) == certificate
    assert ("certificate" in Path("config/adapter.toml").read_text()) == certificate


def test_columns_and_files_of_ones_own(tmp_path: Path) -> None:
    # In the field: no backend calls its columns as we do.
    words = [
        "--field",
        "evse_id=EVSE-ID",
        "--field",
        "status=Zustand",
        "--format",
        "csv",
        "--key",
        "tls/k.pem",
    ]
    assert init(*words, certificate="/etc/tls/c.pem", ca_file="ca.pem").exit_code == 0
    settings = written()
    operator = settings.operators["abc"]
    assert operator.source.fields == {"evse_id": "EVSE-ID", "status": "Zustand"}
    assert (operator.source.format, operator.certificate) == ("csv", Path("/etc/tls/c.pem"))
    assert (operator.key, settings.hubject.ca_file) == (tmp_path / "tls/k.pem", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    "config", ["adapter.toml", "etc/adapter.toml", "config/adapter.toml", "config/other.toml"]
)
def test_paths_mean_the_same_in_the_file_as_on_the_command_line(tmp_path: Path, config: str) -> None:
    # In the field: the export is looked for beside the configuration, where it is not.
    assert init("--config", config, "--certificate", "tls/mine.pem").exit_code == 0
    operator = written(config).operators["abc"]
    assert (operator.source.path, operator.certificate) == (
        tmp_path / "export.csv",
        tmp_path / "tls/mine.pem",
    )


@pytest.mark.parametrize("named", ["option", "variable"])
def test_the_file_can_be_named_and_the_next_commands_name_it_too(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the field: the commands that are printed must work as they are.
    if named == "variable":
        monkeypatch.setenv("OICP_ADAPTER_CONFIG", "here.toml")
    result = init(*(["--config", "here.toml"] if named == "option" else []))
    assert result.exit_code == 0, result.output
    assert "oicp-adapter plan --config here.toml" in result.stderr
    assert left() == ["here.toml"]


@pytest.mark.parametrize("there", ["a file", "a directory", "a link to nowhere"])
def test_what_is_there_is_never_overwritten(there: str) -> None:
    # In the field: the configuration of two hundred operators, replaced by an example.
    Path("config").mkdir()
    path = Path("config/adapter.toml")
    if there == "a file":
        path.write_text("# mine\n")
    elif there == "a directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere.toml")
    result = init()
    assert result.exit_code == 2
    assert "fix:" in result.stderr
    assert path.read_text() == "# mine\n" if there == "a file" else left() == []


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ('Stadtwerke "Süd" \\ Nord', {}),
        ("Ö" * 100, {}),
        ("a\x7fb", {}),
        ("ABC", {"source": 'a "b".csv', "operator_id": "+49*123"}),
    ],
    ids=["quotes", "long", "delete", "file"],
)
def test_special_characters_come_through(tmp_path: Path, name: str, flags: dict[str, str]) -> None:
    # In the field: the operator's name at Hubject is not the operator's name.
    assert init(name=name, **flags).exit_code == 0
    (operator,) = written().operators.values()
    assert operator.name == name
    assert operator.source.path == tmp_path / flags.get("source", "export.csv")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"operator_id": "ABC"}, ".id: is not an OperatorID"),
        ({"name": ""}, "operators.abc.name: is empty"),
        ({"name": "x" * 101}, "operators.abc.name"),
        ({"vocabulary": "ocpp"}, "operators.abc.source.vocabulary: is not a vocabulary; known are chargefox"),
        ({"base_url": "http://hubject.example"}, "hubject.base_url"),
        ({"field": "evseid=X"}, "operators.abc.source.fields"),
        ({"field": "status"}, "--field status has no ="),
        ({"name": "\udce4"}, "UTF-8"),
        ({"name": None, "source": None}, "--name, --source: missing, and nobody can be asked"),
    ],
)
def test_what_cannot_work_is_told_and_nothing_is_written(flags: dict[str, str | None], words: str) -> None:
    # In the field: half a file is in the way of the next try.
    result = init(**flags)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "fix:" in result.stderr
    assert ".draft" not in result.stderr
    assert "/tmp" not in result.stderr
    assert left() == []


def test_all_problems_are_told_at_once() -> None:
    # In the field: three rounds of correct-and-retry.
    result = init(operator_id="X", name="", vocabulary="y")
    for word in ("config/adapter.toml, not written, has 3 problems", ".id:", ".name:", ".vocabulary:"):
        assert word in result.stderr


def test_a_place_that_cannot_be_written_is_named() -> None:
    # In the field: a directory that is a file.
    Path("config").write_text("x")
    result = init()
    assert result.exit_code == 2
    assert "config/adapter.toml cannot be written" in result.stderr


def _asked(house: House, *words: str) -> Terminal:
    return house.terminal(shlex.join(house.command("init", *words, config=False)))


def test_a_person_is_asked_and_a_wrong_answer_is_asked_again(house: House) -> None:
    # In the field: the first minute with the program.
    terminal = _asked(house)
    for question, answer in (
        ("OperatorID", "Stadtwerke"),
        ("OperatorID", "de*stw"),
        ("Operator name", 'Stadtwerke "Süd"'),
        ("File", "export.csv"),
        ("Whose words", "german"),
        ("Whose words", "oicp"),
        ("Its column with the EvseID", "Ladepunkt"),
        ("Its column with the state", ""),
        ("Hubject's system", "test"),
        ("Hubject's system", ""),
        ("Client certificate", "stw.pem"),
        ("Its key", ""),
        ("CA of Hubject", ""),
    ):
        terminal.answers(question, answer)
    assert terminal.ends() == 0, terminal.screen
    assert "not an OperatorID: 'Stadtwerke'" in terminal.screen
    assert "oicp-adapter check" in terminal.screen
    settings = load_settings(house.place / "config/adapter.toml", {})
    operator = settings.operators["stw"]
    assert (operator.id, operator.name, operator.source.vocabulary) == ("DE*STW", 'Stadtwerke "Süd"', "oicp")
    assert (operator.source.fields, settings.hubject.environment) == ({"evse_id": "Ladepunkt"}, "qa")
    assert (operator.certificate, operator.key) == (house.place / "stw.pem", house.place / "client.key")


def test_what_a_flag_told_is_not_asked_and_a_simulator_needs_no_certificate(house: House) -> None:
    # In the field: questions whose answer is known are why people stop answering.
    terminal = _asked(house, "--operator-id", "DE*ABC", "--field", "status=State")
    terminal.answers("Operator name", "ABC")
    terminal.answers("File", "export.csv")
    terminal.answers("Whose words", "ocpp1.6")
    terminal.answers("Hubject's system", house.simulator.base_url)
    assert terminal.ends() == 0, terminal.screen
    text = (house.place / "config/adapter.toml").read_text()
    assert tomllib.loads(text)["operators"]["abc"]["source"]["fields"] == {"status": "State"}
    assert "certificate" not in text


def test_who_gives_up_leaves_nothing_behind(house: House) -> None:
    # In the field: Ctrl-C to look something up, and then the file "exists and is not overwritten".
    terminal = _asked(house)
    terminal.answers("OperatorID", "DE*ABC")
    terminal.waits_for(1)
    assert terminal.ends(signal.SIGINT) != 0
    assert "Traceback" not in terminal.screen
    assert os.listdir(house.place) == []


def test_an_export_that_is_there_offers_its_columns(house: House) -> None:
    # In the field: the columns are typed from memory, and one that is called otherwise is never read.
    text = "Anlagen, Stand heute\nEVSE;Anschluss;Störung;connectorId\nDE*ABC*E1;ok;nein;1\n"
    (house.place / "export.csv").write_bytes(text.encode("cp1252"))
    terminal = _asked(house, "--operator-id", "DE*ABC", "--name", "ABC", "--vocabulary", "ocpp1.6")
    terminal.answers("File", "export.csv")
    terminal.answers("Its column with the EvseID [EVSE]", "")
    terminal.answers("Its column with the state:", "Anschluß")
    terminal.answers("Its encoding, as it is no UTF-8 [cp1252]", "klingon")
    terminal.answers("Its encoding", "")
    terminal.answers("Hubject's system", house.simulator.base_url)
    assert terminal.ends() == 0, terminal.screen
    assert "its columns: EVSE, Anschluss, Störung, connectorId\n" in terminal.screen
    assert "note: it has no column 'Anschluß'\n" in terminal.screen
    assert "columns read: EVSE as evse_id, connectorId as connector_id\n" in terminal.screen
    assert "columns not read: Anschluss, Störung\n" in terminal.screen
    source = load_settings(house.place / "config/adapter.toml", {}).operators["abc"].source
    assert source.fields == {"evse_id": "EVSE", "status": "Anschluß"}
    assert source.encoding == "cp1252"


def test_records_that_lie_deeper_are_offered_with_what_they_lie_in(house: House) -> None:
    # In the field: a newcomer has to learn JMESPath before the first status is seen.
    (house.place / "export.json").write_text('{"sites": [{"evse": "DE*ABC*E1", "plugs": [{"status": "x"}]}]}')
    terminal = _asked(house, "--operator-id", "DE*ABC", "--name", "ABC", "--source", "export.json")
    terminal.answers("Whose words", "ocpp1.6")
    terminal.answers("Where its records are [sites[].plugs[]]", "nowhere[]")
    terminal.answers("Where its records are", "")
    terminal.answers("Its column with the EvseID", "^.evse")
    terminal.answers("Its column with the state [status]", "")
    terminal.answers("Hubject's system", house.simulator.base_url)
    assert terminal.ends() == 0, terminal.screen
    assert "its columns: status, ^.evse\n" in terminal.screen
    source = load_settings(house.place / "config/adapter.toml", {}).operators["abc"].source
    assert (source.records, source.fields) == ("sites[].plugs[]", {"evse_id": "^.evse"})


def test_ocpi_and_the_headings_of_a_vocabulary_need_no_columns(house: House) -> None:
    # In the field: GreenFlux's Status is that of the station; asked for "the state" one would name it.
    (house.place / "a.json").write_text('[{"id": "1", "evses": [{"uid": "1", "connectors": [{"id": "1"}]}]}]')
    (house.place / "a.csv").write_text("EvseID,Status,Connectors\nDE*ABC*E1,Enabled,1:Available\n")
    for name, vocabulary, question in (
        ("a.json", "ocpi", "Its format [ocpi-locations]"),
        ("a.csv", "greenflux", "Its column with the EvseID [EvseID]"),
    ):
        config = f"{vocabulary}.toml"
        terminal = _asked(
            house, "--operator-id", "DE*ABC", "--name", "ABC", "--source", name, "--config", config
        )
        terminal.answers("Whose words", vocabulary)
        terminal.answers(question, "")
        terminal.answers("Hubject's system", house.simulator.base_url)
        assert terminal.ends() == 0, terminal.screen
        source = load_settings(house.place / config, {}).operators["abc"].source
        assert (source.format, source.fields) in (
            ("ocpi-locations", {}),
            ("auto", {"evse_id": "EvseID"}),
        )
        assert ("Connectors as status, Status as station_status" in terminal.screen) == (name == "a.csv")


def test_an_export_that_cannot_be_read_is_told_and_asked_about_as_before(house: House) -> None:
    (house.place / "export.json").write_text('{"data": [')
    terminal = _asked(house, "--operator-id", "DE*ABC", "--name", "ABC", "--vocabulary", "ocpp1.6")
    terminal.answers("File", "export.json")
    terminal.answers("Its column with the EvseID [evse_id]", "")
    terminal.answers("Its column with the state [status]", "")
    terminal.answers("Hubject's system", house.simulator.base_url)
    assert terminal.ends() == 0, terminal.screen
    assert "note: export.json: not the JSON expected" in terminal.screen
