"""The operator's words for other columns: what is read, from where, and what a configuration error tells to write."""

from __future__ import annotations

import tomllib

import pytest

from oicp_adapter.core.vocabulary import vocabulary_names
from oicp_adapter.errors import ConfigurationError
from tests.unit.settings_files import MINIMAL, load

BARE = MINIMAL.replace(', format = "ocpi-locations"', "")


def with_fields(fields: str, *, vocabulary: str = "ocpi", words: str = "") -> str:
    text = BARE.replace('vocabulary = "ocpi"', f'vocabulary = "{vocabulary}", fields = {{ {fields} }}')
    return f"{text}\n{words}"


def test_words_reach_the_mapping_from_the_file_and_from_the_environment() -> None:
    # In a container there is often no file to edit.
    text = f'{BARE}mapping.words.station_status = {{ "En panne" = "OutOfService" }}\n'
    environ = {"OICP_ADAPTER__OPERATORS__SLB__MAPPING__WORDS__CONNECTION__Oui": "online"}
    rules = load(text, environ).operators["slb"].mapping_rules
    assert rules.words == {"station_status": {"En panne": "OutOfService"}, "connection": {"Oui": "online"}}


def test_a_column_without_words_is_refused_with_a_table_that_repairs_it() -> None:
    # What is printed is copied, and refused again.
    with pytest.raises(ConfigurationError) as caught:
        load(with_fields('station_status = "etat"'))
    lines = [line.strip() for line in str(caught.value).splitlines()]
    begins = lines.index("[operators.slb.mapping.words.station_status]")
    table = "\n".join(lines[begins : begins + 3])
    assert len(tomllib.loads(table)["operators"]["slb"]["mapping"]["words"]["station_status"]) == 2
    rules = load(with_fields('station_status = "etat"', words=table)).operators["slb"].mapping_rules
    assert rules.configured == ("station_status",)


@pytest.mark.parametrize("column", ["station_status", "lifecycle"])
@pytest.mark.parametrize("vocabulary", vocabulary_names())
def test_a_configured_column_has_words_or_the_configuration_is_refused(vocabulary: str, column: str) -> None:
    # An out-of-service charger is Available, because nobody reads the column that says so.
    knows = {
        "greenflux": {"station_status", "lifecycle"},
        "chargefox-connector": {"station_status"},
        "irve": {"station_status"},
    }
    text = with_fields(f'{column} = "x"', vocabulary=vocabulary)
    if column in knows.get(vocabulary, ()):
        assert load(text).operators["slb"].mapping_rules.configured == (column,)
    else:
        with pytest.raises(ConfigurationError, match=f"fields.{column}"):
            load(text)


def test_flags_have_words_in_every_vocabulary_and_may_be_turned_round() -> None:
    # The only flag of the backend says the opposite, and nothing can turn it.
    for name in vocabulary_names():
        rules = load(with_fields('connection = "!inactive", charging = "busy"', vocabulary=name))
        assert rules.operators["slb"].mapping_rules.configured == ("connection", "charging")
