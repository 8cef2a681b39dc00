"""Spellings: what is forgiven, what is ambiguous, and that nothing else ever leads to a known word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oicp_adapter.core.ids import parse_prefix
from oicp_adapter.core.mapping import MappingRules, map_fleet
from oicp_adapter.core.model import Cause, EvseStatus, SourceRecord
from oicp_adapter.core.vocabulary import (
    OTHER_STATES,
    Target,
    load_vocabulary,
    read_vocabulary,
    vocabulary_called,
    vocabulary_names,
)
from oicp_adapter.core.words import Words, folded
from oicp_adapter.errors import ConfigurationError

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("Out of Order", "Out of Order"),
        ("OUT_OF_ORDER", "Out of Order"),
        ("out-of\N{NO-BREAK SPACE}order", "Out of Order"),
        ("Out of Orders", None),
        ("O-N", None),
        ("up", "up"),
        ("UP", None),
        ("Freigegeben", "freigegeben"),
        ("In Use", None),
    ],
)
def test_a_spelling_leads_to_one_word_or_to_none(said: str, known: str | None) -> None:
    # "In use" and "inuse" mean two things to an operator who says so.
    words = Words(["Out of Order", "on", "inuse"], ["up", "freigegeben", "in-use"])
    assert words.find(said) == known


@pytest.mark.parametrize(
    ("said", "known"), [("T", "t"), ("TRUE", "true"), ("nO", "no"), ("Ok", None), ("OK", "OK"), ("J", None)]
)
def test_flags_have_no_case_but_the_operators_short_words_have(said: str, known: str | None) -> None:
    assert Words(["t", "true", "no", "ok"], ["OK", "j"], any_case=True).find(said) == known


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("ocpp1.6", "ocpp1.6"),
        ("OCPP1.6J", "ocpp1.6"),
        ("1.6", "ocpp1.6"),
        ("OCPP_1_6", "ocpp1.6"),
        ("OCPP-J 1.6", "ocpp1.6"),
        ("V16", "ocpp1.6"),
        ("ocpp1.5", "ocpp1.5"),
        ("ocpp1.2S", "ocpp1.5"),
        ("ocpp2.0.1", "ocpp2.x"),
        ("OCPP 2.1", "ocpp2.x"),
        ("ocpp201", "ocpp2.x"),
        ("2.2.1", "ocpi"),
        ("ocpp", None),
        ("ocpp3.0", None),
        ("1", None),
        ("16 kW", None),
    ],
)
def test_protocols_are_known_as_backends_write_them(called: str, name: str | None) -> None:
    # A fleet of three protocols is read in the words of one.
    assert vocabulary_called(called) == name


def test_no_name_means_two_vocabularies() -> None:
    # Which of them is read depends on the order of files.
    names = [
        called
        for name in vocabulary_names()
        for called in {folded(one).replace(".", "") for one in (name, *load_vocabulary(name).called)}
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", vocabulary_names())
def test_no_two_words_of_a_column_are_one(name: str) -> None:
    # Both would be unmapped in any other spelling.
    vocabulary = load_vocabulary(name)
    columns = [list(vocabulary.words_of(column)) for column in OTHER_STATES]
    for words in [list(vocabulary.values), *columns]:
        spelled = [folded(word) for word in words]
        assert len(spelled) == len(set(spelled))


@pytest.mark.parametrize(
    "column", ['target = "Available"', 'means = "online"', "", 'target = "skip"\nmeans = "says nothing"']
)
def test_a_vocabulary_whose_column_words_could_free_chargers_is_refused(column: str) -> None:
    text = f'title = ""\nlevel = "evse"\n[[columns]]\ncolumn = "station_status"\nvalues = ["a"]\nwhy = ""\n{column}\n'
    with pytest.raises(ConfigurationError, match="say one of"):
        read_vocabulary("x", f"{text}[values]")


WORDS = sorted(
    {word for name in vocabulary_names() for word in load_vocabulary(name).values}
    | {
        word
        for name in vocabulary_names()
        for one in OTHER_STATES
        for word in load_vocabulary(name).words_of(one)
    }
)
dirt = st.sampled_from(WORDS).flatmap(
    lambda word: st.sampled_from(
        [
            word,
            word.upper(),
            word + "s",
            word[:-1],
            f"not {word}",
            f"!{word}",
            word.replace("a", "ä"),
            f"{word}.",
        ]
    )
) | st.text(min_size=1, max_size=6)


@settings(max_examples=500, deadline=None)
@given(dirt, st.sampled_from(["status", "connection", *OTHER_STATES]), st.sampled_from(vocabulary_names()))
def test_a_word_that_is_not_known_never_leads_to_available(word: str, column: str, vocabulary: str) -> None:
    # The loudest complaint of drivers: a dead charger that is shown as free.
    rules = MappingRules(vocabulary=vocabulary, prefixes=(parse_prefix("DE*ABC"),), configured=(column,))
    loaded = load_vocabulary(vocabulary)
    free = next(value for value, row in loaded.values.items() if row.target == "Available")
    said: dict[str, Any] = {"status": free} | {column: word}
    fleet = map_fleet([SourceRecord(evse_id="DE*ABC*E1", **said)], rules, now=NOW)
    (desired,) = fleet.desired.values()
    known = loaded.values if column == "status" else loaded.words_of(column)
    plain = word.strip() if column == "status" else word.strip().removeprefix("!")
    if not plain or any(folded(plain) == folded(one) for one in known):
        return
    assert [(one.column, one.value) for one in fleet.unmapped] == [(column, word.strip())]
    if column == "charging":  # asked only where the status says nothing
        return
    assert (desired.status, desired.cause) == (EvseStatus.UNKNOWN, Cause.UNMAPPED)
    assert desired.fallback is not EvseStatus.AVAILABLE or column != "status"


@pytest.mark.parametrize(
    ("status", "column", "expected", "rule"),
    [
        ("libre", "marche", EvseStatus.AVAILABLE, "override libre"),
        ("libre", "panne", EvseStatus.OUT_OF_SERVICE, "words station_status panne"),
        ("panne", "libre", EvseStatus.OUT_OF_SERVICE, "override panne"),
        ("libre", "autre", EvseStatus.UNKNOWN, "unmapped station_status autre"),
        ("occupe", None, EvseStatus.OCCUPIED, "override occupe"),
    ],
)
def test_where_a_column_has_no_words_of_its_own_the_overrides_are_objections(
    status: str, column: str | None, expected: EvseStatus, rule: str
) -> None:
    # A charger that its own column calls broken is free because only `status` was asked.
    overrides = {
        "libre": Target.AVAILABLE,
        "marche": Target.AVAILABLE,
        "occupe": Target.OCCUPIED,
        "panne": Target.OUT_OF_SERVICE,
    }
    rules = MappingRules(
        vocabulary="oicp",
        prefixes=(parse_prefix("FR*ABC"),),
        overrides=overrides,
        configured=("station_status",),
    )
    record = SourceRecord(evse_id="FR*ABC*E1", status=status, station_status=column)
    (found,) = map_fleet([record], rules, now=NOW).desired.values()
    assert (found.status, found.rule) == (expected, rule)
