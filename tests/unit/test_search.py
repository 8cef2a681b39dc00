"""The search for records at fault in one cycle and over cycles: whom it accuses, and that it starves nobody."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from oicp_adapter.oicp.answers import Answer
from oicp_adapter.oicp.messages import PushRequest
from tests.fakes.answers import IN_DOUBT, TOO_LARGE, UNREACHABLE, refused
from tests.fakes.hub import FakeHub
from tests.fakes.operator import PREFIX, Choices, Operator, wire


class Picky(FakeHub):
    """Refuses whole requests for some EVSEs, and names nobody. Each push takes `seconds`."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator
        self.refuses: Mapping[str, Answer] = {}
        """EVSE → how a request with it is refused; of several the first in the request decides."""
        self.seconds = 0.0

    def push(self, request: PushRequest) -> Answer:
        self.operator.clock.step(self.seconds)
        for name, _ in request.records:
            answer = self.refuses.get(name.removeprefix(PREFIX))
            if answer is not None and not self.script:
                self.requests.append(request)
                return answer
        return super().push(request)


def names(count: int, first: int = 1) -> list[str]:
    return [f"E{number:03}" for number in range(first, first + count)]


def fleet(*evses: str, value: str = "AVAILABLE") -> dict[str, str]:
    return dict.fromkeys(evses, value)


def an_operator(choices: Choices | None = None) -> tuple[Operator, Picky]:
    """Whatever there is to send, up to a thousand records, shares a request unless the choices say otherwise."""
    operator = Operator(choices)
    hub = Picky(operator)
    operator.hub = hub
    operator.start()
    return operator, hub


def brief(requests: list[PushRequest]) -> list[str]:
    """Requests as "insert E001-E004"."""
    found = []
    for request in requests:
        evses = [name.removeprefix(PREFIX) for name, _ in request.records]
        found.append(f"{request.action.value} {evses[0]}" + (f"-{evses[-1]}" if len(evses) > 1 else ""))
    return found


def quarantined(operator: Operator) -> list[str]:
    rows = operator.ledger.load().rows.values()
    return sorted(row.wire_id.removeprefix(PREFIX) for row in rows if row.quarantine is not None)


FOURS = Choices(calls_per_minute=48)
"""Sixteen changes go in bundles of four."""


# --- turns and time -----------------------------------------------------------------------------------------


def test_fresh_changes_and_the_search_take_turns() -> None:
    # One bad EVSE in a refused bundle, and nothing else reaches drivers until it is found.
    operator, hub = an_operator(FOURS)
    hub.refuses = {"E003": refused("022")}
    operator.has(fleet(*names(16)))
    assert operator.delta().exit_code == 0
    assert brief(hub.requests) == [
        "insert E001-E004",
        "insert E001-E002",
        "insert E005-E008",
        "insert E003-E004",
        "insert E009-E012",
        "insert E003",
        "insert E013-E016",
        "update E003",
        "insert E004",
    ]
    assert quarantined(operator) == ["E003"]
    assert len(operator.holds()) == 15


def test_the_search_ends_with_its_time_and_goes_on_where_it_was() -> None:
    # The next source read comes an hour late; or the search begins anew in every cycle and never ends.
    operator, hub = an_operator(Choices(search_for=10.0))
    hub.refuses, hub.seconds = {"E005": refused("022")}, 3.0
    operator.has(fleet(*names(64)))
    report = operator.delta()
    assert brief(hub.requests) == [
        "insert E001-E064",
        "insert E001-E032",
        "insert E001-E016",
        "insert E001-E008",
    ]
    assert (report.backlog, operator.lines.of("isolation.continues")[0]["records"]) == (64, 64)
    hub.requests.clear()
    operator.delta(after=10)
    assert brief(hub.requests) == ["insert E001-E004", "insert E005-E008", "insert E005-E006", "insert E005"]
    hub.requests.clear()
    operator.delta(after=10)
    assert brief(hub.requests) == ["insert E005", "update E005", "insert E006", "insert E007-E008"]
    operator.delta(after=10)
    assert (quarantined(operator), len(operator.holds())) == (["E005"], 63)


def test_a_search_that_goes_on_still_lets_fresh_changes_through() -> None:
    # While a thousand records are searched for minutes, drivers see no change of any other charger.
    operator, hub = an_operator(Choices(search_for=10.0))
    operator.published(fleet("E901", "E902"))
    hub.refuses, hub.seconds = {"E005": refused("022")}, 6.0
    operator.has(fleet("E901", "E902", *names(64)))
    operator.delta(after=10)
    hub.requests.clear()
    operator.has({**fleet(*names(64)), **fleet("E901", "E902", value="CHARGING")})
    assert operator.delta(after=10).acked == 2
    assert brief(hub.requests) == ["insert E001-E016", "update E901-E902"]


# --- many at fault ------------------------------------------------------------------------------------------


def test_when_more_than_a_quarter_is_at_fault_the_rest_goes_one_by_one() -> None:
    # Halving a fleet in which every third EVSE is bad takes more requests than asking for each.
    operator, hub = an_operator()
    bad = names(64)[::3]
    hub.refuses = dict.fromkeys(bad, refused("018"))
    operator.has(fleet(*names(64)))
    operator.delta()
    assert (quarantined(operator), len(operator.holds())) == (bad, 64 - len(bad))
    halving = len(operator.hub.requests) - 64
    assert 0 < halving < 20
    assert {len(request.records) for request in hub.requests[-32:]} == {1}


def test_a_few_at_fault_are_found_by_halving() -> None:
    # Three bad EVSEs cost a thousand requests.
    operator, hub = an_operator()
    bad = ["E010", "E500", "E900"]
    hub.refuses = dict.fromkeys(bad, refused("018"))
    operator.has(fleet(*names(1000)))
    operator.delta()
    assert (quarantined(operator), len(operator.holds())) == (bad, 997)
    assert len(hub.requests) < 65


# --- all alike: the operator is refused, not the records ------------------------------------------------------


def test_ten_records_refused_alike_before_any_success_accuse_the_operator_and_quarantine_nobody() -> None:
    # A wrong prefix agreed with Hubject, and ten thousand EVSEs are quarantined for a day.
    operator, hub = an_operator()
    hub.refuses = dict.fromkeys(names(30), refused("018"))
    operator.has(fleet(*names(30)))
    report = operator.delta()
    assert (report.exit_code, report.quarantined, quarantined(operator)) == (4, 0, [])
    (line,) = operator.lines.of("hub.stopped")
    assert "alike" in line["text"]
    assert line["fix"]
    assert operator.state.trouble is not None
    assert operator.state.trouble.permanent


def test_refused_alike_hubject_is_probed_slowly_beginning_with_one_record() -> None:
    # Every cycle asks for ten records again: hammering, for what only a person can cure.
    operator, hub = an_operator()
    hub.refuses = dict.fromkeys(names(30), refused("018"))
    operator.has(fleet(*names(30)))
    operator.delta()
    hub.requests.clear()
    for _ in range(4):
        operator.delta(after=10)
    assert hub.requests == []
    operator.delta(after=10)
    assert len(hub.requests[0].records) == 1
    assert 1 < len(hub.requests) < 20
    hub.requests.clear()
    for _ in range(8):
        operator.delta(after=10)
    assert hub.requests == []
    hub.refuses = {}
    operator.delta(after=10)
    assert len(operator.holds()) == 30
    assert operator.lines.of("hub.recovered")
    assert len(operator.lines.of("hub.stopped")) == 1


def test_ten_bad_ones_at_the_head_do_not_block_the_good_ones_behind_them() -> None:
    # Ten chargers without contract data were added to the system first: nothing is ever pushed again.
    operator, hub = an_operator()
    bad = names(15)
    hub.refuses = dict.fromkeys(bad, refused("018"))
    operator.has(fleet(*names(30)))
    assert operator.delta().exit_code == 4
    assert operator.delta(after=50).exit_code == 0
    assert (quarantined(operator), len(operator.holds())) == (bad, 15)


def test_ten_bad_ones_at_night_do_not_keep_back_a_change_by_day_for_long() -> None:
    # A sub-operator that Hubject does not know yet, and a charger that broke down stays Available for an hour.
    operator, hub = an_operator()
    operator.published(fleet(*names(3)))
    bad = names(12, first=10)
    hub.refuses = dict.fromkeys(bad, refused("018"))
    evses = fleet(*names(3), *bad)
    operator.has(evses)
    for _ in range(360):
        operator.delta(after=10)
    hub.requests.clear()
    operator.delta(after=1500)
    evses["E001"] = "OUTOFORDER"
    operator.has(evses)
    for _ in range(7):
        operator.delta(after=10)
    assert (operator.holds()["E001"], quarantined(operator)) == ("OutOfService", bad)


def test_fewer_than_ten_refused_alike_are_quarantined_when_the_cycle_ends() -> None:
    # The only nine chargers of a small operator are asked for again in every cycle.
    operator, hub = an_operator()
    hub.refuses = dict.fromkeys(names(9), refused("018"))
    operator.has(fleet(*names(9)))
    report = operator.delta()
    assert (report.exit_code, quarantined(operator)) == (4, names(9))


def test_refusals_that_differ_are_about_the_records() -> None:
    # Twelve bad chargers with two kinds of fault stop a whole operator.
    operator, hub = an_operator()
    hub.refuses = dict.fromkeys(names(12), refused("018")) | {"E009": refused("777")}
    operator.has(fleet(*names(12)))
    report = operator.delta()
    assert (report.exit_code, quarantined(operator)) == (4, names(12))


def test_one_success_in_between_shows_that_the_refusals_are_about_the_records() -> None:
    # Hubject takes records of this operator, and still it is stopped.
    operator, hub = an_operator()
    bad = [name for name in names(20) if name != "E008"]
    hub.refuses = dict.fromkeys(bad, refused("018"))
    operator.has(fleet(*names(20)))
    report = operator.delta()
    assert (report.exit_code, quarantined(operator)) == (0, bad)
    assert list(operator.holds()) == ["E008"]


def test_what_hubject_names_never_accuses_the_operator() -> None:
    # Sixty chargers without EVSE data in a row, as before a first data upload, stop the forty that have it.
    operator, hub = an_operator()
    hub.no_data = {wire(name) for name in names(60)}
    operator.has(fleet(*names(100)))
    report = operator.delta()
    assert (report.exit_code, quarantined(operator)) == (0, names(60))
    assert len(hub.requests) == 2


def test_quarantined_ones_tried_again_never_accuse_the_operator() -> None:
    # A quiet quarter of an hour in which only the quarantine is due ends in "Hubject refuses the operator".
    operator, hub = an_operator()
    bad, good = names(12), [f"E9{number:02d}" for number in range(20)]
    operator.published(fleet(*good))
    operator.has(fleet(*good, *bad))
    hub.no_data = {wire(name) for name in bad}
    operator.delta(after=10)
    assert quarantined(operator) == bad
    hub.no_data, hub.refuses = set(), dict.fromkeys(bad, refused("018"))
    hub.requests.clear()
    assert operator.reconcile(after=900).exit_code == 0
    assert [len(request.records) for request in hub.requests] == [1] * 12
    assert operator.state.trouble is None


# --- an end in the middle -------------------------------------------------------------------------------------


def test_an_outage_in_the_middle_of_the_search_begins_again_with_one_record() -> None:
    # The first request after a rest is one of hundreds of records.
    operator, hub = an_operator()
    hub.refuses = {"E005": refused("022")}
    operator.has(fleet(*names(64)))
    hub.script = [refused("022"), refused("022"), UNREACHABLE]
    assert operator.delta().exit_code == 4
    hub.requests.clear()
    operator.delta(after=10)
    assert len(hub.requests[0].records) == 1
    assert (quarantined(operator), len(operator.holds())) == (["E005"], 63)


def test_with_nothing_but_suspects_left_the_first_request_after_a_rest_is_one_record() -> None:
    # As above, when what was sent last is in doubt and only the rest of the search may be sent.
    operator, hub = an_operator(Choices(search_for=4.0))
    hub.refuses, hub.seconds = {"E005": refused("022")}, 3.0
    operator.has(fleet(*names(64)))
    operator.delta()
    hub.script = [IN_DOUBT, IN_DOUBT]
    operator.delta(after=10)
    hub.requests.clear()
    operator.delta(after=10)
    assert brief(hub.requests)[:2] == ["insert E033", "insert E034-E064"]


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_what_is_too_large_is_halved_until_it_fits(limit: int) -> None:
    # A proxy with a small body limit, and nothing but single changes ever arrives.
    class Small(Picky):
        def push(self, request: PushRequest) -> Answer:
            if len(request.records) > limit:
                self.requests.append(request)
                return TOO_LARGE
            return super().push(request)

    operator = Operator()
    hub = Small(operator)
    operator.hub = hub
    operator.start()
    operator.has(fleet(*names(40)))
    assert operator.delta().exit_code == 0
    assert len(operator.holds()) == 40
    assert quarantined(operator) == []


def test_one_record_that_is_too_large_by_itself_is_quarantined() -> None:
    # It is asked for again in every cycle, and nobody is told.
    operator, hub = an_operator()
    hub.refuses = {"E002": TOO_LARGE}
    operator.has(fleet(*names(4)))
    assert operator.delta().exit_code == 0
    assert (quarantined(operator), len(operator.holds())) == (["E002"], 3)
