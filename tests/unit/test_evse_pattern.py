"""EvseID patterns of the operator's rules."""

from __future__ import annotations

import pytest

from oicp_adapter.core.evse_pattern import parse_evse_pattern
from oicp_adapter.core.ids import InvalidId, parse_evse_id


@pytest.mark.parametrize(
    ("pattern", "evse_id", "covered"),
    [
        ("DE*ABC*E12", "DE*ABC*E12", True),
        ("DE*ABC*E12", "deabce1*2", True),
        ("DE*ABC*E12", "DE*ABC*E123", False),
        ("DE*ABC*E12%", "DE*ABC*E12", True),
        ("de*abc*e12%", "DEABCE123*4", True),
        ("DE*ABC*E12%", "DE*ABC*E13", False),
        ("DE*ABC*E12%", "DE*ABD*E12", False),
        ("DE*ABC*E12*%", "DE*ABC*E12*4", True),
        ("DE*ABC*E%*2", "DE*ABC*E9*2", True),
        ("DE*ABC*E%*2", "DE*ABC*E2*9", False),
        ("DE*ABC*E1%5%9", "DE*ABC*E1*2*5*8*9", True),
        ("DE*ABC*E1%5%9", "DE*ABC*E1*2*5*8", False),
        ("DE*ABC%", "DE*ABC*E1", True),
        ("DE*ABC*%", "DE*ABC*E1", True),
        ("+49*123*4%", "49*123*4*5", True),
        ("49*123*4%", "+49*123*45", True),
        ("+49*123*4*%", "+49*123*4*5", True),
        ("+49*123*4*%", "+49*123*45", False),
        ("+49*123*4%", "+4*912*34*1", False),
        ("+49*123*%*2", "+49*123*7*2", True),
        ("+49*123*%*2", "+49*123*72", False),
        ("+49*123*4*5", "49*123*4*5", True),
        ("+49*123*4*5", "49*123*45", False),
    ],
)
def test_a_pattern_covers_identities_not_spellings(pattern: str, evse_id: str, covered: bool) -> None:
    # A rule for one site takes another off the map, or misses an EVSE spelled without separators.
    assert parse_evse_pattern(pattern).covers(parse_evse_id(evse_id).key) is covered


def test_a_record_that_speaks_for_a_station_only_is_covered_by_no_pattern() -> None:
    # A rule for one EVSE is applied to all of the station.
    assert not parse_evse_pattern("DE*ABC%").covers("")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%",
        "DE%",
        "%*2",
        "DE*ABC*E1*",
        "DE*ABC*E1%*",
        "DE*ABC*E1.*",
        "DE*ABC*E1?",
        "DE*ABC*E%_2",
        "DE*ABC",
        "+49*123*4%E",
        "DE*ABC*E1%.2",
    ],
)
def test_a_pattern_that_is_none_is_refused(text: str) -> None:
    # A rule that silently matches nothing: the person believes the site is off the map.
    with pytest.raises(InvalidId):
        parse_evse_pattern(text)
