"""The first configuration: whatever a person answers, the file loads and says exactly that."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.ids import parse_evse_id
from oicp_adapter.settings import Settings, load_settings
from oicp_adapter.settings.starter import Answers, starter

QA = Answers(
    key="abc",
    operator_id="DE*ABC",
    name="ABC Charging",
    environment="qa",
    base_url=None,
    path="export.csv",
    format="auto",
    fields={"evse_id": "EVSE", "status": "State"},
    vocabulary="ocpp1.6",
    ca_file="hubject-ca.pem",
    certificate="client.pem",
    key_file="client.key",
    paths_start="this file's directory",
)
SIMULATED = dataclasses.replace(QA, base_url="http://127.0.0.1:9400/api/oicp", fields={})
PROD = dataclasses.replace(QA, environment="prod", operator_id="+49*123", key="operator")
ELSEWHERE = dataclasses.replace(QA, base_url="HTTPS://hub.example.com/api/oicp")

answers = pytest.mark.parametrize(
    "answers", [QA, SIMULATED, PROD, ELSEWHERE], ids=["qa", "simulated", "prod", "elsewhere"]
)


def loaded(text: str, place: Path) -> Settings:
    file = place / "adapter.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {})


@answers
def test_it_loads_and_says_what_was_answered(answers: Answers, tmp_path: Path) -> None:
    # The first file somebody gets is refused, or publishes under another name or to another system.
    settings = loaded(starter(answers), tmp_path)
    (operator,) = settings.operators.values()
    assert list(settings.operators) == [answers.key]
    assert (operator.id, operator.name) == (answers.operator_id, answers.name)
    assert (operator.source.path, operator.source.fields) == (tmp_path / "export.csv", answers.fields)
    if answers.base_url is None:
        assert (settings.hubject.base_url, settings.hubject.environment) == (None, answers.environment)
    else:
        assert str(settings.hubject.base_url).lower() == answers.base_url.lower()
    assert (operator.certificate is None) == (answers is SIMULATED)


@answers
def test_nothing_is_adopted_or_observed_unless_a_person_says_so(answers: Answers, tmp_path: Path) -> None:
    # A starting point that deletes what somebody else pushed.
    (operator,) = loaded(starter(answers), tmp_path).operators.values()
    assert (operator.first_full_load, operator.mode) == ("manual", "push")
    assert (operator.mapping.overrides, operator.evse_id_prefixes) == ({}, None)


@answers
def test_every_line_that_is_commented_out_is_right_when_it_is_not(answers: Answers, tmp_path: Path) -> None:
    # The hints of the file are what people uncomment first.
    text = starter(answers)
    lines = [re.sub(r"^# (?=[a-z_]+ = |\[|\"In repair\")", "", line) for line in text.splitlines()]
    (tmp_path / "key.password").write_text("x")
    (operator,) = loaded("\n".join(lines), tmp_path).operators.values()
    assert (operator.first_full_load, operator.mode) == ("automatic", "observe")
    assert operator.mapping.overrides == {"In repair": "OutOfService"}
    assert set(operator.source.fields) == {"evse_id", "status"}
    template = operator.source.evse_id_template
    assert template is not None
    made = parse_evse_id(template.format(station_id="12", connector_id="1"))
    assert all(prefix.covers(made) for prefix in operator.prefixes)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_comes_back_as_it_was_typed(text: str) -> None:
    # `Stadtwerke "Süd"` or a Windows path ends in a file that is no TOML, or in another name at Hubject.
    typed = dataclasses.replace(QA, name=text, path=text, fields={"status": text}, certificate=text)
    read = tomllib.loads(starter(typed))
    operator = read["operators"]["abc"]
    assert (operator["name"], operator["certificate"]) == (text, text)
    assert (operator["source"]["path"], operator["source"]["fields"]) == (text, {"status": text})
