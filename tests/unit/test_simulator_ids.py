"""The simulator's own reading of identifiers (docs/oicp-notes.md "Identity of ids")."""

import pytest

from oicp_adapter.simulator.ids import (
    evse_key,
    operator_key,
    operator_of,
    prefix_key,
    provider_key,
    without_separators,
)


@pytest.mark.parametrize("other", ["DEAB7E8406487", "de*ab7*E840*6487", "DE*AB7E8406487", "DE*AB7*E8406487"])
def test_an_iso_id_is_the_same_whatever_its_stars_and_case(other: str) -> None:
    # Two spellings taken for two EVSEs: a duplicate would pass here and be refused at Hubject.
    assert evse_key("DE*AB7*E840*6487") == evse_key(other)


def test_din_separators_count_and_only_the_leading_plus_does_not() -> None:
    # Two different DIN EVSEs taken for one: one of them would silently vanish.
    assert evse_key("+49*123*1") == evse_key("49*123*1")
    assert evse_key("+49*123*1*1") != evse_key("+49*123*11")
    assert evse_key("+4*912*31") != evse_key("+49*123*1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DE*AB7",
        "DE*AB7*X1",
        "DE*AB7*e1",
        "DE*AB7*E1\n",
        "DE*AB7*E" + "1" * 31,
        "+49*1234*1",
        "DE-AB7-E1",
        "ÄE*AB7*E1",
    ],
)
def test_what_oicp_does_not_allow_is_no_evse_id(text: str) -> None:
    # A laxer stand-in lets an id through that Hubject answers with 400, and with it the whole bundle.
    assert evse_key(text) is None


def test_operator_ids_compare_like_evse_ids() -> None:
    # A push whose body says DESLB and whose path says DE*SLB is one operator's.
    assert operator_key("DE*SLB") == operator_key("deslb") == "DESLB"
    assert operator_key("+49*822") == operator_key("49*822") != operator_key("+498*22")
    assert operator_key("DE*SLBX") is None
    assert provider_key("DE-DCB") == provider_key("DE*DCB") == "DEDCB"


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("DE*SLB", "DESLBE1", "DE*SLC*E1"),
        ("DE*SLB*E1", "DE*SLB*E12", "DE*SLB*E2"),
        ("+49*822", "49*822*1", "+49*821*1"),
        ("+4*912", "+4*912*31", "+49*123*1"),
    ],
)
def test_prefixes_compare_whole_parts(prefix: str, inside: str, outside: str) -> None:
    # A prefix compared as stripped text would let +49*123*1 pass as an EVSE of +4*912.
    assert (evse_key(inside) or "").startswith(prefix_key(prefix))
    assert not (evse_key(outside) or "").startswith(prefix_key(prefix))


@pytest.mark.parametrize("text", ["DE*AB", "DE", "49", "nonsense"])
def test_half_a_prefix_is_refused(text: str) -> None:
    # A too short prefix would admit other operators' EVSEs.
    with pytest.raises(ValueError, match="no EvseID prefix"):
        prefix_key(text)


def test_the_603_spelling_loses_all_separators() -> None:
    # Hubject names ids that way; an adapter that cannot match them quarantines the wrong EVSE.
    assert without_separators("DE*811*E288B0*4491*002") == "DE811E288B04491002"
    assert without_separators("+49*123*1") == without_separators("+49*12*31")


def test_an_id_tells_its_operator() -> None:
    # Preloading without an operator puts each EVSE under its own.
    assert operator_of("DESLBE1") == "DE*SLB"
    assert operator_of("+49*822*1*2") == "+49*822"
    assert operator_of("nonsense") is None
