"""Loading the configuration: which file, which paths, what the environment may override."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from oicp_adapter.core.plan import Missing
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.errors import ConfigurationError
from oicp_adapter.settings import Settings, load_settings
from oicp_adapter.settings.schedule import Daily, Interval
from tests.unit.settings_files import MINIMAL, changed, load, problems, refusal

SLB = "OICP_ADAPTER__OPERATORS__SLB__"


def test_the_minimal_file_of_the_documentation_loads_word_for_word() -> None:
    # The first thing a new user tries does not work.
    settings = load(MINIMAL)
    operator = settings.operators["slb"]
    assert settings.hubject.base_url == "http://127.0.0.1:9400/api/oicp"
    assert not settings.hubject.uses_tls
    assert settings.delivery.settle == 60.0
    assert (operator.operator_id.wire, operator.name) == ("DE*SLB", "SWLB")
    assert operator.schedule.delta == Interval(2.0)
    assert operator.schedule.reconcile == Interval(60.0)
    assert operator.schedule.full == Daily(3, 0)


def test_what_is_not_written_is_cautious() -> None:
    # A default publishes a test fleet to drivers, or deletes what others have pushed.
    settings = load(MINIMAL)
    assert settings.hubject.environment == "qa"
    assert settings.delivery.missing is Missing.EVSE_NOT_FOUND
    assert settings.operators["slb"].first_full_load == "manual"


def test_a_dead_export_does_not_freeze_a_map_for_ever_by_default() -> None:
    # An export dies on a Friday, and drivers are sent to what was free then until somebody looks.
    assert load(MINIMAL).operators["slb"].source.unknown_after == 86_400.0
    off = load(changed('format = "ocpi-locations"', 'format = "ocpi-locations", unknown_after = "off"'))
    assert off.operators["slb"].source.unknown_after is None


def test_without_prefixes_the_operator_owns_what_begins_with_its_id() -> None:
    # Every EVSE is refused as foreign, or EVSEs of another operator are pushed.
    operator = load(changed('evse_id_prefixes = ["DE*SLB"]', "")).operators["slb"]
    assert [prefix.text for prefix in operator.prefixes] == ["DE*SLB"]


def test_the_file_is_the_given_one_then_the_environments_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The daemon runs with another configuration than the person thinks.
    monkeypatch.chdir(tmp_path)
    named = {}
    for name in ("given.toml", "named.toml", "config/adapter.toml"):
        named[name] = tmp_path / name
        named[name].parent.mkdir(exist_ok=True)
        named[name].write_text(changed('"SWLB"', f'"{name}"'))
    environ = {"OICP_ADAPTER_CONFIG": str(named["named.toml"])}

    def name_in(settings: Settings) -> str:
        return settings.operators["slb"].name

    assert name_in(load_settings(named["given.toml"], environ)) == "given.toml"
    assert name_in(load_settings(None, environ)) == "named.toml"
    assert name_in(load_settings(None, {})) == "config/adapter.toml"
    assert name_in(load_settings(None, {"OICP_ADAPTER_CONFIG": ""})) == "config/adapter.toml"


def test_relative_paths_start_at_the_files_directory_or_above_config_adapter_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Started by systemd the daemon opens an empty ledger elsewhere: a first run.
    for name in ("config/adapter.toml", "config/other.toml", "etc/adapter.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MINIMAL)

    def ledger(path: str | None, *, seen_from: Path) -> str:
        monkeypatch.chdir(seen_from)
        settings = load_settings(Path(path) if path else None, {})
        directory = Path(settings.ledger.url.removeprefix("sqlite:///")).parent
        assert settings.operators["slb"].source.path == directory / "fleet.json"
        return str(directory.relative_to(tmp_path))

    # The one file, however it is named: two ledgers would be two locks, and two who push.
    assert ledger(None, seen_from=tmp_path) == "."
    assert ledger("config/adapter.toml", seen_from=tmp_path) == "."
    assert ledger("adapter.toml", seen_from=tmp_path / "config") == "."
    assert ledger(str(tmp_path / "config/adapter.toml"), seen_from=tmp_path / "etc") == "."

    assert ledger("config/other.toml", seen_from=tmp_path) == "config"
    assert ledger("etc/adapter.toml", seen_from=tmp_path) == "etc"
    assert ledger("../etc/adapter.toml", seen_from=tmp_path / "config") == "config/../etc"


def test_absolute_paths_stay() -> None:
    # The ledger on its volume is not found after the configuration was moved.
    text = MINIMAL.replace("sqlite:///ledger.db", "sqlite:////var/lib/x%20y.db").replace(
        "fleet.json", "/data/f.json"
    )
    settings = load(text)
    assert settings.ledger.url == "sqlite:////var/lib/x%20y.db"
    assert settings.operators["slb"].source.path == Path("/data/f.json")


def test_the_environment_wins_over_the_file() -> None:
    # A container with its settings in variables runs with those of the image.
    operator = load(MINIMAL, {SLB + "NAME": "Other", SLB + "SCHEDULE__DELTA": "5s"}).operators["slb"]
    assert (operator.name, operator.schedule.delta) == ("Other", Interval(5.0))
    assert operator.schedule.reconcile == Interval(60.0)


def test_names_of_variables_have_no_case_and_lists_are_separated_by_commas() -> None:
    # Half of a deployment's variables are ignored.
    operator = load(MINIMAL, {SLB.lower() + "evse_id_prefixes": "DE*SLB, DE*ABC"}).operators["slb"]
    assert operator.evse_id_prefixes == ("DE*SLB", "DE*ABC")


def test_a_variable_reaches_an_operator_with_a_dash_in_its_name() -> None:
    # The variable makes a second, half configured operator instead.
    text = changed("[operators.slb]", "[operators.my-op]")
    assert load(text, {"OICP_ADAPTER__OPERATORS__MY_OP__NAME": "Other"}).operators["my-op"].name == "Other"


def test_a_variable_that_two_operators_would_share_is_refused() -> None:
    # One of them is changed, the other is not, and nobody is told.
    second = MINIMAL[MINIMAL.index("[operators.slb]") :].replace("DE*SLB", "DE*ABC")
    two = MINIMAL.replace("slb", "my-op") + second.replace("slb", "my_op")
    variable = "OICP_ADAPTER__OPERATORS__MY_OP__NAME"
    assert list(load(two).operators) == ["my-op", "my_op"]
    told = problems(two, {variable: "Other"})
    assert told == {
        variable: "can mean operators.my-op or operators.my_op; rename one of them, or set it in the file"
    }


def test_words_of_the_source_that_differ_by_case_each_have_their_variable() -> None:
    # "Free" and "FREE" of two systems behind one export: the wrong one is changed.
    text = MINIMAL + '\n[operators.slb.mapping.overrides]\nFree = "Available"\nFREE = "Occupied"\n'
    overrides = SLB + "MAPPING__OVERRIDES__"
    assert load(text, {overrides + "FREE": "Unknown"}).operators["slb"].mapping.overrides == {
        "Free": Target.AVAILABLE,
        "FREE": Target.UNKNOWN,
    }
    assert list(problems(text, {overrides + "free": "Unknown"})) == [overrides + "free"]


def test_a_source_value_in_a_variable_keeps_its_spelling() -> None:
    # The override never matches, because values are compared as they are written.
    mapping = load(MINIMAL, {SLB + "MAPPING__OVERRIDES__Preparing": "Available"}).operators["slb"].mapping
    assert mapping.overrides == {"Preparing": Target.AVAILABLE}


def test_an_operator_can_be_configured_by_the_environment_alone() -> None:
    # Kubernetes deployments that keep everything in variables cannot add an operator.
    new = "OICP_ADAPTER__OPERATORS__NEW__"
    values = {"ID": "DE*NEW", "NAME": "New", "SOURCE__TYPE": "file", "SOURCE__PATH": "n.csv"}
    environ = {new + name: value for name, value in values.items()} | {new + "SOURCE__VOCABULARY": "ocpi"}
    assert list(load(MINIMAL, environ).operators) == ["slb", "new"]


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_not_ours() -> None:
    # A Service called oicp-adapter makes every pod refuse to start.
    load(MINIMAL, {"OICP_ADAPTER_SERVICE_HOST": "10.0.0.1", "OICP_ADAPTER_PORT_9400_TCP_ADDR": "10.0.0.1"})


def test_the_process_environment_is_read_only_as_far_as_it_is_passed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `demo` and tests silently run with the settings of the shell.
    monkeypatch.setenv(SLB + "NAME", "From the shell")
    assert load(MINIMAL).operators["slb"].name == "SWLB"


def test_a_reference_is_replaced_by_the_variable_it_names() -> None:
    # The proxy is asked for a password "${PASSWORD}".
    text = changed("[ledger]", 'proxy = "http://u:${PASSWORD}@proxy:3128"\n[ledger]')
    proxy = load(text, {"PASSWORD": "s3cret"}).hubject.proxy
    assert proxy is not None
    assert proxy.get_secret_value() == "http://u:s3cret@proxy:3128"


@pytest.mark.parametrize("environ", [{}, {"PASSWORD": ""}])
def test_a_reference_to_nothing_is_told_by_path_and_only_once(environ: dict[str, str]) -> None:
    # A missing secret becomes an empty password, or a riddle about another value.
    told = problems(changed('"DE*SLB"\nname', '"${PASSWORD}"\nname'), environ)
    assert list(told) == ["operators.slb.id"]
    assert "PASSWORD" in told["operators.slb.id"]


@pytest.mark.parametrize("broken", ["${", "${PASSWORD", "${}", "${PASS-WORD}"])
def test_a_broken_reference_is_not_taken_for_text(broken: str) -> None:
    # The literal text is sent as a password.
    assert list(problems(changed("SWLB", broken), {"PASSWORD": "x"})) == ["operators.slb.name"]


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    # pydantic-settings takes a missing file for an empty one: the daemon would run on defaults.
    with pytest.raises(ConfigurationError, match="there is no configuration file") as caught:
        load_settings(tmp_path / "none.toml", {})
    assert "oicp-adapter init" in caught.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = 9", b"[a]\nb = \x00"])
def test_a_file_that_is_no_configuration_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    # A traceback at the start of the daemon.
    file = tmp_path / "adapter.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"adapter\.toml"):
        load_settings(file, {})


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    # A wrong volume mount makes a directory of the file's name.
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path, {})


def test_broken_toml_names_line_and_column() -> None:
    # The person searches the missing quote in 200 operators.
    error = refusal(changed('"60s"', '"60s'))
    assert "line 8" in error.message


@pytest.mark.parametrize("number", ["9" * 5000, "[" * 5000])
def test_absurd_toml_is_a_clear_error(number: str) -> None:
    # A traceback that quotes the file.
    assert "is not TOML" in refusal(changed('"60s"', number)).message


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    # Every file saved by a Windows editor is refused.
    load("\ufeff" + MINIMAL.replace("\n", "\r\n"))


def test_settings_cannot_be_changed_once_loaded() -> None:
    # A worker thread changes what another one is using.
    with pytest.raises(ValidationError):
        load(MINIMAL).hubject.timeout = 1.0
