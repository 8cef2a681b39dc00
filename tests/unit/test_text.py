"""What strangers wrote, made harmless where it comes in: for terminals, for the log, for the ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.model import ActionType, EvseStatus
from oicp_adapter.core.text import LINE, VALUE, harmless, one_line
from oicp_adapter.hub import HubClient, HubOptions
from oicp_adapter.oicp.interpret import interpret
from oicp_adapter.oicp.messages import PushRequest
from oicp_adapter.sources.formats.collected import Collected
from oicp_adapter.sources.formats.values import to_text
from tests.fakes.clock import ManualClock

AVAILABLE = EvseStatus.AVAILABLE
ESCAPES = ["\x1b[2J", "\x9b31m", "\x07", "\u202e", "\u2066", "\x08"]
"""Clears a terminal, colours it, rings, turns the writing round, hides what comes next, overwrites."""


@given(st.text())
def test_a_line_is_printable_and_bounded(text: str) -> None:
    # One answer of Hubject fills a terminal, or obeys itself there.
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) <= LINE + 1


@given(
    st.text(
        alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")), max_size=VALUE
    )
)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    # An override for "Außer Betrieb" no longer matches.
    assert harmless(text) == text


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_value_of_the_source_reaches_a_terminal_as_a_command(escape: str) -> None:
    # A charger's firmware writes what it likes into `error_code`, and `status` obeys.
    into = Collected()
    into.add(
        ("evse_id", "status"), (f"DE*ABC*E1{escape}", f"AVAIL{escape}ABLE"), f"location {escape}, EVSE 1"
    )
    (record,) = into.result().records
    assert record.status == f"AVAIL{harmless(escape)}ABLE"
    assert harmless(escape) != escape
    for text in (record.status, record.evse_id, record.origin):
        assert text is not None
        assert text.isprintable()
    assert record.evse_id != "DE*ABC*E1", "nothing is left out: that would make an id of it"


def test_a_value_of_any_length_is_bounded_and_two_different_ones_stay_different() -> None:
    # 200 MB in one status: in the ledger, in each line about it, in memory for ever. Or two stations that become one.
    long, other = "A" * 5_000_000, "A" * 4_999_999 + "B"
    shown = to_text(long)
    assert shown is not None
    assert (len(shown) < VALUE + 20, shown != to_text(other), to_text(long) == shown) == (True, True, True)
    assert len(to_text(10**4000) or "") < VALUE + 20


def test_problems_of_a_read_are_bounded_lines() -> None:
    # The text about a record that cannot be decoded is as long as the record.
    into = Collected()
    into.add(("evse_id", "status"), ("DE*ABC*E1", "AVAILABLE"), "line 1")
    into.undecodable("location \x1b[2J" + "x" * 9999, "y" * 9999)
    into.add(("evse_id", "updated_at"), ("DE*ABC*E2", "\x1b[2J" + "z" * 9999), "line " + "2" * 9999)
    for problem in into.result().problems:
        assert problem.isprintable()
        assert len(problem) < 2 * LINE


def test_answers_and_failures_of_hubject_are_bounded_lines() -> None:
    # A page of a proxy in the middle, or a header that never ends, in every line of the log.
    page = ("<html>\x1b[2J" + "x" * 9999).encode()
    body = b'{"Result": false, "StatusCode": {"Code": "\\u001b[2J9", "Description": "\\u001b[2J"}}'
    for answer in (
        interpret(503, page, headers={"Process-ID": "\x1b[2J" + "p" * 9999}, now=0.0, records=1),
        interpret(200, body, headers={}, now=0.0, records=1),
    ):
        for text in (answer.text, answer.code, answer.process_id or ""):
            assert text.isprintable()
            assert len(text) <= LINE + 1


def test_whatever_ends_a_push_its_text_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # The text of an exception is whatever a library has quoted of the peer's bytes.
    def garbage(*_: object) -> None:
        raise OSError("\x1b[2J" + "x" * 9999)

    options = HubOptions(base_url="http://127.0.0.1:9/api/oicp", attempts=1)
    client = HubClient(options, clock=ManualClock())
    monkeypatch.setattr(client, "_exchange", garbage)
    request = PushRequest(
        action=ActionType.UPDATE, operator_id="DE*ABC", operator_name="x", records=[("DE*ABC*E1", AVAILABLE)]
    )
    text = client.push(request).text
    assert text.isprintable()
    assert len(text) <= LINE + 1
