"""The operator's mapping rules in the configuration: what is read, from where, and what is refused."""

from __future__ import annotations

import pytest

from oicp_adapter.core.ids import parse_evse_id
from oicp_adapter.core.rules import OverrideRule
from oicp_adapter.core.vocabulary import Target
from tests.unit.settings_files import MINIMAL, load, problems

RULES = "OICP_ADAPTER__OPERATORS__SLB__MAPPING__RULES__"
AT = "operators.slb.mapping.rules."


def rule(body: str, *, name: str = "one") -> str:
    return f"\n[operators.slb.mapping.rules.{name}]\n{body}\n"


def rules_of(text: str, environ: dict[str, str] | None = None) -> tuple[OverrideRule, ...]:
    return load(MINIMAL + text, environ).operators["slb"].mapping_rules.rules


def test_a_rule_reaches_the_mapping_with_everything_it_names() -> None:
    # A condition lost on the way makes the rule match chargers it was not meant for.
    (one,) = rules_of(
        rule(
            'value = "Faulted"\nerror_code = ["WeakSignal", "Other"]\nvendor = "A, Inc."\nmodel = "X"\n'
            'connector = 0\nvendor_error_code = [210, "0x2F"]\ninfo = "%safe mode%"\n'
            'columns = { station_id = "S1" }\n'
            'evse_id = "DE*SLB*E1%"\nvocabulary = "ocpp1.6"\nto = "skip"'
        )
    )
    assert (one.name, one.to, one.vocabulary) == ("one", Target.SKIP, "ocpp1.6")
    assert one.values == ("Faulted",)
    assert one.columns == (
        ("connector_id", ("0",)),
        ("error_code", ("WeakSignal", "Other")),
        ("vendor_error_code", ("210", "0x2F")),
        ("info", ("%safe mode%",)),
        ("vendor", ("A, Inc.",)),
        ("model", ("X",)),
        ("station_id", ("S1",)),
    )
    assert [pattern.covers(parse_evse_id("DESLBE12").key) for pattern in one.evse_ids] == [True]


def test_rules_are_tried_in_the_order_of_the_file() -> None:
    # First match wins: another order is another mapping.
    names = ("zebra", "ape", "mule")
    text = "".join(rule('model = "X"\nto = "Unknown"', name=name) for name in names)
    environ = {f"{RULES}MULE__TO": "skip"}
    assert [one.name for one in rules_of(text, environ)] == list(names)


def test_the_environment_changes_a_rule_and_adds_one_at_the_end() -> None:
    # In a container there is often no file to edit.
    text = rule('model = "X"\nto = "Unknown"', name="first-one")
    environ = {
        f"{RULES}FIRST_ONE__TO": "OutOfService",
        f"{RULES}A__EVSE_ID": "DE*SLB*E9",
        f"{RULES}A__TO": "skip",
    }
    first, added = rules_of(text, environ)
    assert (first.name, first.to, first.columns) == ("first-one", Target.OUT_OF_SERVICE, (("model", ("X",)),))
    assert (added.name, added.to) == ("a", Target.SKIP)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("Faulted,Unavailable", ("Faulted", "Unavailable")),
        ("Out of Order", ("Out of Order",)),
        ('["A, Inc.", "B"]', ("A, Inc.", "B")),
        ('["Faulted"]', ("Faulted",)),
        ("", ("",)),
    ],
)
def test_a_list_in_a_variable_has_commas_or_is_written_as_in_the_file(
    written: str, values: tuple[str, ...]
) -> None:
    # "Faulted,Unavailable" as one value never matches, and the rule does nothing without a word.
    (one,) = rules_of(rule('value = "X"\nto = "skip"'), {f"{RULES}ONE__VALUE": written})
    assert one.values == values
    (wide,) = rules_of("", {f"{RULES}A__EVSE_ID": "DE*SLB*E1%, DE*SLB*E2%", f"{RULES}A__TO": "skip"})
    assert len(wide.evse_ids) == 2


def test_a_list_in_a_variable_that_is_not_closed_is_refused() -> None:
    # Taken as a text, it never matches.
    variable = f"{RULES}ONE__VALUE"
    told = problems(MINIMAL + rule('value = "X"\nto = "skip"'), {variable: '["Faulted", Unavailable]'})
    assert (list(told), "is not a list" in told[variable]) == ([variable], True)


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ('to = "OutOfService"', "", "matches every EVSE"),
        ('to = "OutOfService"\nvocabulary = "ocpi"', "", "matches every EVSE"),
        ('model = "X"', ".to", "is missing"),
        ('model = "X"\nto = "Free"', ".to", "is not a status"),
        ('model = "X"\nto = "Available"', "", "dead and busy chargers"),
        ('error_code = "X"\nto = "Available"', "", "dead and busy chargers"),
        ('evse_id = "DE*SLB*E1*"\nto = "skip"', ".evse_id[0]", "only a separator"),
        ('evse_id = ["DE*SLB*E1", "E1"]\nto = "skip"', ".evse_id[1]", "is not an EvseID pattern"),
        ('value = 3\nto = "skip"', ".value", "must be text in quotes"),
        ('model = []\nto = "skip"', ".model", "is empty"),
        ('modle = "X"\nto = "skip"', ".modle", "did you mean model?"),
        ('model = "X"\nto = "skip"\nvocabulary = "ocpp"', ".vocabulary", "is not a vocabulary"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_once_and_by_its_place(
    body: str, where: str, what: str
) -> None:
    # A rule too wide takes a fleet off the map or shows dead chargers as free; one that never matches deceives.
    told = problems(MINIMAL + rule(body))
    assert list(told) == [f"{AT}one{where}"]
    assert what in told[f"{AT}one{where}"]


def test_a_misspelt_rule_in_the_environment_is_refused() -> None:
    # The person believes a rule was changed.
    told = problems(MINIMAL + rule('model = "X"\nto = "skip"'), {f"{RULES}OEN__TO": "Unknown"})
    assert "matches every EVSE" in told[f"{AT}oen"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('columns = { statuss = "x" }', "is not a field of ours"),
        ('columns = { status = "x" }', "has a key of its own in a rule: value"),
        ('columns = { last_seen = "x" }', "is a time, which no rule looks at"),
        ("connector = true", "must be text in quotes"),
        ("columns = {}", "matches every EVSE"),
    ],
)
def test_a_column_that_no_rule_can_look_at_is_refused(body: str, said: str) -> None:
    # A misspelt condition is no condition: the rule would match the whole fleet.
    assert said in str(problems(MINIMAL + rule(f'{body}\nto = "OutOfService"')))


def test_what_shares_a_charger_is_a_station_or_patterns() -> None:
    # A misspelt word that means "off" leaves the second plug on the map.
    def shared(text: str) -> object:
        return load(MINIMAL + f"\n[operators.slb.mapping]\nshared = {text}\n").operators["slb"].mapping.shared

    assert (shared('"off"'), shared('"station"')) == ("off", "station")
    assert [one.text for one in shared('["DE*SLB*E1%", "DE*SLB*E2%"]')] == ["DE*SLB*E1%", "DE*SLB*E2%"]  # type: ignore[attr-defined]
    wrong = problems(MINIMAL + '\n[operators.slb.mapping]\nshared = "stations"\n')
    assert "is not an EvseID pattern" in str(wrong)
