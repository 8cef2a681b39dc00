"""EvseID and OperatorID: valid, equal, and whose."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.ids import InvalidId, parse_evse_id, parse_operator_id, parse_prefix, stripped

# The patterns of OICP 2.3, word for word: what Hubject will check.
HUBJECT_EVSE = re.compile(
    r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9\*]{1,30})|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9\*]{1,32}))$"
)
HUBJECT_OPERATOR = re.compile(r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3})|(\+?[0-9]{1,3}\*[0-9]{3}))$")
iso_ids = st.from_regex(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}", fullmatch=True)
din_ids = st.from_regex(r"\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}", fullmatch=True)
near_ids = st.text(alphabet="+*EeDd1 ä٣\n", max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DE*AB7*E840*6487", "DEAB7E8406487"),
        ("DE*AB7*E840*6487", "de*ab7*e840*6487"),
        ("DE*ABC*E1", " DE*ABC*E1 "),
        ("+49*123*1", "49*123*1"),
    ],
)
def test_two_spellings_of_one_evse_are_one_evse(one: str, other: str) -> None:
    # One charger pushed twice: Hubject answers 018 "Duplicate EVSE IDs" and refuses the whole request.
    assert parse_evse_id(one).key == parse_evse_id(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+4*912*31", "+49*123*1"),
        ("+49*123*1*2", "+49*123*12"),
        ("DE*ABC*E1", "DE*ABC*E10"),
        ("DE*ABC*E1", "DE*ABD*E1"),
        ("49*123*45", "DE*491*E2345"),
    ],
)
def test_different_evses_stay_different(one: str, other: str) -> None:
    # The status of one charger is sent for another.
    assert parse_evse_id(one).key != parse_evse_id(other).key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DE*ABC*E",
        "DE*ABC*1",
        "D*ABC*E1",
        "DE*AB*E1",
        "DE*ABC*E" + "1" * 31,
        "DE*ABC*E1_2",
        "DE*ABC*EÄ",
        "DE*ABC*E١",
        "+49*12*1",
        "+4912*123*1",
        "+49*123*A",
        "49123*1",
        "+49*123*",
    ],
)
def test_an_id_hubject_would_refuse_is_refused_here_with_a_sentence(text: str) -> None:
    # One bad id costs the whole request: 400 "Error parsing/validating JSON".
    with pytest.raises(InvalidId, match="not an EvseID"):
        parse_evse_id(text)


@given(st.one_of(iso_ids, din_ids, near_ids))
def test_what_we_accept_is_sent_in_a_form_hubject_accepts(text: str) -> None:
    # A wire id that Hubject's validation refuses blocks its whole bundle.
    try:
        evse = parse_evse_id(text)
    except InvalidId:
        # "e" for the type letter is read with mercy and sent as "E": never the other way round.
        assert not HUBJECT_EVSE.fullmatch(text.strip())
    else:
        assert HUBJECT_EVSE.fullmatch(evse.wire)


@given(st.one_of(iso_ids, din_ids))
def test_reading_what_we_send_changes_nothing(text: str) -> None:
    # Ids that drift with each cycle make the ledger lose its EVSEs.
    once = parse_evse_id(text)
    again = parse_evse_id(once.wire)
    assert (again.wire, again.key) == (once.wire, once.key)


@given(iso_ids, st.data())
def test_stars_and_case_never_make_another_iso_evse(text: str, data: st.DataObject) -> None:
    # An export that writes ids another way withdraws the fleet and inserts it anew.
    bare = text.replace("*", "")
    if len(bare) == 6:  # nothing but stars after the E: not the same id any more
        return
    other = data.draw(st.sampled_from([bare, bare.lower(), text.upper(), text.swapcase()]))
    assert parse_evse_id(other).key == parse_evse_id(text).key


@given(din_ids, din_ids)
def test_din_evses_are_equal_only_if_they_differ_by_a_plus(one: str, other: str) -> None:
    # +4*912*31 and +49*123*1 are two chargers in two countries.
    same_text = one.removeprefix("+") == other.removeprefix("+")
    assert (parse_evse_id(one).key == parse_evse_id(other).key) is same_text


@pytest.mark.parametrize(
    ("prefix", "evse", "covered"),
    [
        ("DE*ABC", "DE*ABC*E1", True),
        ("DEABC", "DE*ABC*E1", True),
        ("de*abc", "DEABCE1", True),
        ("DE*ABC", "DE*ABD*E1", False),
        ("DE*ABC", "AT*ABC*E1", False),
        ("DE*ABC*E12", "DE*ABC*E1*23", True),
        ("DE*ABC*E12", "DE*ABC*E13", False),
        ("+49*123", "49*123*1", True),
        ("+49*123", "+4*912*31", False),
        ("+49*123*4", "+49*123*45", True),
        ("+49*123*4", "+49*123*54", False),
    ],
)
def test_a_prefix_is_compared_by_parts(prefix: str, evse: str, covered: bool) -> None:
    # Another company's chargers pushed as ours, or ours refused as another's.
    assert parse_prefix(prefix).covers(parse_evse_id(evse)) is covered


@pytest.mark.parametrize("text", ["", "DE", "DE*AB", "DE*ABC*F1", "+49*12", "DE*ABC*E!"])
def test_a_prefix_that_could_cover_nothing_is_refused(text: str) -> None:
    # A typing error in evse_id_prefixes would silently reject the whole fleet.
    with pytest.raises(InvalidId, match="not an EvseID prefix"):
        parse_prefix(text)


@given(st.one_of(st.from_regex(HUBJECT_OPERATOR), near_ids))
def test_operator_ids_are_those_of_hubject(text: str) -> None:
    # An OperatorID Hubject does not accept makes every push fail.
    try:
        operator = parse_operator_id(text)
    except InvalidId:
        assert not HUBJECT_OPERATOR.fullmatch(text.strip())
    else:
        assert HUBJECT_OPERATOR.fullmatch(operator.wire)
        assert parse_operator_id(operator.wire) == operator


def test_one_operator_in_two_spellings_is_one_operator() -> None:
    # Two configured operators with one identity delete each other's EVSEs with every full load.
    assert parse_operator_id("DE*ABC").key == parse_operator_id("deabc").key
    assert parse_operator_id("+49*123").key == parse_operator_id("49*123").key
    assert parse_operator_id("+4*912").key != parse_operator_id("+49*123").key


def test_ids_named_by_hubject_are_found_again() -> None:
    # 603 names ids without separators: not found again, the wrong records are resent for ever.
    assert stripped("DE*811*E288B*04491002") == "DE811E288B04491002"
    assert stripped("+49*123*4*5") == "4912345"
